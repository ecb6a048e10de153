// What is served from here, what is asked of the grid, how often, and what is shown when it changed.

import { join } from 'node:path'
import test from 'ava'
import { FsError } from '../../src/errors.ts'
import { silent } from '../../src/log.ts'
import { Asker } from '../../src/vfs/ask.ts'
import { State } from '../../src/vfs/state/state.ts'
import { Listings } from '../../src/vfs/tree/listings.ts'
import { Tree } from '../../src/vfs/tree/tree.ts'
import { folder, hasty, namesIn, openAt, opened, settled, textOf } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'

/** Every question asks the grid. */
const never = { ttl: 0, patience: hasty } as const

test('no such name is said only after a complete listing', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ a: grid.file('a') })
  const fs = await opened(t, grid, root, { ttl: 60_000, patience: hasty })
  grid.notNow.list = Number.POSITIVE_INFINITY
  await t.throwsAsync(fs.lookup(fs.root, 'nothing'), { code: 'EIO' })
  grid.notNow.list = 0
  const other = await opened(t, grid, root)
  await t.throwsAsync(other.lookup(other.root, 'nothing'), { code: 'ENOENT' })
})

test('a fresh listing is served without asking, and a burst asks once', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ a: grid.file('a'), b: grid.file('b') })
  const fs = await opened(t, grid, root)
  await Promise.all(
    Array.from({ length: 200 }, (_, i) => (i % 2 ? fs.lookup(fs.root, 'a') : fs.list(fs.root, 0n))),
  )
  for (let i = 0; i < 50; i++) await fs.getattr((await fs.lookup(fs.root, 'b')).id)
  t.is(grid.asked.list, 1)
})

test('past its time a listing is served while one refresh runs, and what that brings is served next', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ a: grid.file('a') })
  const fs = await opened(t, grid, root, { ttl: 400 })
  await fs.lookup(fs.root, 'a')
  grid.set(root, 'b', grid.file('b'))
  await new Promise(resolve => setTimeout(resolve, 500)) // between one ttl and three
  const release = grid.hold('list')
  t.deepEqual(await namesIn(fs, fs.root), ['a'])
  await Promise.all(Array.from({ length: 50 }, () => fs.lookup(fs.root, 'a')))
  t.is(grid.asked.list, 2)
  release()
  await settled(async () => (await namesIn(fs, fs.root)).length === 2)
})

test('a listing that is too old is waited for', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ a: grid.file('a') })
  const fs = await opened(t, grid, root, never)
  await fs.lookup(fs.root, 'a')
  grid.set(root, 'b', grid.file('b'))
  t.is((await fs.lookup(fs.root, 'b')).size, 1)
})

test('without the grid the last listing is served at any age, and it is not asked at every call', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ a: grid.file('a') })
  const fs = await opened(t, grid, root, { ttl: 0, patience: { delays: [60_000], giveUp: 0, memo: 60_000 } })
  const a = await fs.lookup(fs.root, 'a')
  const { list } = grid.asked
  grid.notNow.list = Number.POSITIVE_INFINITY
  for (let i = 0; i < 30; i++) t.deepEqual(await fs.lookup(fs.root, 'a'), a)
  await t.throwsAsync(fs.lookup(fs.root, 'b'), { code: 'ENOENT' })
  t.is(grid.asked.list, list + 1)
  t.false(fs.status().reach.reachable)
})

test('a grid that hangs holds up one call for a while, and then none', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ a: grid.file('a') })
  const fs = await opened(t, grid, root, never)
  const a = await fs.lookup(fs.root, 'a')
  const release = grid.hold('list')
  t.deepEqual(await Promise.all([fs.lookup(fs.root, 'a'), fs.getattr(a.id)]), [a, a])
  for (let i = 0; i < 100; i++) t.deepEqual(await fs.getattr(a.id), a) // each would wait for seconds
  t.is(grid.asked.list, 2)
  release()
})

test('an immutable directory is listed once', async t => {
  const grid = new TinyGrid()
  const root = grid.immutableDirectory({ a: grid.file('a') })
  const dir = await folder(t)
  for (let i = 0; i < 2; i++) {
    const fs = await openAt(dir, grid, root, never)
    for (let n = 0; n < 3; n++) t.false((await fs.lookup(fs.root, 'a')).writable)
    await fs.close()
  }
  t.is(grid.asked.list, 1)
})

test('read once means once in each run', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ a: grid.file('a') })
  const dir = await folder(t)
  for (let run = 1; run <= 2; run++) {
    const fs = await openAt(dir, grid, root, { ttl: Number.POSITIVE_INFINITY })
    for (let n = 0; n < 5; n++) await fs.lookup(fs.root, 'a')
    t.is(grid.asked.list, run)
    await fs.close()
  }
})

