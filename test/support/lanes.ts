// Changes that are done one after the other in a directory, several such directories at a time. The
// same seed gives the same changes, so that who was killed and who looks afterwards know the same ones.

import { createHash } from 'node:crypto'
import { codeOf, FsError } from '../../src/errors.ts'
import type { FileId, Vfs } from '../../src/vfs/vfs.ts'

export const LANES = 4

/** Does change number `i` of a lane to what is in `dir`; what came of it: `done`, or the code of the error. */
export async function act(vfs: Vfs, dir: FileId, seed: string, lane: number, i: number): Promise<string> {
  try {
    await attempt(vfs, dir, `${seed} ${lane} ${i}`)
    return 'done'
  } catch (err) {
    if (!(err instanceof FsError)) throw err
    return codeOf(err)
  }
}

async function attempt(vfs: Vfs, dir: FileId, seed: string): Promise<unknown> {
  const dice = createHash('sha256').update(seed).digest()
  const below = (byte: number, limit: number) => dice.readUInt32LE(byte) % limit
  const name = `file ${below(0, 3)}`
  const other = `file ${below(4, 3)}`
  const what = below(8, 40)
  if (what < 3) return vfs.create(dir, name, { mode: 'unchecked', attrs: what === 0 ? { size: 0 } : {} })
  if (what === 3) return vfs.remove(dir, name)
  if (what === 4) return vfs.rename(dir, name, dir, other)
  const { id } = await vfs.lookup(dir, name)
  if (what === 5) return vfs.link(id, dir, other)
  if (what < 8) return vfs.setattr(id, { size: below(12, 60_000) })
  if (what === 8) return vfs.commit(id)
  const size = 1 + below(16, what < 12 ? 300_000 : 5000)
  const bytes = createHash('shake256', { outputLength: size }).update(seed).digest()
  return vfs.write(id, below(20, 50_000), bytes, what === 9 ? 'stable' : 'kept')
}
