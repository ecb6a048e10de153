// Mutable files are written in their place: cap and name stay, and what others wrote meanwhile is not lost.

import test, { type ExecutionContext } from 'ava'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { Tahoefs } from '../../src/vfs/tahoefs.ts'
import { MUTABLE_MAX } from '../../src/vfs/write/adoption.ts'
import { Mortal } from '../support/mortal.ts'
import {
  folder,
  hasty,
  namesIn,
  onlyAsked,
  openAt,
  opened,
  quick,
  settled,
  textOf,
} from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'

type World = { readonly grid: TinyGrid; readonly root: Cap; readonly cap: Cap; readonly fs: Tahoefs }

async function world(
  t: ExecutionContext,
  content = 'as it was',
  more: Parameters<typeof opened>[3] = {},
): Promise<World> {
  const grid = new TinyGrid()
  const cap = grid.mutable(Buffer.from(content))
  const root = grid.directory({ m: cap, other: grid.file('other') })
  const fs = await opened(t, grid, root, { tempo: onlyAsked, patience: hasty, ...more })
  return { grid, root, cap, fs }
}

const idOf = async (fs: Tahoefs, name = 'm') => (await fs.lookup(fs.root, name)).id
const text = async (fs: Tahoefs, name = 'm') => textOf(fs, await idOf(fs, name))

test('a mutable file is overwritten in its place: its cap stays under its name, and so does its inode', async t => {
  const { grid, root, cap, fs } = await world(t)
  const m = await fs.lookup(fs.root, 'm')
  t.true(m.writable)
  await fs.write(m.id, 3, Buffer.from('IT'), 'stable')
  t.is(await text(fs), 'as IT was')
  t.is(grid.bytes(cap).toString(), 'as it was')
  await fs.flush(null)
  t.is(grid.bytes(cap).toString(), 'as IT was')
  t.is(grid.children(root).get('m')!.cap.uri(), cap.uri())
  t.like(grid.asked, { overwrite: 1, upload: 0 })
  t.is(await idOf(fs), m.id)
  const before = await fs.getattr(m.id)
  t.is(await text(fs), 'as IT was')
  await fs.write(m.id, 9, Buffer.from(', and more'), 'unstable')
  await fs.flush(null)
  t.is(grid.bytes(cap).toString(), 'as IT was, and more')
  t.true((await fs.getattr(m.id)).mtime > before.mtime)
  t.is(fs.status().pending.files, 0)
})

test('publishing a mutable file changes no attribute that was seen, now or after a restart', async t => {
  const { grid, root } = await world(t)
  const dir = await folder(t)
  const fs = await openAt(dir, grid, root, { tempo: onlyAsked })
  const id = await idOf(fs)
  await fs.write(id, 0, Buffer.from('other content'), 'stable')
  await fs.setattr(id, { mode: 0o640 })
  const shown = await fs.getattr(id)
  await fs.flush(null)
  t.deepEqual(await fs.getattr(id), shown)
  await fs.close()
  const again = await openAt(dir, grid, root, { tempo: onlyAsked })
  t.teardown(() => again.close())
  t.deepEqual(await again.lookup(again.root, 'm'), shown)
  const elsewhere = await opened(t, grid, root)
  t.like(await elsewhere.lookup(elsewhere.root, 'm'), { mode: 0o640, size: 13, mtime: shown.mtime })
})

test('it is cut to nothing without being read, and cut or prolonged with what it had', async t => {
  const { grid, cap, fs } = await world(t, 'x'.repeat(3 << 20))
  const id = await idOf(fs)
  await fs.setattr(id, { size: 0 })
  t.is(grid.asked.read, 0)
  await fs.write(id, 0, Buffer.from('short'), 'stable')
  await fs.flush(null)
  t.is(grid.bytes(cap).toString(), 'short')
  await fs.setattr(id, { size: 3 })
  t.is(await text(fs), 'sho')
  await fs.setattr(id, { size: 6 })
  await fs.flush(null)
  t.is(grid.bytes(cap).toString(), 'sho\0\0\0')
  await fs.create(fs.root, 'm', { mode: 'unchecked', attrs: { size: 0 } })
  await fs.flush(null)
  t.is(grid.bytes(cap).length, 0)
  await t.throwsAsync(fs.write(id, MUTABLE_MAX, Buffer.from('x'), 'stable'), { code: 'EFBIG' })
  await t.throwsAsync(fs.setattr(id, { size: MUTABLE_MAX + 1 }), { code: 'EFBIG' })
})

