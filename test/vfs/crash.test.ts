// A machine that dies at any step of its disk or its database has lost nothing that it had
// acknowledged, and what it had not is there whole or not at all. What waited is published
// by the next start.

import test, { type ExecutionContext } from 'ava'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { FileId, Vfs } from '../../src/vfs/vfs.ts'
import { MemFs } from '../support/memfs.ts'
import { Mortal } from '../support/mortal.ts'
import { folder } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'
import { lines, sameElsewhere } from './elsewhere.ts'
import { noise } from './tree.ts'
import { at } from './walk.ts'

/** One acknowledged change, done to a file system. */
type Deed = (vfs: Vfs) => Promise<unknown>

const guarded = { mode: 'guarded', attrs: { mode: 0o640 } } as const

const idOf = async (vfs: Vfs, path: string): Promise<FileId> =>
  (await at(vfs, ...path.split('/').filter(Boolean))).id

const create =
  (dir: string, name: string): Deed =>
  async vfs =>
    vfs.create(await idOf(vfs, dir), name, guarded)
const mkdir =
  (dir: string, name: string): Deed =>
  async vfs =>
    vfs.mkdir(await idOf(vfs, dir), name, {})
const remove =
  (dir: string, name: string): Deed =>
  async vfs =>
    vfs.remove(await idOf(vfs, dir), name)
const rmdir =
  (dir: string, name: string): Deed =>
  async vfs =>
    vfs.rmdir(await idOf(vfs, dir), name)
const rename =
  (dir: string, name: string, to: string, toName: string): Deed =>
  async vfs =>
    vfs.rename(await idOf(vfs, dir), name, await idOf(vfs, to), toName)
const setattr =
  (path: string, change: Parameters<Vfs['setattr']>[1]): Deed =>
  async vfs =>
    vfs.setattr(await idOf(vfs, path), change)

/** Several writes and the commit that makes them one. */
const write =
  (path: string, ...pieces: readonly (readonly [number, Uint8Array])[]): Deed =>
  async vfs => {
    const id = await idOf(vfs, path)
    for (const [offset, bytes] of pieces) await vfs.write(id, offset, bytes, 'unstable')
    await vfs.commit(id)
  }

const publish: Deed = async vfs => {
  if ('flush' in vfs) await (vfs.flush as (under: null) => Promise<void>)(null)
}

const session: readonly Deed[] = [
  create('', 'a'),
  write('a', [0, noise(200_000, 'a')], [100, noise(70_000, 'b')]),
  mkdir('', 'd'),
  create('d', 'b'),
  write('d/b', [10, noise(100, 'c')]),
  write('old', [5, Buffer.from('changed')]),
  publish,
  write('a', [1000, noise(3000, 'd')]),
  rename('', 'a', 'd', 'moved'),
  setattr('d/moved', { size: 150_000 }),
  setattr('d/moved', { mode: 0o600, mtime: 7_000_000_007n }),
  async vfs => vfs.symlink(await idOf(vfs, 'd'), 'link', Buffer.from('target '.repeat(20)), {}),
  async vfs => vfs.link(await idOf(vfs, 'd/b'), await idOf(vfs, ''), 'second', {}),
  remove('d', 'b'),
  mkdir('d', 'inner'),
  create('d/inner', 'x'),
  write('d/inner/x', [0, noise(100, 'e')]),
  publish,
  remove('d/inner', 'x'),
  rmdir('d', 'inner'),
  rename('', 'd', '', 'e'),
  remove('', 'old'),
  create('', 'old'),
  async vfs => vfs.create(vfs.root, 'old', { mode: 'unchecked', attrs: { size: 70_000 } }),
  write('old', [0, noise(80, 'f')]),
  rename('', 'second', '', 'old'),
  remove('e', 'link'),
  publish,
]

const before = noise(1000, 'old')

async function world(): Promise<{ grid: TinyGrid; root: Cap; oracle: MemFs }> {
  const grid = new TinyGrid()
  const root = grid.directory({ old: [grid.file(before), { mtime: 1.7e9 }] })
  const oracle = new MemFs({ uid: 1000, gid: 1000 })
  const { attr } = await oracle.create(oracle.root, 'old', { mode: 'guarded', attrs: { mode: 0o600 } })
  await oracle.write(attr.id, 0, before, 'stable')
  return { grid, root, oracle }
}

/** Without times, which are each file system's own. */
const told = async (vfs: Vfs) => (await lines(vfs)).map(line => line.replace(/ \d+ (\w+)$/, ' $1'))

/** The session on a machine that dies at step `last`; whether it had to. */
async function dies(t: ExecutionContext, last: number): Promise<boolean> {
  const { grid, root, oracle } = await world()
  const dir = await folder(t)
  const first = await Mortal.open(dir, grid, root, last).catch(() => null)
  if (!first) return true // it did not live to acknowledge anything
  const { machine, fs } = first
  let doing: Deed | null = null
  try {
    for (const deed of session) {
      doing = deed
      await deed(fs)
      await deed(oracle)
      doing = null
    }
  } catch (err) {
    if (!machine.isDead) throw err
  }
  const survived = doing === null
  await machine.die(fs)
  const { fs: again, machine: second } = await Mortal.open(dir, grid, root)
  try {
    const seen = await told(again)
    const acknowledged = await told(oracle)
    if (JSON.stringify(seen) !== JSON.stringify(acknowledged) && doing) await doing(oracle)
    t.deepEqual(seen, await told(oracle), `died at step ${last}, ${machine.steps.at(-1)}`)
    await sameElsewhere(t, again, grid, root)
    t.deepEqual(again.status().conflicts, [])
  } finally {
    await second.die(again)
  }
  return !survived
}

test('what was acknowledged survives a loss of power at any moment, and is published by the next start', async t => {
  t.timeout(170_000)
  let last = 1
  while (await dies(t, last)) last++
  t.true(last > 60, `${last} steps`)
})
