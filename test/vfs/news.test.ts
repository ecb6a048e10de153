// What others change on the grid, and what comes of two sides' changes, is told of: all of it, and
// nothing else.

import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { Tahoefs } from '../../src/vfs/tahoefs.ts'
import { capMark } from '../../src/vfs/tree/edge.ts'
import { folder, hasty, namesIn, onlyAsked, openAt, opened, quick, textOf } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'
import { Keeper } from './keeper.ts'
import { type Operation, operation, perform } from './operations.ts'
import { same, told } from './rules-news.ts'
import { make } from './walk.ts'

/** Every look asks the grid. */
const never = { ttl: 0, patience: hasty, tempo: onlyAsked } as const

const idOf = async (fs: Tahoefs, name: string) => (await fs.lookup(fs.root, name)).id

async function world(t: ExecutionContext) {
  const grid = new TinyGrid()
  const mutable = grid.mutable('first')
  const inner = grid.directory({ x: grid.file('x') })
  const root = grid.directory({ a: grid.file('a'), b: grid.file('b'), d: inner, m: mutable })
  const fs = await opened(t, grid, root, never)
  const ids = { a: 0n, b: 0n, d: 0n, m: 0n, x: 0n }
  for (const name of ['a', 'b', 'd', 'm'] as const) ids[name] = await idOf(fs, name)
  ids.x = (await fs.lookup(ids.d, 'x')).id
  const looks = () => told(fs, () => fs.list(fs.root, 0n))
  return { grid, root, fs, mutable, inner, ids, looks }
}

test('what others changed is told of once, with the names and inodes that it is about, and as nobody’s', async t => {
  const { grid, root, fs, inner, ids, looks } = await world(t)
  grid.set(root, 'a', grid.file('other content'))
  grid.set(root, 'new', grid.file('new'))
  grid.unset(root, 'b')
  grid.set(root, 'd2', inner)
  grid.unset(root, 'd')
  const news = await told(fs, async () => {
    await fs.getattr(ids.a, { by: {} }) // who looks did not change it
    await fs.list(fs.root, 0n, { by: {} })
  })
  same(t, news, [
    `content ${ids.a}`,
    `name ${fs.root} new`,
    `name ${fs.root} b`,
    `attributes ${ids.b}`,
    `name ${fs.root} d2`,
    `name ${fs.root} d`,
  ])
  t.deepEqual([...new Set(news.map(({ by }) => by))], [undefined])
  same(t, await looks(), [])
})

test('a listing that brings nothing new tells nothing, and neither does the first one', async t => {
  const { fs, ids, looks } = await world(t)
  same(t, await looks(), [])
  same(t, await told(fs, () => fs.list(ids.d, 0n)), [])
  const other = new TinyGrid()
  const first = await opened(t, other, other.directory({ a: other.file('a') }), never)
  same(t, await told(first, () => first.list(first.root, 0n)), [])
})

test('a name that leads to another kind of thing is told of, and so is the inode that it led to', async t => {
  const { grid, root, fs, ids, looks } = await world(t)
  grid.set(root, 'a', grid.directory())
  same(t, await looks(), [`name ${fs.root} a`, `attributes ${ids.a}`])
})

test('a cap that may write no more is told of as attributes', async t => {
  const { grid, root, fs, inner, ids, looks } = await world(t)
  grid.set(root, 'd', inner.readonly())
  same(t, await looks(), [`attributes ${ids.d}`, `attributes ${fs.root}`])
})

test('a new version of a mutable file is told of once, when it is known', async t => {
  const { grid, fs, mutable, ids } = await world(t)
  grid.overwriteWith(mutable, 'other')
  same(t, await told(fs, () => fs.getattr(ids.m)), [`content ${ids.m}`])
  same(t, await told(fs, () => textOf(fs, ids.m)), [])
  same(t, await told(fs, () => fs.getattr(ids.m)), [])
})

test('a mutable file in the place of another is told of, and again when its version is known', async t => {
  const { grid, root, fs, ids, looks } = await world(t)
  grid.set(root, 'm', grid.mutable('the second'))
  same(t, await looks(), [`content ${ids.m}`, `attributes ${fs.root}`])
  same(t, await told(fs, () => fs.getattr(ids.m)), [`content ${ids.m}`])
})