test('a mutable file is asked for its size once in a while; a new version shows, and shows as new', async t => {
  const grid = new TinyGrid()
  const cap = grid.mutable('first')
  const root = grid.directory({ m: [cap, { tahoe: { linkcrtime: 1000, linkmotime: 1000 } }] })
  const dir = await folder(t)
  let fs = await openAt(dir, grid, root)
  const [unknown] = [...(await fs.list(fs.root, 0n))]
  t.is(unknown!.attr, null)
  const first = await fs.lookup(fs.root, 'm')
  t.deepEqual([first.size, first.mtime], [5, 1000000000000n]) // asking for the size is no change
  for (let i = 0; i < 20; i++) await fs.getattr(first.id)
  t.is(grid.asked.stat, 1)
  t.is(await textOf(fs, first.id), 'first')
  grid.overwriteWith(cap, 'other') // as long as the first
  await fs.close()
  fs = await openAt(dir, grid, root, never)
  const second = await fs.getattr(first.id)
  t.is(second.id, first.id)
  t.true(second.mtime > first.mtime && second.ctime > first.ctime)
  t.is(await textOf(fs, first.id), 'other')
  t.deepEqual(await fs.getattr(first.id), second)
  await fs.close()
})

test('a mutable file in the place of another one shows the size that is known until the grid says the next', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ m: grid.mutable('first') })
  const fs = await opened(t, grid, root, never)
  const first = await fs.lookup(fs.root, 'm')
  grid.set(root, 'm', grid.mutable('the second'))
  const release = grid.hold('stat')
  const [entry] = [...(await fs.list(fs.root, 0n))]
  t.is(entry!.attr!.size, 5)
  t.deepEqual(fs.known(first.id), entry!.attr)
  release()
  const second = await fs.getattr(first.id)
  t.deepEqual([second.id, second.size], [first.id, 10])
  t.true(second.mtime > entry!.attr!.mtime && entry!.attr!.mtime !== first.mtime)
})

test('a read of a mutable file that moved on is of the new version, with its attributes', async t => {
  const grid = new TinyGrid()
  const cap = grid.mutable(Buffer.alloc(3 << 20, 1))
  const root = grid.directory({ m: cap })
  const fs = await opened(t, grid, root)
  const before = await fs.lookup(fs.root, 'm')
  t.is((await fs.read(before.id, 0, 10)).data[0]![0], 1)
  grid.overwriteWith(cap, Buffer.alloc(2 << 20, 2))
  const read = await fs.read(before.id, 1 << 20, 2 << 20)
  const bytes = Buffer.concat(read.data)
  t.is(bytes.length, 1 << 20)
  t.true(bytes.every(byte => byte === 2))
  t.true(read.eof)
  t.is(read.attr.size, 2 << 20)
  t.true(read.attr.mtime > before.mtime)
  t.is((await fs.read(before.id, 0, 1)).data[0]![0], 2)
})

test('a read that its file changed under is answered from the new content, and never with old bytes and new times', async t => {
  const grid = new TinyGrid()
  const [one, two] = ['1'.repeat(100), '2'.repeat(50)]
  const root = grid.directory({ a: grid.file(one) })
  const fs = await opened(t, grid, root, never)
  const { id } = await fs.lookup(fs.root, 'a')
  const release = grid.hold('read')
  const reading = fs.read(id, 0, 1000)
  await settled(() => grid.asked.read === 1)
  grid.set(root, 'a', grid.file(two))
  const after = await fs.lookup(fs.root, 'a')
  release()
  const read = await reading
  t.is(Buffer.concat(read.data).toString(), two)
  t.deepEqual(read.attr, after)
})

test('when a name leads to another kind of file while its size is asked for, no wrong size is kept', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ a: grid.mutable('mutable content') })
  const dir = await folder(t)
  let fs = await openAt(dir, grid, root, never)
  const release = grid.hold('stat')
  const looking = fs.lookup(fs.root, 'a')
  await settled(() => grid.asked.stat === 1)
  grid.set(root, 'a', grid.file('small'))
  const [listed] = await Promise.all([fs.list(fs.root, 0n), release()])
  t.is([...listed][0]?.attr?.size, 5)
  await looking
  t.is((await fs.lookup(fs.root, 'a')).size, 5)
  await fs.close()
  fs = await openAt(dir, grid, root, never)
  const a = await fs.lookup(fs.root, 'a')
  t.is(a.size, 5)
  t.is(await textOf(fs, a.id), 'small')
  await fs.close()
})

