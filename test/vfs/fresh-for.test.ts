// For how long what is known need not be asked for again.

import { join } from 'node:path'
import test from 'ava'
import { silent } from '../../src/log.ts'
import { Asker } from '../../src/vfs/ask.ts'
import { State } from '../../src/vfs/state/state.ts'
import { Listings } from '../../src/vfs/tree/listings.ts'
import { Tree } from '../../src/vfs/tree/tree.ts'
import type { Vfs } from '../../src/vfs/vfs.ts'
import { folder, onlyAsked, opened } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'

/** For how long each is fresh, at one moment. */
function freshFor(fs: Pick<Vfs, 'freshFor'>, ...ids: bigint[]): number[] {
  const { now } = Date
  const moment = now()
  Date.now = () => moment
  try {
    return ids.map(id => fs.freshFor(id))
  } finally {
    Date.now = now
  }
}

const pause = (ms = 20) => new Promise(resolve => setTimeout(resolve, ms))

test('a file is as fresh as the listing that names it, a directory as its own once it has one, and less with every moment', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ a: grid.file('a'), d: grid.directory({ x: grid.file('x') }) })
  const fs = await opened(t, grid, root)
  t.is(fs.freshFor(fs.root), 0)
  const [a, d] = [(await fs.lookup(fs.root, 'a')).id, (await fs.lookup(fs.root, 'd')).id]
  const first = fs.freshFor(a)
  t.true(first > 0 && first <= 60_000)
  await pause()
  for (const later of freshFor(fs, a, d, fs.root)) t.true(later > 0 && later < first)
  const x = (await fs.lookup(d, 'x')).id
  const [old, ...younger] = freshFor(fs, a, d, x)
  for (const each of younger) t.true(each > old!)
  const { list } = grid.asked
  for (const id of [fs.root, a, d, x]) await fs.getattr(id)
  t.is(grid.asked.list, list)
})

test('what is due is fresh no more, and is again once it was asked for', async t => {
  const grid = new TinyGrid()
  const fs = await opened(t, grid, grid.directory({ a: grid.file('a') }), { ttl: 200 })
  const { id } = await fs.lookup(fs.root, 'a')
  await pause(700)
  t.is(fs.freshFor(id), 0)
  await fs.getattr(id)
  t.true(fs.freshFor(id) > 0)
})

test('what the grid cannot change is fresh for ever, and so is what is read once', async t => {
  const grid = new TinyGrid()
  const inner = grid.immutableDirectory({ x: grid.file('x'), e: grid.immutableDirectory({}) })
  const fs = await opened(t, grid, grid.directory({ inner, a: grid.file('a') }), { tempo: onlyAsked })
  const { id } = await fs.lookup(fs.root, 'inner')
  const [x, e, a] = [await fs.lookup(id, 'x'), await fs.lookup(id, 'e'), await fs.lookup(fs.root, 'a')]
  for (const each of [id, x.id, e.id]) t.is(fs.freshFor(each), Number.POSITIVE_INFINITY)
  fs.retain(a.id)
  await fs.remove(fs.root, 'a')
  t.is(fs.freshFor(a.id), Number.POSITIVE_INFINITY) // nothing but its holder leads to it
  fs.release(a.id)
  t.is(fs.freshFor(a.id), 0)
  const once = await opened(t, grid, grid.directory({ a: grid.file('a') }), { ttl: Number.POSITIVE_INFINITY })
  t.is(once.freshFor(once.root), 0)
  const b = await once.lookup(once.root, 'a')
  for (const each of [once.root, b.id]) t.is(once.freshFor(each), Number.POSITIVE_INFINITY)
})

test('a mutable file is as fresh as its version, where that is older than the listing', async t => {
  const grid = new TinyGrid()
  const fs = await opened(t, grid, grid.directory({ m: grid.mutable('m') }), { tempo: onlyAsked })
  const { id } = [...(await fs.list(fs.root, 0n))][0]!
  t.is(fs.freshFor(id), 0) // nobody has asked for its size
  await fs.lookup(fs.root, 'm')
  const both = () => freshFor(fs, id, fs.root) as [number, number]
  let [m, listing] = both()
  t.is(m, listing)
  await pause()
  await fs.mkdir(fs.root, 'd', {})
  await fs.flush(null) // lists it anew
  ;[m, listing] = both()
  t.true(m > 0 && m < listing)
  await fs.write(id, 0, Buffer.from('ours'), 'unstable')
  ;[m, listing] = both()
  t.is(m, listing)
})

test('a directory that is made here is fresh, and so is what is in it, before and after it is published', async t => {
  const grid = new TinyGrid()
  const fs = await opened(t, grid, grid.directory(), { tempo: onlyAsked })
  const d = (await fs.mkdir(fs.root, 'd', {})).attr.id
  const { id } = (await fs.create(d, 'f', { mode: 'guarded', attrs: {} })).attr
  t.deepEqual([fs.freshFor(d), fs.freshFor(id)], [60_000, 60_000])
  await fs.flush(null)
  t.true(fs.freshFor(d) > 0 && fs.freshFor(id) > 0 && fs.freshFor(d) <= 60_000)
})

test('of what is not in memory nothing is said to be fresh, and nothing is read for it', async t => {
  const grid = new TinyGrid()
  const full = () =>
    grid.directory(Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`f${i}`, grid.file(`${i}`)])))
  const root = grid.directory({ a: full(), b: full(), c: full() })
  const state = await State.open(join(await folder(t), 's'), root.uri())
  t.teardown(() => state.close())
  const tree = new Tree(state, root, { maxEdges: 120 })
  const listings = new Listings({ tree, grid, asker: new Asker(silent), ttl: 60_000 })
  await tree.start(root)
  const a = await listings.find(tree.root, 'a', undefined)
  t.true(listings.freshFor(a.id) > 0) // of the listing that names it
  const f = await listings.find(a.id, 'f7', undefined)
  t.true(listings.freshFor(f.id) > 0)
  for (const name of ['b', 'c']) {
    const { id } = await listings.find(tree.root, name, undefined)
    await listings.list(id, undefined)
  }
  state.get = () => t.fail() as never
  state.all = () => t.fail() as never
  t.deepEqual([listings.freshFor(a.id), listings.freshFor(f.id)], [0, 0])
})
