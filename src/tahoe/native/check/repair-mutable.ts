// A mutable file whose shares are missing, damaged or of an older version is published once more:
// the same content, as the next version, which all servers get whole.

import { FsError } from '../../../errors.ts'
import type { StorageIndex } from '../../storage/server.ts'
import { isKeeper } from './keeper.ts'
import { numbersOf, type Verified } from './verified.ts'

/**
 * `publish` writes the content again, `verify` looks at what is there then. Shares that keep their
 * server from writing are removed, and what else is still wrong after a publish; but only while
 * enough good ones lie elsewhere, so that a crash loses nothing. Throws what `publish` throws.
 */
export async function repairMutable(
  index: StorageIndex,
  verified: Verified,
  publish: () => Promise<unknown>,
  verify: () => Promise<Verified>,
): Promise<void> {
  await removeDamaged(index, verified, ({ blocks }) => blocks)
  await publish()
  const after = await verify()
  if (after.damaged.length === 0) return
  await removeDamaged(index, after, () => true)
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