test('publishing what was changed here tells nothing', async t => {
  const { fs, ids } = await world(t)
  await make(fs, fs.root, 'new', 'x'.repeat(100))
  const made = (await fs.mkdir(fs.root, 'made', {})).attr.id
  await make(fs, made, 'in it', 'y'.repeat(100))
  await fs.symlink(made, 'link', Buffer.from('t'.repeat(100)), {})
  await fs.write(ids.a, 0, Buffer.from('more'), 'stable')
  await fs.write(ids.m, 0, Buffer.from('more'), 'stable')
  await fs.setattr(ids.b, { mode: 0o640 })
  await fs.rename(ids.d, 'x', made, 'moved')
  await fs.link(ids.b, made, 'second')
  await fs.rmdir(fs.root, 'd')
  const news = await told(fs, async () => {
    await fs.flush(null)
    await fs.list(fs.root, 0n)
    await fs.list(made, 0n)
  })
  same(t, news, [])
})

test('of a conflict its copy is told of, and the name that leads to what the grid has', async t => {
  const { grid, root, fs, ids } = await world(t)
  await fs.write(ids.a, 0, Buffer.from('ours'), 'stable')
  grid.set(root, 'a', grid.file('theirs'))
  const news = await told(fs, () => fs.flush(null))
  const copy = (await namesIn(fs, fs.root)).find(name => name.startsWith('a (conflict'))!
  same(t, news, [`name ${fs.root} a`, `name ${fs.root} ${copy}`, `attributes ${ids.a}`])
})

test('a mutable file that others wrote to as well is told of with its copy', async t => {
  const { grid, fs, mutable, ids } = await world(t)
  await fs.write(ids.m, 0, Buffer.from('ours'), 'stable')
  grid.overwriteWith(mutable, 'theirs')
  const news = await told(fs, () => fs.flush(null))
  const copy = (await namesIn(fs, fs.root)).find(name => name.startsWith('m (conflict'))!
  same(t, news, [`name ${fs.root} m`, `name ${fs.root} ${copy}`, `attributes ${ids.m}`])
  const keeper = new Keeper(fs)
  await keeper.check()
})

test('a name that is back, because others changed what was removed here, is told of', async t => {
  const { grid, root, fs, ids, inner } = await world(t)
  await fs.remove(fs.root, 'a')
  await fs.remove(ids.d, 'x')
  await fs.rmdir(fs.root, 'd')
  grid.set(root, 'a', grid.file('theirs'))
  grid.set(inner, 'theirs', grid.file('y'))
  const news = await told(fs, () => fs.flush(null))
  same(t, news, [`name ${fs.root} a`, `name ${fs.root} d`, `attributes ${ids.d}`])
  same(t, await told(fs, () => fs.list(ids.d, 0n)), [`name ${ids.d} theirs`])
})

test('of what was changed on the grid, and given another mode here, the new content is told of', async t => {
  const { grid, root, fs, ids } = await world(t)
  await fs.setattr(ids.a, { mode: 0o640 })
  grid.set(root, 'a', grid.file('theirs'))
  same(t, await told(fs, () => fs.flush(null)), [`content ${ids.a}`, `attributes ${fs.root}`])
})

test('a directory that others removed, and that is made again because something waits in it, is not told of', async t => {
  const { grid, root, fs, ids, looks } = await world(t)
  await make(fs, ids.d, 'ours', 'z')
  grid.unset(root, 'd')
  same(t, await looks(), [])
  same(t, await told(fs, () => fs.flush(null)), [])
})

/** A few places only, so that what both sides do meets. */
const path = fc.array(fc.constantFrom('a', 'c'), { maxLength: 1 })
const name = fc.constantFrom('a', 'b', 'c', '\u00e9')