test('many writers at once bring its content here once, and none of their bytes is lost', async t => {
  const { grid, cap, fs } = await world(t, '.'.repeat(5 << 20))
  const id = await idOf(fs)
  await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      fs.write(id, i * 262_144, Buffer.from(`${i}!`), (['unstable', 'kept', 'stable'] as const)[i % 3]!),
    ),
  )
  await fs.flush(null)
  const bytes = grid.bytes(cap)
  t.is(bytes.length, 5 << 20)
  for (let i = 0; i < 20; i++)
    t.is(bytes.toString('latin1', i * 262_144, i * 262_144 + 4), `${i}!..`.slice(0, 4))
  t.is(grid.asked.overwrite, 1)
  t.true(grid.asked.bytes <= (5 << 20) + (1 << 20))
})

test('a mutable file that was changed here and on the grid is there twice, and both are told of', async t => {
  const { grid, root, cap, fs } = await world(t)
  const id = await idOf(fs)
  await fs.write(id, 0, Buffer.from('ours'), 'stable')
  grid.overwriteWith(cap, 'theirs')
  await fs.flush(null)
  await settled(() => fs.status().pending.files === 0)
  const [conflict, ...others] = fs.status().conflicts
  t.deepEqual(others, [])
  t.is(conflict?.path, '/m')
  t.is(grid.bytes(cap).toString(), 'theirs')
  t.is(await text(fs, 'm'), 'theirs')
  const copy = conflict!.copy!.slice(1)
  t.is(await text(fs, copy), 'ourst was')
  t.is(grid.bytes(grid.children(root).get(copy)!.cap).toString(), 'ourst was')
  t.is(grid.children(root).get('m')!.cap.uri(), cap.uri())
  t.is(await idOf(fs, copy), id)
})

test('a write whose answer was lost is found to be done, also by the next process', async t => {
  const { grid, root, cap } = await world(t)
  const dir = await folder(t)
  const fs = await openAt(dir, grid, root, { tempo: quick, patience: hasty })
  const id = await idOf(fs)
  grid.lostAnswers.overwrite = 1
  await fs.write(id, 0, Buffer.from('once'), 'stable')
  await fs.flush(null)
  t.is(grid.bytes(cap).toString(), 'oncet was')
  t.deepEqual(fs.status().conflicts, [])
  grid.lostAnswers.overwrite = 1
  const hold = grid.hold('stat')
  await fs.write(id, 0, Buffer.from('ONCE'), 'stable')
  await settled(() => grid.bytes(cap).toString() === 'ONCEt was')
  await fs.close()
  hold()
  const again = await openAt(dir, grid, root, { tempo: quick, patience: hasty })
  t.teardown(() => again.close())
  await again.flush(null)
  await settled(() => again.status().pending.files === 0)
  t.deepEqual(again.status().conflicts, [])
  t.deepEqual(await namesIn(again, again.root), ['m', 'other'])
  t.is(grid.bytes(cap).toString(), 'ONCEt was')
})

test('what was written to a mutable file is there after a restart without the grid, and published later', async t => {
  const { grid, root, cap } = await world(t)
  const dir = await folder(t)
  const fs = await openAt(dir, grid, root, { tempo: onlyAsked, patience: hasty })
  const id = await idOf(fs)
  await fs.write(id, 2, Buffer.from(' kept'), 'stable')
  await fs.close()
  grid.notNow.overwrite = grid.notNow.read = grid.notNow.stat = Number.POSITIVE_INFINITY
  const again = await openAt(dir, grid, root, { tempo: onlyAsked, patience: hasty })
  t.teardown(() => again.close())
  t.is(await textOf(again, id), 'as keptas')
  grid.notNow.overwrite = grid.notNow.read = grid.notNow.stat = 0
  await again.flush(null)
  t.is(grid.bytes(cap).toString(), 'as keptas')
})

test('without the grid its first change is refused for now, and nothing of it is lost', async t => {
  const { grid, cap, fs } = await world(t)
  const id = await idOf(fs)
  grid.notNow.read = Number.POSITIVE_INFINITY
  await t.throwsAsync(fs.write(id, 0, Buffer.from('x'), 'stable'), { code: 'EIO' })
  grid.notNow.read = 0
  t.is(fs.status().pending.files, 0)
  t.is(grid.bytes(cap).toString(), 'as it was')
})