test('a directory of 10,000 names is one listing and one commit, and listing it again commits nothing', async t => {
  const grid = new TinyGrid()
  const root = grid.directory()
  for (let i = 0; i < 10_000; i++) grid.set(root, `name ${i}`, grid.file(`${i}`))
  const state = await State.open(join(await folder(t), 's'), root.uri())
  t.teardown(() => state.close())
  let commits = 0
  const commit = state.commit.bind(state)
  state.commit = ops => {
    if (ops.length > 0) commits++
    return commit(ops)
  }
  const tree = new Tree(state, root)
  const listings = new Listings({ tree, grid, asker: new Asker(silent), ttl: 0 })
  await tree.start(root)
  t.is(commits, 1)
  t.is((await listings.list(tree.root, undefined)).shown.length, 10_000)
  t.is(commits, 2)
  await listings.list(tree.root, undefined)
  t.is(commits, 2)
  t.is(grid.asked.list, 2)
})

test('more directories than memory holds are read from the state again, not from the grid', async t => {
  const grid = new TinyGrid()
  const root = grid.directory()
  for (let d = 0; d < 20; d++) {
    const dir = grid.immutableDirectory(
      Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`f${i}`, grid.file(`${d} ${i}`)])),
    )
    grid.set(root, `d${d}`, dir)
  }
  const state = await State.open(join(await folder(t), 's'), root.uri())
  t.teardown(() => state.close())
  const tree = new Tree(state, root, { maxEdges: 120 })
  const listings = new Listings({ tree, grid, asker: new Asker(silent), ttl: 60_000 })
  await tree.start(root)
  const look = async () => {
    const ids: string[] = []
    for (let d = 0; d < 20; d++) {
      const { id } = await listings.find(tree.root, `d${d}`, undefined)
      const file = await listings.find(id, `f${d}`, undefined)
      ids.push(`${file.id} ${file.generation} ${file.mtime} ${file.size} ${file.cap?.uri()}`)
    }
    return ids
  }
  const first = await look()
  const asked = grid.asked.list
  t.deepEqual(await look(), first)
  t.is(grid.asked.list, asked)
  for (const line of first) t.is(tree.inode(BigInt(line.split(' ')[0]!)).size, Number(line.split(' ')[3]))
})

test('when the root is reached by no grid at all, what was seen before is served from the first call on', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ a: grid.file('a'), d: grid.directory({ x: grid.file('x') }) })
  const dir = await folder(t)
  const fs = await openAt(dir, grid, root)
  const d = await fs.lookup(fs.root, 'd')
  await fs.list(d.id, 0n)
  await fs.close()
  grid.notNow.list = Number.POSITIVE_INFINITY
  const again = await openAt(dir, grid, root, {
    ttl: 1,
    patience: { delays: [60_000], giveUp: 0, memo: 60_000 },
  })
  t.teardown(() => again.close())
  t.deepEqual(await namesIn(again, again.root), ['a', 'd'])
  t.deepEqual(await namesIn(again, d.id), ['x'])
  t.deepEqual(await again.lookup(again.root, 'd'), d)
})

test('a directory that the grid refuses is served as it was, and told of', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ a: grid.file('a') })
  const fs = await opened(t, grid, root, { ttl: 0, patience: hasty })
  t.deepEqual(await namesIn(fs, fs.root), ['a'])
  grid.list = () => Promise.reject(new FsError('EACCES', 'list: blacklisted'))
  t.deepEqual(await namesIn(fs, fs.root), ['a'])
  const { reachable, troubles } = fs.status().reach
  t.true(reachable)
  t.deepEqual(troubles, ['EACCES: list: blacklisted'])
})

test.serial(
  'a listing that cannot be kept on this machine is told of, and nothing may change any more',
  async t => {
    const grid = new TinyGrid()
    const root = grid.directory({ a: grid.file('a') })
    const fs = await opened(t, grid, root, never)
    t.deepEqual(await namesIn(fs, fs.root), ['a'])
    const { commit } = State.prototype
    State.prototype.commit = () => Promise.reject(new FsError('EIO', 'the disk is full'))
    t.teardown(() => Object.assign(State.prototype, { commit }))
    grid.set(root, 'b', grid.file('b'))
    await namesIn(fs, fs.root)
    t.deepEqual(fs.status().reach.troubles, ['EIO: the disk is full'])
    await t.throwsAsync(fs.mkdir(fs.root, 'd', {}), { code: 'EIO' })
    State.prototype.commit = commit
  },
)
