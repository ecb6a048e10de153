// Inodes, names, times and cookies over a grid whose directories change.

import test from 'ava'
import { litCap, parseCap, unknownCap } from '../../src/tahoe/cap.ts'
import { parseExact } from '../../src/tahoe/format/json.ts'
import type { Metadata } from '../../src/tahoe/grid.ts'
import { capMark } from '../../src/vfs/tree/edge.ts'
import { Snapshot } from '../../src/vfs/tree/snapshot.ts'
import type { Attr } from '../../src/vfs/vfs.ts'
import { folder, hasty, namesIn, openAt, opened, textOf } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'

/** Every question asks the grid. */
const never = { ttl: 0, patience: hasty } as const

const same = (a: Attr, b: Attr) =>
  a.mtime === b.mtime && a.ctime === b.ctime && a.size === b.size && a.id === b.id

test('ids, generations, times and cookies survive a restart, and refreshes that bring nothing new', async t => {
  const grid = new TinyGrid()
  const inner = grid.directory({ deep: grid.file('deep') })
  const root = grid.directory({ a: grid.file('a'), b: grid.file('b'), inner })
  const dir = await folder(t)
  const look = async () => {
    const fs = await openAt(dir, grid, root, never)
    const entries = [...(await fs.list(fs.root, 0n))]
    const deep = await fs.lookup((await fs.lookup(fs.root, 'inner')).id, 'deep')
    const attrs = [await fs.getattr(fs.root), await fs.getattr(deep.id)]
    await fs.close()
    return { entries, deep, attrs }
  }
  const first = await look()
  t.is(first.entries.length, 3)
  t.deepEqual(await look(), first)
  t.deepEqual(await look(), first)
})

test('a handle is good before anything was listed by this process, also without the grid', async t => {
  const grid = new TinyGrid()
  const inner = grid.directory({ deep: grid.file('deep') })
  const root = grid.directory({ inner })
  const dir = await folder(t)
  const fs = await openAt(dir, grid, root)
  const deep = await fs.lookup((await fs.lookup(fs.root, 'inner')).id, 'deep')
  t.is(await textOf(fs, deep.id), 'deep')
  await fs.close()
  const asked = { ...grid.asked }
  grid.notNow.list = grid.notNow.read = Number.POSITIVE_INFINITY
  const again = await openAt(dir, grid, root, { patience: hasty })
  t.teardown(() => again.close())
  t.deepEqual(await again.getattr(deep.id), deep)
  t.is(await textOf(again, deep.id), 'deep')
  t.is(grid.asked.read, asked.read)
})

test('other content under a name keeps its id and changes both times; the same content changes nothing', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ a: grid.file('one') })
  const fs = await opened(t, grid, root, never)
  const one = await fs.lookup(fs.root, 'a')
  grid.set(root, 'a', [grid.file('one'), { mtime: 5 }]) // only its metadata is new
  t.deepEqual(await fs.lookup(fs.root, 'a'), one)
  grid.set(root, 'a', grid.file('three'))
  const three = await fs.lookup(fs.root, 'a')
  t.is(three.id, one.id)
  t.is(three.generation, one.generation)
  t.is(three.size, 5)
  t.not(three.mtime, one.mtime)
  t.true(three.ctime > one.ctime)
  t.is(await textOf(fs, one.id), 'three')
})

test('both times differ from those before even when the metadata gives the same time again', async t => {
  const grid = new TinyGrid()
  const root = grid.directory()
  const link = (text: string) => {
    const cap = grid.file(text)
    grid.set(root, 'a', [
      cap,
      { 'tahoe-nfs': { v: 1, of: capMark(cap), mtime: '1000.000000001', mode: 0o444 } },
    ])
  }
  link('first')
  const fs = await opened(t, grid, root, never)
  const seen = [await fs.lookup(fs.root, 'a')]
  t.is(seen[0]!.mtime, 1000000000001n)
  for (const text of ['second', 'third', 'first', 'second']) {
    link(text)
    seen.push(await fs.lookup(fs.root, 'a'))
    const [before, after] = seen.slice(-2) as [Attr, Attr]
    t.not(after.mtime, before.mtime)
    t.true(after.ctime > before.ctime)
  }
})

test('a name whose type changed leads to a new inode, and the old one is stale', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ x: grid.file('file') })
  const fs = await opened(t, grid, root, never)
  const ids = [(await fs.lookup(fs.root, 'x')).id]
  const target = grid.file('target')
  const link = { 'tahoe-nfs': { v: 1, of: capMark(target), type: 'symlink' } }
  for (const [what, kind] of [
    [grid.directory(), 'directory'],
    [grid.file('file'), 'file'],
    [[target, link], 'symlink'],
    [target, 'file'],
    [grid.directory(), 'directory'],
    [grid.directory(), 'directory'],
  ] as const) {
    grid.set(root, 'x', what as never)
    const now = await fs.lookup(fs.root, 'x')
    t.is(now.kind, kind)
    t.false(ids.includes(now.id))
    await t.throwsAsync(fs.getattr(ids.at(-1)!), { code: 'ESTALE' })
    ids.push(now.id)
  }
})