test('a write while it is published is in the next version', async t => {
  const { grid, cap, fs } = await world(t, 'as it was', { tempo: quick })
  const id = await idOf(fs)
  const go = grid.hold('overwrite')
  await fs.write(id, 0, Buffer.from('AS'), 'stable')
  await settled(() => grid.asked.overwrite === 1)
  await fs.write(id, 3, Buffer.from('IT'), 'stable')
  go()
  await settled(() => grid.bytes(cap).toString() === 'AS IT was' && fs.status().pending.files === 0)
  t.deepEqual(fs.status().conflicts, [])
  t.is(await text(fs), 'AS IT was')
})

test('it is renamed, linked and removed like any other while a change of it waits', async t => {
  const { grid, root, cap, fs } = await world(t)
  const id = await idOf(fs)
  await fs.write(id, 0, Buffer.from('AS'), 'stable')
  await fs.rename(fs.root, 'm', fs.root, 'n')
  await fs.link(id, fs.root, 'l')
  await fs.flush(null)
  for (const name of ['n', 'l']) t.is(grid.children(root).get(name)!.cap.uri(), cap.uri())
  t.is(grid.bytes(cap).toString(), 'AS it was')
  await fs.write(id, 0, Buffer.from('gone'), 'stable')
  await fs.remove(fs.root, 'n')
  await fs.remove(fs.root, 'l')
  await fs.flush(null)
  t.deepEqual([...grid.children(root).keys()], ['other'])
  t.is(grid.bytes(cap).toString(), 'AS it was')
})

test('by a cap that only reads, or in a directory that cannot be written, a mutable file is not written to', async t => {
  const grid = new TinyGrid()
  const cap = grid.mutable('m')
  const dir = grid.directory({ m: cap })
  const root = grid.directory({ m: cap.readonly(), d: dir.readonly() })
  const fs = await opened(t, grid, root, { tempo: onlyAsked })
  const d = await idOf(fs, 'd')
  for (const { id } of [await fs.lookup(fs.root, 'm'), await fs.lookup(d, 'm')]) {
    await t.throwsAsync(fs.write(id, 0, Buffer.from('x'), 'stable'), { code: 'EROFS' })
    await t.throwsAsync(fs.setattr(id, { size: 0 }), { code: 'EROFS' })
  }
})

test('an answer that was on its way while a change of ours was published takes nothing of it back', async t => {
  const { grid, cap, fs } = await world(t, 'as it was', { tempo: quick, ttl: 1 })
  const id = await idOf(fs)
  const answered = Promise.withResolvers<void>()
  const { stat } = grid
  let asked = false
  grid.stat = async (...args) => {
    const found = await stat.apply(grid, args)
    asked = true
    await answered.promise
    return found
  }
  const early = fs.getattr(id)
  await settled(() => asked)
  grid.stat = stat
  await fs.setattr(id, { size: 0 })
  await fs.write(id, 0, Buffer.from('new'), 'stable')
  await fs.flush(null)
  await settled(() => fs.status().pending.files === 0)
  answered.resolve()
  await early
  t.is((await fs.getattr(id)).size, 3)
  t.is(await text(fs), 'new')
  await fs.setattr(id, { size: 0 })
  await fs.flush(null)
  t.deepEqual(fs.status().conflicts, [])
  t.is(grid.bytes(cap).length, 0)
})

for (const where of ['beside it', 'into another directory', 'into a new directory', 'and back'])
  test(`a mutable file that was renamed ${where}, and changed here and on the grid, is there twice`, async t => {
    const grid = new TinyGrid()
    const cap = grid.mutable('as it was')
    const dir = grid.directory()
    const root = grid.directory({ m: cap, d: dir })
    const fs = await opened(t, grid, root, { tempo: onlyAsked, patience: hasty })
    const id = await idOf(fs)
    if (where.includes('new')) await fs.mkdir(fs.root, 'new', {})
    const to = where.includes('into') ? await idOf(fs, where.includes('new') ? 'new' : 'd') : fs.root
    await fs.write(id, 0, Buffer.from('ours'), 'stable')
    await fs.rename(fs.root, 'm', to, 'n')
    if (where === 'and back') await fs.rename(to, 'n', fs.root, 'm')
    grid.overwriteWith(cap, 'theirs')
    await fs.flush(null)
    await settled(() => fs.status().pending.files === 0)
    await fs.flush(null)
    const made = grid.children(root).get('new')?.cap
    const files = [root, dir, ...(made ? [made] : [])]
      .flatMap(each => [...grid.children(each).values()])
      .filter(of => of.cap.type === 'file')
    t.deepEqual(files.map(of => grid.bytes(of.cap).toString()).sort(), ['ourst was', 'theirs'])
    t.true(files.some(of => of.cap.uri() === cap.uri()))
    t.is(fs.status().conflicts.length, 1)
    const { id: theirs } = await fs.lookup(to, where === 'and back' ? 'm' : 'n')
    t.is(await textOf(fs, theirs), 'theirs')
    await fs.write(theirs, 0, Buffer.from('T'), 'stable')
    await fs.flush(null)
    t.is(grid.bytes(cap).toString(), 'Theirs')
  })

