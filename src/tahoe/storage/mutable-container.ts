// The file of a mutable share, as a Tahoe storage node lays it out:
//
//   0    magic, which says the version              32 bytes
//   32   id of the node that made it                20
//   52   write enabler, as it is                    32
//   84   bytes of data                              u64
//   92   where the extra leases stand               u64
//   100  four places for leases, 92 bytes each: owner u32, end u32, renew secret 32,
//        cancel secret 32, id of the node 20; owner 0 is a free place
//   468  the data; then, maybe after bytes that are no longer of it, u32 and so many extra leases

import { FsError } from '../../errors.ts'
import { taggedHash } from '../format/hash.ts'
import type { ContainerVersion, Lease } from './lease.ts'

export type MutableLease = Lease & { readonly node: Buffer }

export type MutableHeader = {
  readonly version: ContainerVersion
  readonly node: Buffer
  readonly writeEnabler: Buffer
  /** Bytes of data. */
  readonly length: number
  /** Offset in the file. */
  readonly extraLeases: number
  readonly places: readonly (MutableLease | null)[]
}

/** Where the data begins. */
export const MUTABLE_HEADER = 468
export const MUTABLE_LEASE = 92

const PLACES_AT = 100
const PLACES = 4

/** Within a lease: where its end stands. */
const EXPIRES = 4

/** Bytes of data at most: what a number counts safely, with room for what stands around it. Tahoe's own bound is beyond that. */
export const MUTABLE_MAX = 2 ** 52

/** A container that claims more leases than this is damaged. */
const EXTRA_MAX = 4096

const text = (version: ContainerVersion) => Buffer.from(`Tahoe mutable container v${version}\n`)

const magics: Record<ContainerVersion, Buffer> = {
  1: Buffer.concat([text(1), Buffer.from('750944038e', 'hex')]), // five bytes that a text file will not have
  2: Buffer.concat([text(2), taggedHash('allmydata_mutable_container_header', text(2), 5)]),
}

export const MAGIC_BYTES = magics[1].length

/** The version of the mutable container that begins with `head`, or null when none does. */
export function mutableVersion(head: Buffer): ContainerVersion | null {
  const magic = head.subarray(0, MAGIC_BYTES)
  return magic.equals(magics[2]) ? 2 : magic.equals(magics[1]) ? 1 : null
}

/** What the first bytes of a file of `size` bytes say. EIO when that cannot be. */
export function parseMutableHeader(head: Buffer, size: number, what: string): MutableHeader {
  const version = mutableVersion(head)
  if (!version) throw damaged(what, 'it is no mutable container of version 1 or 2')
  if (head.length < MUTABLE_HEADER || size < MUTABLE_HEADER + 4)
    throw damaged(what, `${size} bytes are too short for a container`)
  const length = head.readBigUInt64BE(84)
  const extraLeases = head.readBigUInt64BE(92)
  const room = BigInt(size)
  if (extraLeases + 4n > room) throw damaged(what, `its leases are said to be beyond its ${size} bytes`)
  if (length + BigInt(MUTABLE_HEADER) > extraLeases)
    throw damaged(what, `${length} bytes of data do not fit before its leases`)
  const places: (MutableLease | null)[] = []
  for (let i = 0; i < PLACES; i++) {
    const lease = unpack(head, PLACES_AT + i * MUTABLE_LEASE)
    places.push(lease.owner === 0 ? null : lease)
  }
  return {
    version,
    node: head.subarray(32, 52),
    writeEnabler: head.subarray(52, 84),
    length: Number(length),
    extraLeases: Number(extraLeases),
    places,
  }
}

export function packMutableHeader(header: MutableHeader): Buffer {
  const head = Buffer.alloc(MUTABLE_HEADER)
  head.set(magics[header.version], 0)
  head.set(header.node, 32)
  head.set(header.writeEnabler, 52)
  head.writeBigUInt64BE(BigInt(header.length), 84)
  head.writeBigUInt64BE(BigInt(header.extraLeases), 92)
  header.places.forEach((lease, i) => {
    if (lease) pack(head, PLACES_AT + i * MUTABLE_LEASE, lease)
  })
  return head
}

/** How many bytes the extra leases take, from the four that count them in a file of `size` bytes. */
export function extraLeasesSize(count: Buffer, header: MutableHeader, size: number, what: string): number {
  const leases = count.length < 4 ? 0 : count.readUInt32BE(0)
  const bytes = 4 + leases * MUTABLE_LEASE
  if (leases > EXTRA_MAX || header.extraLeases + bytes > size)
    throw damaged(what, `${leases} extra leases do not fit into its ${size} bytes`)
  return bytes
}

/** The extra leases in `bytes`, which begin with their count. */
export function parseExtraLeases(bytes: Buffer): MutableLease[] {
  const leases: MutableLease[] = []
  for (let at = 4; at + MUTABLE_LEASE <= bytes.length; at += MUTABLE_LEASE) leases.push(unpack(bytes, at))
  return leases
}

export function packExtraLeases(leases: readonly MutableLease[]): Buffer {
  const bytes = Buffer.alloc(4 + leases.length * MUTABLE_LEASE)
  bytes.writeUInt32BE(leases.length, 0)
  leases.forEach((lease, i) => {
    pack(bytes, 4 + i * MUTABLE_LEASE, lease)
  })
  return bytes
}

/** Where in the file the end of the lease in that place stands; places from 4 on are extra ones. */
export const leaseEndAt = (header: MutableHeader, place: number): number =>
  EXPIRES +
  (place < PLACES
    ? PLACES_AT + place * MUTABLE_LEASE
    : header.extraLeases + 4 + (place - PLACES) * MUTABLE_LEASE)

function unpack(bytes: Buffer, at: number): MutableLease {
  return {
    owner: bytes.readUInt32BE(at),
    expires: bytes.readUInt32BE(at + EXPIRES),
    renew: bytes.subarray(at + 8, at + 40),
    cancel: bytes.subarray(at + 40, at + 72),
    node: bytes.subarray(at + 72, at + MUTABLE_LEASE),
  }
}

function pack(bytes: Buffer, at: number, lease: MutableLease): void {
  bytes.writeUInt32BE(lease.owner, at)
  bytes.writeUInt32BE(lease.expires, at + EXPIRES)
  bytes.set(lease.renew, at + 8)
  bytes.set(lease.cancel, at + 40)
  bytes.set(lease.node, at + 72)
}

const damaged = (what: string, why: string): FsError => new FsError('EIO', `${what} is damaged: ${why}`)