/** What others do on the grid, and what happens here besides. */
const event = fc.oneof(
  fc.record({
    event: fc.constantFrom('file', 'file', 'mutable', 'directory', 'immutable', 'symlink'),
    path,
    name,
  }),
  fc.record({ event: fc.constantFrom('unset', 'overwrite', 'diminish', 'mode'), path, name }),
  fc.record({ event: fc.constantFrom('link', 'move'), path, name, to: path, toName: name }),
  fc.record({ event: fc.constant('flush') }),
  fc.record({ event: fc.constant('time'), ms: fc.nat(30) }),
)
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never

const history = fc.array(fc.oneof(operation, { weight: 1, arbitrary: event }), {
  minLength: 5,
  maxLength: 30,
})

/** The directory that a path leads to on the grid; undefined where it leads to none that can be written. */
function dirAt(grid: TinyGrid, root: Cap, path: readonly string[]): Cap | undefined {
  let dir: Cap | undefined = root
  for (const name of path) dir = dir && grid.childrenOf(dir)?.get(name)?.cap
  return dir?.type === 'directory' && dir.authority === 'write' ? dir : undefined
}

let made = 0

async function happens(grid: TinyGrid, root: Cap, fs: Tahoefs, what: Event): Promise<void> {
  if ('ms' in what) return new Promise(resolve => setTimeout(resolve, what.ms))
  if (!('path' in what)) return void fs.flush(null).catch(() => {})
  const dir = dirAt(grid, root, what.path)
  if (!dir) return
  const { name } = what
  const there = grid.children(dir).get(name)
  const text = String(1e6 + made++).repeat(20)
  const file = grid.file(text)
  if ('toName' in what) {
    const to = dirAt(grid, root, what.to)
    if (!to || !there) return
    grid.set(to, what.toName, [there.cap, there.metadata])
    if (what.event === 'move' && !(to.same(dir) && name === what.toName)) grid.unset(dir, name)
    return
  }
  switch (what.event) {
    case 'unset':
      return grid.unset(dir, name)
    case 'overwrite':
      if (there?.cap.mutable && there.cap.type === 'file') grid.overwriteWith(there.cap, text)
      return
    case 'diminish':
      if (there) grid.set(dir, name, [there.cap.readonly(), there.metadata])
      return
    case 'mode':
      if (there)
        grid.set(dir, name, [there.cap, { 'tahoe-nfs': { v: 1, of: capMark(there.cap), mode: made % 512 } }])
      return
    case 'directory':
      return grid.set(dir, name, grid.directory({ a: file, b: grid.mutable(text) }))
    case 'immutable':
      return grid.set(dir, name, grid.immutableDirectory({ a: file }))
    case 'mutable':
      return grid.set(dir, name, grid.mutable(text))
    case 'symlink':
      return grid.set(dir, name, [file, { 'tahoe-nfs': { v: 1, of: capMark(file), type: 'symlink' } }])
    default:
      return grid.set(dir, name, file)
  }
}

async function lives(t: ExecutionContext, steps: readonly (Operation | Event)[]): Promise<void> {
  const grid = new TinyGrid()
  const root = grid.directory({
    a: grid.directory({ b: grid.directory(), c: grid.file('c'.repeat(100)) }),
    b: grid.mutable('b'.repeat(100)),
    c: grid.directory({ a: grid.mutable('a'.repeat(100)) }),
    d: grid.file('d'.repeat(100)),
  })
  const fs = await openAt(await folder(t), grid, root, { ...never, tempo: quick })
  const keeper = new Keeper(fs)
  try {
    await keeper.check()
    for (const step of steps) {
      if ('event' in step) await happens(grid, root, fs, step)
      else await perform(fs, fs.root, step)
      await keeper.check()
    }
    fs.flush(null).catch(() => {}) // where others took away the right to write, it never ends
    for (let i = 0; i < 5; i++) {
      await new Promise(resolve => setTimeout(resolve, 10))
      await keeper.check()
    }
  } finally {
    keeper.close()
    await fs.close()
  }
}

test('whatever two sides change at once, who keeps all and looks only at what is told of knows the truth', async t => {
  t.timeout(170_000)
  await fc.assert(
    fc.asyncProperty(history, steps => lives(t, steps)),
    { numRuns: Number(process.env.RUNS ?? 50), includeErrorInReport: true },
  )
  t.pass()
})