test('a mutable file with two names that was changed here and on the grid keeps both contents', async t => {
  const { grid, root, cap, fs } = await world(t)
  const id = await idOf(fs)
  await fs.link(id, fs.root, 'a')
  await fs.write(id, 0, Buffer.from('ours'), 'stable')
  grid.overwriteWith(cap, 'theirs')
  await fs.flush(null)
  await settled(() => fs.status().pending.files === 0)
  const contents = new Set([...grid.children(root).values()].map(child => grid.bytes(child.cap).toString()))
  t.deepEqual([...contents].sort(), ['other', 'ourst was', 'theirs'])
})

test('a mutable file that was removed here, and written to on the grid, is back, and told of', async t => {
  const { grid, root, cap, fs } = await world(t)
  t.is(await text(fs), 'as it was')
  await fs.remove(fs.root, 'm')
  grid.overwriteWith(cap, 'theirs')
  await fs.flush(null)
  t.is(grid.children(root).get('m')!.cap.uri(), cap.uri())
  t.is(await text(fs), 'theirs')
  t.like(fs.status().conflicts, { 0: { path: '/m', copy: null }, length: 1 })
})

test('a file that replaced a mutable one here, while that was written to on the grid, is beside it', async t => {
  const { grid, root, cap, fs } = await world(t)
  t.is(await text(fs), 'as it was')
  const saved = await fs.create(fs.root, 'saved', { mode: 'unchecked', attrs: {} })
  await fs.write(saved.attr.id, 0, Buffer.from('ours'), 'stable')
  await fs.rename(fs.root, 'saved', fs.root, 'm')
  grid.overwriteWith(cap, 'theirs')
  await fs.flush(null)
  const [conflict, ...others] = fs.status().conflicts
  t.deepEqual(others, [])
  t.is(await text(fs), 'theirs')
  const copy = conflict!.copy!.slice(1)
  t.is(await text(fs, copy), 'ours')
  t.deepEqual([...grid.children(root).keys()].sort(), ['m', copy, 'other'].sort())
  t.is(grid.children(root).get('m')!.cap.uri(), cap.uri())
})

test('a mutable file that nobody else wrote to goes when it is removed, at the cost of one question', async t => {
  const { grid, root, fs } = await world(t)
  t.is(await text(fs), 'as it was')
  const { stat } = grid.asked
  await fs.remove(fs.root, 'm')
  await fs.flush(null)
  t.deepEqual([...grid.children(root).keys()], ['other'])
  t.is(grid.asked.stat, stat + 1)
})

test('what the grid has is not published once more by the next start, and is no conflict with what others write', async t => {
  const { grid, root, cap } = await world(t)
  const dir = await folder(t)
  const first = await Mortal.open(dir, grid, root, undefined, { tempo: onlyAsked })
  const id = await idOf(first.fs)
  await first.fs.write(id, 0, Buffer.from('no longer'), 'stable')
  await first.fs.setattr(id, { size: 5 }) // a change that no extent is of
  const release = grid.hold('edit')
  first.fs.flush(null).catch(() => {}) // it ends with this process
  await settled(() => grid.asked.edit === 1)
  t.is(grid.bytes(cap).toString(), 'no lo')
  await first.machine.die(first.fs)
  release()
  grid.overwriteWith(cap, Buffer.from('theirs'))
  const { machine, fs } = await Mortal.open(dir, grid, root, undefined, { tempo: onlyAsked })
  t.teardown(() => machine.die(fs))
  await fs.flush(null)
  t.is(grid.asked.overwrite, 1)
  t.deepEqual(fs.status().conflicts, [])
  t.deepEqual(await namesIn(fs, fs.root), ['m', 'other'])
  t.is(await text(fs), 'theirs')
})
