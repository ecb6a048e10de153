// A process that ends at any step of its disk or its database has lost nothing of what it kept. When
// the machine loses power with it, what was synced is there, and the rest hurts nothing.

import { createHash } from 'node:crypto'
import test, { type ExecutionContext } from 'ava'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { Tahoefs } from '../../src/vfs/tahoefs.ts'
import type { AttrChange, FileId, Vfs } from '../../src/vfs/vfs.ts'
import type { Loss } from '../support/forgetful-disk.ts'
import { MemFs } from '../support/memfs.ts'
import { Mortal } from '../support/mortal.ts'
import { folder } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'
import { lines, sameElsewhere } from './elsewhere.ts'
import { noise } from './tree.ts'
import { at, content, make } from './walk.ts'

/** One acknowledged change, done to a file system, and the names in the root that show it. */
type Deed = { readonly names: readonly string[]; act(vfs: Vfs): Promise<unknown> }

const idOf = async (vfs: Vfs, name: string): Promise<FileId> => (await at(vfs, name)).id

const keep = (name: string, offset: number, size: number, seed: string, more: string[] = []): Deed => ({
  names: [name, ...more],
  act: async vfs => vfs.write(await idOf(vfs, name), offset, noise(size, seed), 'kept'),
})
const create = (name: string): Deed => ({
  names: [name],
  act: vfs => vfs.create(vfs.root, name, { mode: 'guarded', attrs: { mode: 0o640 } }),
})
const setattr = (name: string, change: AttrChange): Deed => ({
  names: [name],
  act: async vfs => vfs.setattr(await idOf(vfs, name), change),
})
const rename = (from: string, to: string): Deed => ({
  names: [from, to],
  act: vfs => vfs.rename(vfs.root, from, vfs.root, to),
})
const link = (name: string, to: string): Deed => ({
  names: [name, to],
  act: async vfs => vfs.link(await idOf(vfs, name), vfs.root, to),
})
const remove = (name: string, ...more: string[]): Deed => ({
  names: [name, ...more],
  act: vfs => vfs.remove(vfs.root, name),
})
const commit = (name: string): Deed => ({ names: [], act: async vfs => vfs.commit(await idOf(vfs, name)) })
const publish: Deed = {
  names: [],
  async act(vfs) {
    if ('flush' in vfs) await (vfs.flush as (under: null) => Promise<void>)(null)
  },
}

const session: readonly Deed[] = [
  create('a'),
  keep('a', 0, 100_000, 'a'),
  keep('a', 50, 5000, 'b'),
  keep('old', 990, 20, 'c'), // the first write to a file that is published
  keep('old', 5, 10, 'd'),
  setattr('a', { size: 3000 }),
  keep('a', 5000, 100, 'e'),
  setattr('a', { mtime: 7_000_000_007n }),
  keep('old', 6, 10, 'f'),
  commit('a'),
  keep('a', 2990, 3000, 'g'),
  rename('a', 'moved'),
  keep('moved', 10, 10, 'h'),
  keep('mutable', 2, 3, 'i'),
  setattr('mutable', { size: 0 }),
  keep('mutable', 4, 8, 'j'),
  link('moved', 'second'),
  keep('second', 20, 400, 'k', ['moved']),
  remove('moved', 'second'),
  publish,
  keep('old', 0, 80, 'l'),
  create('b'),
  keep('b', 0, 300_000, 'm'),
  remove('old'),
  create('old'),
  keep('old', 7, 300, 'n'),
  {
    names: ['old'],
    act: async vfs => vfs.write(await idOf(vfs, 'old'), 100, noise(100, 'o'), 'stable'),
  },
  keep('old', 150, 100, 'p'),
  rename('b', 'old'),
  keep('old', 299_990, 20, 'q'),
]

async function world(): Promise<{ grid: TinyGrid; root: Cap; oracle: MemFs }> {
  const grid = new TinyGrid()
  const [old, mutable] = [noise(1000, 'old'), noise(100, 'mutable')]
  const root = grid.directory({ old: grid.file(old), mutable: grid.mutable(mutable) })
  const oracle = new MemFs({ uid: 1000, gid: 1000 })
  for (const [name, bytes] of Object.entries({ old, mutable })) {
    const { attr } = await oracle.create(oracle.root, name, { mode: 'guarded', attrs: { mode: 0o600 } })
    await oracle.write(attr.id, 0, bytes, 'stable')
  }
  return { grid, root, oracle }
}

const timeless = (told: readonly string[]) => told.map(line => line.replace(/ \d+ (\w+)$/, ' $1'))

