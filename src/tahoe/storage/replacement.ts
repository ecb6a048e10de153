// What a mutable share becomes: a new container beside the old one, made durable there. Nothing is
// ever changed in place, as a Tahoe node does it; the file is the same in the end.

import { FsError } from '../../errors.ts'
import type { ShareDisk, ShareFile } from './disk.ts'
import { type ContainerVersion, makeLease, RENEWAL_STEP, sameSecret } from './lease.ts'
import {
  extraLeasesSize,
  MUTABLE_HEADER,
  MUTABLE_LEASE,
  MUTABLE_MAX,
  type MutableHeader,
  type MutableLease,
  packExtraLeases,
  packMutableHeader,
  parseExtraLeases,
} from './mutable-container.ts'
import { type MutableContainer, readData } from './open-shares.ts'
import type { LeaseSecrets, TestWrite, WriteSecrets } from './server.ts'

/** A container up to so many bytes is put together in memory and written at once. */
const SMALL = 1 << 20

/** What new containers are written as, as Tahoe 1.20 does it. */
export const CONTAINER_VERSION: ContainerVersion = 2

/** An owner as Tahoe writes it into mutable containers. */
const OWNER = 1

export type Replacement = {
  readonly header: MutableHeader
  readonly extra: readonly MutableLease[]
  readonly old: { readonly container: MutableContainer; readonly path: string } | null
  readonly change: Pick<TestWrite, 'writes'>
  /** Bytes of the whole new file. */
  readonly size: number
}

/** Bytes of data after the change of a share that had `old` of them. */
export function lengthAfter(
  old: number,
  { writes, newLength }: Pick<TestWrite, 'writes' | 'newLength'>,
): number {
  const end = writes.reduce(
    (far, { offset, data }) => (data.length > 0 ? Math.max(far, offset + data.length) : far),
    old,
  )
  return newLength !== null && newLength < end ? newLength : end
}

/** EINVAL or EFBIG for a change that no share could take, before anything is done. */
export function checkChange(what: string, { tests, writes, newLength }: TestWrite): void {
  for (const { offset, size } of tests) checkRange(what, offset, size)
  for (const { offset, data } of writes) {
    checkRange(what, offset, data.length)
    if (offset + data.length > MUTABLE_MAX)
      throw new FsError('EFBIG', `${what}: at most ${MUTABLE_MAX} bytes`)
  }
  if (newLength !== null) checkRange(what, newLength, 0)
}

export function checkRange(what: string, offset: number, size: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0 || !(size >= 0))
    throw new FsError('EINVAL', `${what}: ${size} bytes at ${offset}`)
}

/** Its leases with that of `secrets`, renewed or added; null when it is there and lasts long enough. */
export function withLease(
  leases: readonly MutableLease[],
  version: ContainerVersion,
  secrets: LeaseSecrets,
  node: Buffer,
  expires: number,
): MutableLease[] | null {
  const lease = { ...makeLease(version, secrets, OWNER, expires), node }
  const mine = leases.findIndex(each => sameSecret(each.renew, lease.renew))
  if (mine < 0) return [...leases, lease]
  if (leases[mine]!.expires + RENEWAL_STEP > expires) return null
  return leases.with(mine, { ...leases[mine]!, expires })
}

/** The leases of a container, those in its header first. */
export async function leasesOf(
  { file, header, size }: MutableContainer,
  what: string,
): Promise<MutableLease[]> {
  const count = Buffer.alloc(4)
  await file.read(count, header.extraLeases)
  const bytes = Buffer.alloc(extraLeasesSize(count, header, size, what))
  if (bytes.length > 4) await file.read(bytes, header.extraLeases)
  return [...header.places.filter(lease => lease !== null), ...parseExtraLeases(bytes)]
}

/** What replaces a share, or what a new one is. */
export async function replacement(
  old: Replacement['old'],
  change: Pick<TestWrite, 'writes' | 'newLength'>,
  lease: { secrets: WriteSecrets; node: Buffer; expires: number },
  what: string,
): Promise<Replacement> {
  const before = old?.container.header
  const version = before?.version ?? CONTAINER_VERSION
  const had = old ? await leasesOf(old.container, what) : []
  const leases = withLease(had, version, lease.secrets, lease.node, lease.expires) ?? had
  const length = lengthAfter(before?.length ?? 0, change)
  const extraLeases = MUTABLE_HEADER + length
  const extra = leases.slice(4)
  return {
    header: {
      version,
      node: before?.node ?? lease.node,
      writeEnabler: before?.writeEnabler ?? lease.secrets.writeEnabler,
      length,
      extraLeases,
      places: [0, 1, 2, 3].map(i => leases[i] ?? null),
    },
    extra,
    old,
    change,
    size: extraLeases + 4 + extra.length * MUTABLE_LEASE,
  }
}

/** Writes it to `path`, which is new; durable when it returns, but for its name. One sync. */
export async function writeReplacement(
  disk: ShareDisk,
  path: string,
  made: Replacement,
  what: string,
): Promise<void> {
  const data = await inMemory(made, what)
  if (!data && made.old) await disk.copy(made.old.path, path)
  const file = await disk.open(path, !data && made.old ? 'change' : 'new')
  try {
    if (data) await file.write([packMutableHeader(made.header), ...data, packExtraLeases(made.extra)], 0)
    else await writeRanges(file, made)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** The new data where it needs no look at the old, or is small; else null. */
async function inMemory(
  { header, old, change, size }: Replacement,
  what: string,
): Promise<Uint8Array[] | null> {
  const { length } = header
  const [first] = change.writes
  if (first && change.writes.length === 1 && first.offset === 0 && first.data.length >= length)
    return [first.data.subarray(0, length)]
  if (size > SMALL) return null
  const data = Buffer.alloc(length)
  if (old) (await readData(old.container, 0, length, what)).copy(data)
  for (const { offset, data: bytes } of change.writes)
    if (offset < length) data.set(bytes.subarray(0, length - offset), offset)
  return [data]
}

/** Into a copy of the old container, or an empty file: what was its leases becomes zeros, then come the writes. */
async function writeRanges(file: ShareFile, { header, extra, old, change }: Replacement): Promise<void> {
  const { length } = header
  const kept = Math.min(old?.container.header.length ?? 0, length)
  await file.truncate(MUTABLE_HEADER + kept)
  if (length > kept) await file.truncate(MUTABLE_HEADER + length)
  for (const { offset, data } of change.writes)
    if (offset < length) await file.write([data.subarray(0, length - offset)], MUTABLE_HEADER + offset)
  await file.write([packMutableHeader(header)], 0)
  await file.write([packExtraLeases(extra)], header.extraLeases)
}
