// Renews a lease where it stands, or adds one. The end of a lease is four bytes within one sector,
// and is written over; a lease more of an immutable share is appended and synced before it is
// counted, and a mutable container is replaced.

import { refused, type ShareDisk } from './disk.ts'
import type { Folder } from './folder.ts'
import {
  IMMUTABLE_HEADER,
  IMMUTABLE_LEASE,
  IMMUTABLE_LEASE_EXPIRES,
  packImmutableHeader,
  packImmutableLeases,
  parseImmutableLeases,
} from './immutable-container.ts'
import { makeLease, RENEWAL_STEP, sameSecret, stored } from './lease.ts'
import { leaseEndAt } from './mutable-container.ts'
import { type Container, type MutableContainer, type OpenShares, shareName } from './open-shares.ts'
import { leasesOf } from './replacement.ts'
import type { LeaseSecrets, StorageIndex } from './server.ts'

/** An owner as Tahoe writes it into immutable containers. */
export const IMMUTABLE_OWNER = 0

export type RenewalWorld = {
  readonly folder: Folder
  readonly disk: ShareDisk
  readonly shares: OpenShares
  /** Replaces a mutable container by one with that lease too. */
  replaceLeases(
    index: StorageIndex,
    share: number,
    container: MutableContainer,
    leases: LeaseSecrets,
  ): Promise<void>
}

/** Makes the lease of `secrets` last until `expires`, or nearly. At most one sync, two for a new lease. The caller has the slot's lock. */
export async function renew(
  world: RenewalWorld,
  index: StorageIndex,
  share: number,
  secrets: LeaseSecrets,
  expires: number,
): Promise<void> {
  const { container, release } = await world.shares.hold(index, share)
  const path = world.folder.share(index, share)
  try {
    if (container.kind === 'immutable') {
      if (await renewImmutable(world.disk, path, container, secrets, expires))
        world.shares.forget(index, share)
      return
    }
    const { header } = container
    const leases = await leasesOf(container, shareName(index, share))
    const mine = leases.findIndex(each => sameSecret(each.renew, stored(header.version, secrets.renew)))
    if (mine < 0) return await world.replaceLeases(index, share, container, secrets)
    if (leases[mine]!.expires + RENEWAL_STEP > expires) return
    const places = header.places.flatMap((lease, place) => (lease ? [place] : []))
    await patch(world.disk, path, leaseEndAt(header, places[mine] ?? mine - places.length + 4), expires)
    world.shares.forget(index, share) // its header is held in memory
  } catch (err) {
    throw refused(`renew the lease of ${shareName(index, share)}`, err)
  } finally {
    release()
  }
}

/** Whether the container is another one now. */
async function renewImmutable(
  disk: ShareDisk,
  path: string,
  { file, header }: Container & { readonly kind: 'immutable' },
  secrets: LeaseSecrets,
  expires: number,
): Promise<boolean> {
  const at = IMMUTABLE_HEADER + header.length
  const bytes = Buffer.alloc(header.leases * IMMUTABLE_LEASE)
  await file.read(bytes, at)
  const leases = parseImmutableLeases(bytes)
  const lease = makeLease(header.version, secrets, IMMUTABLE_OWNER, expires)
  const mine = leases.findIndex(each => sameSecret(each.renew, lease.renew))
  if (mine >= 0) {
    if (leases[mine]!.expires + RENEWAL_STEP <= expires)
      await patch(disk, path, at + mine * IMMUTABLE_LEASE + IMMUTABLE_LEASE_EXPIRES, expires)
    return false
  }
  const change = await disk.open(path, 'change')
  try {
    await change.write([packImmutableLeases([lease])], at + bytes.length)
    await change.sync()
    await change.write([packImmutableHeader({ ...header, leases: header.leases + 1 })], 0)
    await change.sync()
  } finally {
    await change.close()
  }
  return true
}

async function patch(disk: ShareDisk, path: string, at: number, expires: number): Promise<void> {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(expires)
  const file = await disk.open(path, 'change')
  try {
    await file.write([bytes], at)
    await file.sync()
  } finally {
    await file.close()
  }
}
