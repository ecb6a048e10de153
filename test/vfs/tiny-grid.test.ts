// The small grid in memory keeps the contract of a Grid where a file system relies on it.

import { createHash } from 'node:crypto'
import test from 'ava'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { Child, Edit, Outcome } from '../../src/tahoe/grid.ts'
import { child, lit, set, unlink } from '../support/edits.ts'
import { bytesOf, sourceOf } from '../support/tahoe-bytes.ts'
import { TinyGrid } from '../support/tiny-grid.ts'

/** Outcomes to be compared: caps keep their text where deepEqual does not see it. */
const told = (outcomes: readonly Outcome[]) =>
  outcomes.map(one => (one.done ? 'done' : `found ${one.found?.uri() ?? 'nothing'}`))
const done = 'done'
const refused = (found: Cap | null) => `found ${found?.uri() ?? 'nothing'}`
const linked = (children: ReadonlyMap<string, Child>) =>
  [...children].map(([name, { cap, metadata }]) => [name, cap.uri(), metadata])
const long = Buffer.from('a content too long to be its own cap, which ends at fifty-five bytes')

test('an edit sets before it unlinks, and its outcomes are in the order of the edits', async t => {
  const grid = new TinyGrid()
  const [one, two, x] = [lit('1'), lit('2'), child('x')]
  const dir = grid.directory({ old: one, gone: two, mine: one })
  const { outcomes, listing } = await grid.edit(dir, [
    unlink('gone', two),
    set('cafe\u0301', x),
    set('old', x, lit('1')),
    set('mine', x), // expected nothing
    unlink('old2', x.cap),
    set('other', x, two), // expected something
  ])
  t.deepEqual(told(outcomes), [done, done, done, refused(one), done, refused(null)])
  t.deepEqual([...listing.children.keys()], ['old', 'mine', 'caf\u00e9'])
  t.deepEqual(linked(listing.children), linked(grid.children(dir)))
  t.true(listing.writable)
  t.is(grid.asked.edit, 1)
  t.is(grid.asked.writes, 2)
})

test('what is done already is done, and costs no write; other metadata is a change', async t => {
  const grid = new TinyGrid()
  const dir = grid.directory()
  const edits = [set('a', child('1', { mine: 1 })), unlink('nothing', lit('x'))]
  t.deepEqual(told((await grid.edit(dir, edits)).outcomes), [done, done])
  t.deepEqual(told((await grid.edit(dir, edits)).outcomes), [done, done])
  t.is(grid.asked.writes, 1)
  const other = set('a', child('1', { mine: 2 }))
  t.deepEqual(told((await grid.edit(dir, [other])).outcomes), [refused(lit('1'))])
  t.deepEqual(told((await grid.edit(dir, [{ ...other, expect: lit('1') } as Edit])).outcomes), [done])
  t.is(grid.asked.writes, 2)
})

test('an unlink after a set is refused when the set is; after none of them it is EINVAL', async t => {
  const grid = new TinyGrid()
  const [one, two] = [lit('1'), lit('2')]
  const dir = grid.directory({ a: one, b: two, taken: two })
  const { outcomes } = await grid.edit(dir, [
    unlink('a', one, 'taken'),
    unlink('b', two, 'new'),
    set('taken', child('1')),
    set('new', child('2')),
  ])
  t.deepEqual(told(outcomes), [refused(one), done, refused(two), done])
  t.deepEqual([...grid.children(dir).keys()], ['a', 'taken', 'new'])
  await t.throwsAsync(grid.edit(dir, [unlink('a', one, 'b')]), { code: 'EINVAL' })
  await t.throwsAsync(grid.edit(dir, [set('c', child('1')), set('c', child('2'))]), { code: 'EINVAL' })
})

test('only a directory is edited, and only by a cap that can write', async t => {
  const grid = new TinyGrid()
  const dir = grid.directory()
  await t.throwsAsync(grid.edit(dir.readonly(), []), { code: 'EROFS' })
  await t.throwsAsync(grid.edit(grid.immutableDirectory({}), []), { code: 'EROFS' })
  await t.throwsAsync(grid.edit(grid.file('x'), []), { code: 'ENOTDIR' })
  grid.lose(dir)
  await t.throwsAsync(grid.edit(dir, []), { code: 'EAGAIN' })
})

test('the times of a link are the grid’s: first made stays, last changed moves, a client’s are not heard', async t => {
  const grid = new TinyGrid()
  const dir = grid.directory()
  const theirs = { tahoe: { linkcrtime: 1, linkmotime: 1 }, mine: true }
  const times = async (edit: Edit) => {
    const { listing } = await grid.edit(dir, [edit])
    const { tahoe, ...rest } = listing.children.get('a')!.metadata
    t.deepEqual(rest, { mine: true })
    return tahoe as { linkcrtime: number; linkmotime: number }
  }
  const first = await times(set('a', child('1', theirs)))
  t.true(first.linkcrtime > 1)
  t.is(first.linkmotime, first.linkcrtime)
  const second = await times(set('a', child('2', theirs), lit('1')))
  t.is(second.linkcrtime, first.linkcrtime)
  t.true(second.linkmotime > first.linkmotime)
})

test('no-write keeps only the half of a child that reads, and that is what was asked for', async t => {
  const grid = new TinyGrid()
  const [dir, sub] = [grid.directory(), grid.directory()]
  t.deepEqual(
    told((await grid.edit(dir, [set('s', { cap: sub, metadata: { 'no-write': true } })])).outcomes),
    [done],
  )
  t.is(grid.children(dir).get('s')!.cap.authority, 'read')
})

