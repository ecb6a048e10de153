// A mutable file whose shares are missing, damaged or of an older version is published once more:
// the same content, as the next version, which all servers get whole.

import { FsError } from '../../../errors.ts'
import type { StorageIndex, StorageServer, WriteSecrets } from '../../storage/server.ts'
import { isKeeper } from '../keeper.ts'
import { numbersOf, stateOf, type Verified } from './verified.ts'

export type RepairingMutable = {
  readonly index: StorageIndex
  readonly secretsFor: (server: StorageServer) => WriteSecrets
  /** Writes the content again. */
  readonly publish: () => Promise<unknown>
  /** Looks at what is there. */
  readonly verify: () => Promise<Verified>
}

/**
 * Shares that keep their server from writing are removed, and what else is still wrong after a
 * publish; but only while enough good ones lie elsewhere, so that a crash loses nothing. Those that
 * are right, but under the write enabler of another server, are put under their own first. Throws
 * what `publish` throws.
 */
export async function repairMutable(repairing: RepairingMutable, verified: Verified): Promise<void> {
  const { index, secretsFor, publish, verify } = repairing
  let now = verified
  const estranged = verified.damaged.filter(share => share.estranged)
  for (const { server, number } of estranged)
    if (isKeeper(server)) await server.adopt(index, number, secretsFor(server))
  if (estranged.length > 0) now = await verify()
  if (stateOf(now) === 'healthy') return
  await removeDamaged(index, now, ({ blocks }) => blocks)
  await publish()
  now = await verify()
  if (now.damaged.length === 0) return
  await removeDamaged(index, now, () => true)
  await publish()
}

async function removeDamaged(
  index: StorageIndex,
  { damaged, good, needed }: Verified,
  which: (share: Verified['damaged'][number]) => boolean,
): Promise<void> {
  const doomed = damaged.filter(which)
  if (doomed.length === 0) return
  if (numbersOf(good).size < needed)
    throw new FsError('EAGAIN', 'a share is in the way, and without it there might not be enough')
  for (const { server, number } of doomed) if (isKeeper(server)) await server.remove(index, number)
}