/** The session on a machine whose process ends at step `last`; whether it had to. */
async function ends(t: ExecutionContext, last: number): Promise<boolean> {
  const { grid, root, oracle } = await world()
  const dir = await folder(t)
  const first = await Mortal.open(dir, grid, root, last).catch(() => null)
  if (!first) return true // it did not live to acknowledge anything
  const { machine, fs } = first
  let doing: Deed | null = null
  let acknowledged: string[] = []
  try {
    acknowledged = await lines(fs)
    for (const deed of session) {
      doing = deed
      await deed.act(fs)
      acknowledged = await lines(fs)
      await deed.act(oracle)
      doing = null
    }
  } catch (err) {
    if (!machine.isDead) throw err
  }
  const survived = doing === null
  await machine.die(fs, 'none')
  const { fs: again, machine: second } = await Mortal.open(dir, grid, root)
  try {
    const seen = await lines(again)
    if (acknowledged.length === 0) return true // nothing was done yet
    t.deepEqual(timeless(acknowledged), timeless(await lines(oracle)))
    // Times are each file system's own, but must be those that were acknowledged.
    const others = (told: readonly string[]) =>
      told.filter(line => !doing?.names.some(name => line.startsWith(`/${name} `)))
    t.deepEqual(others(seen), others(acknowledged), `ended at step ${last}`)
    if (JSON.stringify(timeless(seen)) !== JSON.stringify(timeless(acknowledged))) await doing?.act(oracle)
    t.deepEqual(timeless(seen), timeless(await lines(oracle)), `ended at step ${last}`)
    await sameElsewhere(t, again, grid, root)
    t.deepEqual(again.status().conflicts, [])
  } finally {
    await second.die(again)
  }
  return !survived
}

test('what was kept survives the end of the process at any moment, and is published by the next start', async t => {
  t.timeout(170_000)
  let last = 1
  while (await ends(t, last)) last++
  t.true(last > 40, `${last} steps`)
})

const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** What a file has been since it was last made durable, and is allowed to be after a loss of power. */
class Past {
  readonly #states = new Map<FileId, Set<string>>()

  async note(fs: Tahoefs, id: FileId, durable: boolean): Promise<void> {
    if (durable) this.#states.delete(id)
    const states = this.#states.get(id) ?? new Set()
    this.#states.set(id, states.add(hash(await content(fs, id))))
  }

  has(id: FileId, bytes: Uint8Array): boolean {
    return this.#states.get(id)?.has(hash(bytes)) ?? false
  }
}

/** Files that are written to, some of them synced; the process ends, others begin where it was; then the power goes. */
async function losesPower(t: ExecutionContext, loss: Loss, chance: (below: number) => number): Promise<void> {
  const { grid, root } = await world()
  const dir = await folder(t)
  const past = new Past()
  let { machine, fs } = await Mortal.open(dir, grid, root, undefined, { stagingSize: 4 << 20 })
  const ids = [await idOf(fs, 'old'), await make(fs, fs.root, 'a'), await make(fs, fs.root, 'b')]
  for (const id of ids) await past.note(fs, id, true)
  for (let i = 0; i < 40; i++) {
    const id = ids[chance(3)]!
    const what = chance(12)
    const bytes = noise(1 + chance(what < 2 ? 200_000 : 3000), `${i}`)
    if (what === 0) await fs.commit(id)
    else if (what === 1) await fs.setattr(id, { size: chance(5000) })
    else await fs.write(id, chance(10_000), bytes, what === 2 ? 'stable' : 'kept')
    await past.note(fs, id, what < 3)
    if (chance(15) > 0) continue
    await machine.die(fs, 'none')
    ;({ machine, fs } = await Mortal.open(dir, grid, root, undefined, { stagingSize: 4 << 20 }))
    for (const id of ids) t.true(past.has(id, await content(fs, id)))
    for (const id of ids) await past.note(fs, id, true) // the start has made it durable
  }
  await machine.die(fs, loss)
  const { fs: again, machine: last } = await Mortal.open(dir, grid, root)
  try {
    t.is(again.status().trouble, null)
    for (const id of ids)
      t.true(past.has(id, await content(again, id)), `file ${id}, ${JSON.stringify(loss)}`)
    await again.write(ids[0]!, 0, Buffer.from('and it goes on'), 'kept')
    await sameElsewhere(t, again, grid, root)
  } finally {
    await last.die(again)
  }
}

test('after a loss of power what was made durable is there, and what was kept since, up to where something is missing', async t => {
  t.timeout(170_000)
  for (let round = 0; round < 24; round++) {
    let seed = round * 104_729 + 1
    const chance = (below: number) =>
      ((seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0) % 65_536) % below
    await losesPower(t, round % 5 === 0 ? 'all' : { some: round }, chance)
  }
})