test('a new directory holds its children with the metadata they were given', async t => {
  const grid = new TinyGrid()
  const children = new Map<string, Child>([['a', { cap: lit('1'), metadata: { tahoe: 'mine', x: 1 } }]])
  const dir = await grid.mkdir(children)
  t.is(dir.authority, 'write')
  t.deepEqual(linked(grid.children(dir)), linked(children))
  t.is((await grid.list(await grid.mkdir())).children.size, 0)
  t.is(grid.asked.mkdir, 2)
  t.is(grid.asked.writes, 2)
})

test('an upload opens its source once, gives the cap of these bytes, and hears progress', async t => {
  const grid = new TinyGrid()
  const source = sourceOf(long, 30)
  let opened = 0
  const counting = {
    ...source,
    open() {
      opened++
      return source.open()
    },
  }
  const heard: number[] = []
  const cap = await grid.upload(counting, { onProgress: bytes => heard.push(bytes) })
  t.is(cap.uri(), new TinyGrid().file(long).uri())
  t.deepEqual(grid.bytes(cap), long)
  t.deepEqual(await bytesOf(grid.read(cap, { start: 0, end: 100 })), long)
  t.deepEqual(heard, [30, 60, long.length])
  t.is(opened, 1)
  t.is(grid.asked.upload, 1)
  t.is(grid.asked.sent, long.length)
})

test('at most 55 bytes are their own cap, and are asked of nobody', async t => {
  const grid = new TinyGrid()
  grid.full = true
  grid.notNow.upload = 1
  const cap = await grid.upload(sourceOf(long.subarray(0, 55)))
  t.is(cap.kind, 'LIT')
  t.deepEqual(grid.bytes(cap), long.subarray(0, 55))
  t.is(grid.asked.upload, 0)
})

test('a source that is not what it says is EIO; a full grid is ENOSPC', async t => {
  const grid = new TinyGrid()
  for (const size of [long.length - 1, long.length + 1]) {
    await t.throwsAsync(grid.upload({ ...sourceOf(long), size }), { code: 'EIO' })
  }
  const digest = createHash('sha256').update(long).digest('hex')
  await t.notThrowsAsync(grid.upload({ ...sourceOf(long), digest }))
  await t.throwsAsync(grid.upload({ ...sourceOf(Buffer.alloc(long.length)), digest }), { code: 'EIO' })
  grid.full = true
  await t.throwsAsync(grid.upload(sourceOf(long)), { code: 'ENOSPC' })
})

test('a lost answer is EAGAIN after the deed; "not now" is EAGAIN before it', async t => {
  const grid = new TinyGrid()
  const dir = grid.directory()
  const edits = [set('a', child('1'))]
  grid.notNow.edit = 1
  await t.throwsAsync(grid.edit(dir, edits), { code: 'EAGAIN' })
  t.is(grid.children(dir).size, 0)
  grid.lostAnswers.edit = 1
  await t.throwsAsync(grid.edit(dir, edits), { code: 'EAGAIN' })
  t.is(grid.children(dir).size, 1)
  t.deepEqual(told((await grid.edit(dir, edits)).outcomes), [done])
  t.is(grid.asked.edit, 3)
  t.is(grid.asked.writes, 1)
  grid.lostAnswers.upload = grid.lostAnswers.mkdir = 1
  await t.throwsAsync(grid.upload(sourceOf(long)), { code: 'EAGAIN' })
  t.deepEqual(grid.bytes(new TinyGrid().file(long)), long)
  await t.throwsAsync(grid.mkdir(), { code: 'EAGAIN' })
  t.is(grid.asked.writes, 2)
})

test('a question can be held, given up, and preceded by another’s change', async t => {
  const grid = new TinyGrid()
  const dir = grid.directory()
  const stop = new AbortController()
  const letGo = grid.hold('edit')
  const held = grid.edit(dir, [set('a', child('1'))], { signal: stop.signal })
  stop.abort()
  await t.throwsAsync(held, { code: 'EAGAIN' })
  letGo()
  t.is(grid.children(dir).size, 0)
  grid.before.edit = () => grid.set(dir, 'a', lit('theirs'))
  const { outcomes } = await grid.edit(dir, [set('a', child('1'))])
  t.deepEqual(told(outcomes), [refused(lit('theirs'))])
  const gone = new AbortController()
  const going = grid.upload(sourceOf(long, 10), {
    signal: gone.signal,
    onProgress: () => gone.abort(),
  })
  await t.throwsAsync(going, { code: 'EAGAIN' })
  t.is(grid.asked.sent, 10)
})

test('a tree is shown whole: files, targets, directories by any of their caps, and no loop is followed', t => {
  const grid = new TinyGrid()
  const inner = grid.directory({ deep: grid.mutable('deep') })
  const root = grid.directory({
    a: lit('1'),
    link: [lit('a'), { 'tahoe-nfs': { v: 1, type: 'symlink' } }],
    inner: inner.readonly(),
  })
  grid.set(inner, 'up', root)
  t.deepEqual(grid.toTree(root), {
    a: Buffer.from('1'),
    link: { symlink: 'a' },
    inner: { deep: Buffer.from('deep'), up: '[cap DIR2 write]' },
  })
})