test('a directory reached by two paths is one inode, whatever each path may do with it', async t => {
  const grid = new TinyGrid()
  const shared = grid.directory({ f: grid.file('f') })
  const p = grid.directory({ one: shared })
  const q = grid.directory({ two: shared.readonly(), twice: shared })
  const root = grid.directory({ p, q })
  const fs = await opened(t, grid, root, never)
  const [inP, inQ] = [(await fs.lookup(fs.root, 'p')).id, (await fs.lookup(fs.root, 'q')).id]
  const one = await fs.lookup(inP, 'one')
  const two = await fs.lookup(inQ, 'two')
  t.is(two.id, one.id)
  t.is((await fs.lookup(inQ, 'twice')).id, one.id)
  for (let i = 0; i < 3; i++) {
    await fs.list(inP, 0n)
    await fs.list(inQ, 0n)
    t.deepEqual(await fs.lookup(inP, 'one'), one) // it does not become read-only and back
  }
  grid.unset(p, 'one')
  await fs.list(inP, 0n)
  t.is((await fs.getattr(one.id)).id, one.id)
  grid.unset(q, 'two')
  grid.unset(q, 'twice')
  await fs.list(inQ, 0n)
  await t.throwsAsync(fs.getattr(one.id), { code: 'ESTALE' })
  await t.throwsAsync(fs.list(one.id, 0n), { code: 'ESTALE' })
})

test('one directory under two names of one listing is one inode from the first listing on', async t => {
  const grid = new TinyGrid()
  const shared = grid.directory()
  const root = grid.directory({ a: shared, b: shared })
  const fs = await opened(t, grid, root, never)
  const { id } = await fs.lookup(fs.root, 'a')
  t.is((await fs.lookup(fs.root, 'b')).id, id)
  grid.unset(root, 'a')
  t.is((await fs.lookup(fs.root, 'b')).id, id)
  grid.unset(root, 'b')
  await t.throwsAsync(fs.lookup(fs.root, 'b'), { code: 'ENOENT' })
  await t.throwsAsync(fs.getattr(id), { code: 'ESTALE' })
})

test('a directory that holds itself, or what holds it, is walked without end and without harm', async t => {
  const grid = new TinyGrid()
  const root = grid.directory()
  const inner = grid.directory({ up: root })
  grid.set(inner, 'self', inner)
  grid.set(root, 'inner', inner)
  grid.set(root, 'me', root)
  const fs = await opened(t, grid, root, never)
  t.is((await fs.lookup(fs.root, 'me')).id, fs.root)
  const { id } = await fs.lookup(fs.root, 'inner')
  t.is((await fs.lookup(id, 'self')).id, id)
  t.is((await fs.lookup(id, 'up')).id, fs.root)
  t.is((await fs.lookup(id, '..')).id, fs.root)
  t.is((await fs.lookup(fs.root, '..')).id, fs.root)
  grid.unset(root, 'me')
  t.deepEqual(await namesIn(fs, fs.root), ['inner'])
  t.is((await fs.getattr(fs.root)).id, fs.root)
})

test('a directory that was moved keeps its id, is never stale meanwhile, and its .. is the new place', async t => {
  const grid = new TinyGrid()
  const moving = grid.directory({ f: grid.file('f') })
  const [p, q] = [grid.directory({ moving }), grid.directory()]
  const root = grid.directory({ p, q })
  const fs = await opened(t, grid, root, never)
  const [inP, inQ] = [(await fs.lookup(fs.root, 'p')).id, (await fs.lookup(fs.root, 'q')).id]
  const { id } = await fs.lookup(inP, 'moving')
  t.is((await fs.lookup(id, '..')).id, inP)
  grid.set(q, 'renamed', moving)
  grid.unset(p, 'moving')
  t.is((await fs.lookup(inQ, 'renamed')).id, id)
  await fs.list(inP, 0n)
  t.is((await fs.getattr(id)).id, id)
  t.is((await fs.lookup(id, '..')).id, inQ)
  t.is((await fs.lookup(id, 'f')).size, 1)
})

test('a directory that went and came back is the same inode; a file that did is another', async t => {
  const grid = new TinyGrid()
  const d = grid.directory({ f: grid.file('f') })
  const root = grid.directory({ d, x: grid.file('x') })
  const dir = await folder(t)
  let fs = await openAt(dir, grid, root, never)
  const before = [(await fs.lookup(fs.root, 'd')).id, (await fs.lookup(fs.root, 'x')).id] as const
  const inner = await fs.lookup(before[0]!, 'f')
  grid.unset(root, 'd')
  grid.unset(root, 'x')
  t.deepEqual(await namesIn(fs, fs.root), [])
  for (const id of before) await t.throwsAsync(fs.getattr(id), { code: 'ESTALE' })
  await t.throwsAsync(fs.read(before[1]!, 0, 1), { code: 'ESTALE' })
  await fs.close()
  fs = await openAt(dir, grid, root, never)
  for (const id of before) await t.throwsAsync(fs.getattr(id), { code: 'ESTALE' })
  grid.set(root, 'elsewhere', d)
  grid.set(root, 'x', grid.file('x'))
  t.is((await fs.lookup(fs.root, 'elsewhere')).id, before[0])
  t.deepEqual(await fs.lookup(before[0], 'f'), inner)
  t.true((await fs.lookup(fs.root, 'x')).id > before[1]!)
  await fs.close()
})

