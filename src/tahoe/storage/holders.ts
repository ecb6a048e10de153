// Who wants a share kept: the leases in its container tell.

import { FsError } from '../../errors.ts'
import { IMMUTABLE_HEADER, IMMUTABLE_LEASE, parseImmutableLeases } from './immutable-container.ts'
import { sameSecret, stored } from './lease.ts'
import { type Container, type OpenShares, shareName } from './open-shares.ts'
import { leasesOf } from './replacement.ts'
import type { LeaseSecrets, StorageIndex } from './server.ts'

/** Whether a share has a lease of somebody else, ended or not. False for one that is damaged or gone. */
export async function heldByOthers(
  shares: OpenShares,
  index: StorageIndex,
  share: number,
  mine: LeaseSecrets,
): Promise<boolean> {
  try {
    const { container, release } = await shares.hold(index, share)
    try {
      const secret = stored(container.header.version, mine.renew)
      return (await leasesIn(container, shareName(index, share))).some(
        ({ renew }) => !sameSecret(renew, secret),
      )
    } finally {
      release()
    }
  } catch (err) {
    if (err instanceof FsError && ['EIO', 'ENOENT'].includes(err.code)) return false
    throw err
  }
}

async function leasesIn(container: Container, what: string) {
  if (container.kind === 'mutable') return await leasesOf(container, what)
  const { file, header } = container
  const bytes = Buffer.alloc(header.leases * IMMUTABLE_LEASE)
  await file.read(bytes, IMMUTABLE_HEADER + header.length)
  return parseImmutableLeases(bytes)
}
