// The file of an immutable share, as a Tahoe storage node lays it out:
//
//   0   version, 1 or 2                             u32
//   4   bytes of data, or 2^32 - 1 when longer      u32
//   8   leases                                      u32
//   12  the data, then the leases: owner u32, renew secret 32, cancel secret 32, end u32
//
// How long the data is follows from the file's size; the field only confirms it.

import { FsError } from '../../errors.ts'
import type { ContainerVersion, Lease } from './lease.ts'

/** Where the data begins. */
export const IMMUTABLE_HEADER = 12
export const IMMUTABLE_LEASE = 72

/** Within a lease: where its end stands. */
export const IMMUTABLE_LEASE_EXPIRES = 68

const LONG = 0xffff_ffff

/** A container that claims more leases than this is damaged. */
const LEASES_MAX = 4096

export type ImmutableHeader = {
  readonly version: ContainerVersion
  /** Bytes of data. */
  readonly length: number
  readonly leases: number
}

export const immutableSize = (length: number, leases: number): number =>
  IMMUTABLE_HEADER + length + leases * IMMUTABLE_LEASE

/** What the first bytes of a file of `size` bytes say. EIO when that cannot be. */
export function parseImmutableHeader(head: Buffer, size: number, what: string): ImmutableHeader {
  if (head.length < IMMUTABLE_HEADER || size < IMMUTABLE_HEADER)
    throw damaged(what, `${size} bytes are too short for a container`)
  const version = head.readUInt32BE(0)
  if (version !== 1 && version !== 2) throw damaged(what, 'it is no immutable container of version 1 or 2')
  const said = head.readUInt32BE(4)
  const leases = head.readUInt32BE(8)
  const length = size - immutableSize(0, leases)
  if (length < 0 || leases > LEASES_MAX) throw damaged(what, `${leases} leases do not fit into ${size} bytes`)
  if (said === LONG || said === length) return { version, length, leases }
  // A lease that was being appended, and was not counted yet, when the machine stopped.
  if (said < length && length <= said + IMMUTABLE_LEASE) return { version, length: said, leases }
  throw damaged(what, `it has room for ${length} bytes of data and says ${said}`)
}

export function packImmutableHeader({ version, length, leases }: ImmutableHeader): Buffer {
  const head = Buffer.alloc(IMMUTABLE_HEADER)
  head.writeUInt32BE(version, 0)
  head.writeUInt32BE(Math.min(length, LONG), 4)
  head.writeUInt32BE(leases, 8)
  return head
}

/** The leases in `bytes`, which are whole ones. */
export function parseImmutableLeases(bytes: Buffer): Lease[] {
  const leases: Lease[] = []
  for (let at = 0; at + IMMUTABLE_LEASE <= bytes.length; at += IMMUTABLE_LEASE)
    leases.push({
      owner: bytes.readUInt32BE(at),
      renew: bytes.subarray(at + 4, at + 36),
      cancel: bytes.subarray(at + 36, at + 68),
      expires: bytes.readUInt32BE(at + IMMUTABLE_LEASE_EXPIRES),
    })
  return leases
}

export function packImmutableLeases(leases: readonly Lease[]): Buffer {
  const bytes = Buffer.alloc(leases.length * IMMUTABLE_LEASE)
  leases.forEach(({ owner, renew, cancel, expires }, i) => {
    const at = i * IMMUTABLE_LEASE
    bytes.writeUInt32BE(owner, at)
    bytes.set(renew, at + 4)
    bytes.set(cancel, at + 36)
    bytes.writeUInt32BE(expires, at + IMMUTABLE_LEASE_EXPIRES)
  })
  return bytes
}

const damaged = (what: string, why: string): FsError => new FsError('EIO', `${what} is damaged: ${why}`)