test('the times of a directory move when its listing changes, strictly, and not otherwise', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ a: grid.file('a') })
  const fs = await opened(t, grid, root, never)
  let before = await fs.getattr(fs.root)
  const moved = async () => {
    await fs.list(fs.root, 0n)
    const now = await fs.getattr(fs.root)
    const strictly = now.mtime > before.mtime && now.ctime > before.ctime
    t.true(strictly || same(now, before))
    before = now
    return strictly
  }
  t.false(await moved(), 'the first listing tells what was there')
  t.false(await moved(), 'nothing changed')
  grid.set(root, 'b', grid.file('b'))
  t.true(await moved(), 'a name came')
  t.false(await moved())
  grid.set(root, 'b', grid.file('c'))
  t.true(await moved(), 'a name leads elsewhere')
  grid.set(root, 'b', [grid.file('c'), { anything: 1 }])
  t.false(await moved(), 'only metadata changed')
  grid.unset(root, 'a')
  t.true(await moved(), 'a name went')
  t.false(await moved())
})

test('a walk with cookies sees each name that stayed exactly once, while others come and go, across restarts', async t => {
  const grid = new TinyGrid()
  const root = grid.directory()
  for (let i = 0; i < 30; i++) grid.set(root, `stays ${i}`, grid.file(`${i}`))
  for (let i = 0; i < 30; i++) grid.set(root, `goes ${i}`, grid.file(`${i}`))
  const dir = await folder(t)
  let fs = await openAt(dir, grid, root, never)
  const seen: string[] = []
  const cookies = new Set<bigint>()
  let cookie = 0n
  for (let step = 0; ; step++) {
    const page = [...(await fs.list(fs.root, cookie))].slice(0, 7)
    if (page.length === 0) break
    for (const entry of page) {
      t.true(entry.cookie > cookie)
      t.false(cookies.has(entry.cookie))
      cookies.add(entry.cookie)
      cookie = entry.cookie
      seen.push(entry.name)
    }
    if (step < 6) {
      for (let i = 0; i < 4; i++) grid.unset(root, `goes ${step * 4 + i}`)
      grid.set(root, `comes ${step}`, grid.file('new'))
      grid.set(root, `stays ${step}`, grid.file('other content'))
    }
    if (step % 3 === 1) {
      await fs.close()
      fs = await openAt(dir, grid, root, never)
    }
  }
  const stayed = seen.filter(name => name.startsWith('stays'))
  t.is(new Set(stayed).size, 30)
  t.is(stayed.length, 30)
  t.is(new Set(seen).size, seen.length)
  grid.set(root, 'goes 0', grid.file('0'))
  const [last] = [...(await fs.list(fs.root, cookie))].slice(-1)
  t.is(last?.name, 'goes 0')
  t.false(cookies.has(last!.cookie)) // a cookie is never given again
  await fs.close()
})

test('what no cap here can read is shown, and refused when it is read', async t => {
  const grid = new TinyGrid()
  const odd = {
    future: unknownCap('URI:FUTURE:write', 'ro.URI:FUTURE-RO:read'),
    imm: parseCap('imm.URI:FUTURE:xyz'),
    nothing: unknownCap(null, null),
    verify: grid.file('v').verify()!,
    good: grid.file('good'),
  }
  const root = grid.directory(odd)
  const dir = await folder(t)
  for (let run = 0; run < 2; run++) {
    const fs = await openAt(dir, grid, root, never)
    t.deepEqual((await namesIn(fs, fs.root)).sort(), Object.keys(odd).sort())
    for (const name of ['future', 'imm', 'nothing', 'verify']) {
      const attr = await fs.lookup(fs.root, name)
      t.is(attr.kind, 'file')
      await t.throwsAsync(fs.read(attr.id, 0, 1), { code: 'EACCES' }, name)
    }
    t.is(await textOf(fs, (await fs.lookup(fs.root, 'good')).id), 'good')
    await fs.close()
  }
})

test('a number in the metadata keeps every digit, also in the state', t => {
  const text = '{"ns":1795354431740123456,"n":7}'
  const edge = {
    real: 'a',
    name: 'a',
    cookie: 1n,
    id: 2n,
    cap: litCap(Buffer.from('x')),
    metadata: parseExact(text) as Metadata,
  }
  const [again] = Snapshot.unpack(new Snapshot([edge], 2n).pack()).edges
  t.is(JSON.stringify(again!.metadata), text)
})
