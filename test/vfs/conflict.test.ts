// Two sides change the same thing: neither loses what it wrote, and both are told of.

import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { Cap } from '../../src/tahoe/cap.ts'
import { State } from '../../src/vfs/state/state.ts'
import type { Tahoefs } from '../../src/vfs/tahoefs.ts'
import { Tree } from '../../src/vfs/tree/tree.ts'
import { Conflicts } from '../../src/vfs/write/conflicts.ts'
import { folder, hasty, namesIn, onlyAsked, openAt, opened, textOf } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'
import { make } from './walk.ts'

type World = { readonly grid: TinyGrid; readonly root: Cap; readonly fs: Tahoefs }

async function world(t: ExecutionContext, more: Parameters<typeof opened>[3] = {}): Promise<World> {
  const grid = new TinyGrid()
  const root = grid.directory({ f: grid.file('theirs, before'), d: grid.directory() })
  const fs = await opened(t, grid, root, { tempo: onlyAsked, patience: hasty, ...more })
  await fs.list(fs.root, 0n)
  return { grid, root, fs }
}

const rewrite = async (fs: Tahoefs, name: string, text: string) => {
  const { id } = await fs.lookup(fs.root, name)
  await fs.setattr(id, { size: 0 })
  await fs.write(id, 0, Buffer.from(text), true)
  return id
}
const text = async (fs: Tahoefs, name: string) => textOf(fs, (await fs.lookup(fs.root, name)).id)

test('a file that was changed here and on the grid is there twice, and both are told of', async t => {
  const { grid, root, fs } = await world(t)
  const id = await rewrite(fs, 'f', 'ours')
  const theirs = grid.file('theirs, after')
  grid.set(root, 'f', theirs)
  await fs.flush(null)
  const [conflict, ...others] = fs.status().conflicts
  t.deepEqual(others, [])
  t.is(conflict?.path, '/f')
  t.regex(conflict!.copy!, /^\/f \(conflict \S+ \d{4}-\d\d-\d\d \d{4}\)$/)
  const copy = conflict!.copy!.slice(1)
  t.deepEqual((await namesIn(fs, fs.root)).sort(), ['d', 'f', copy].sort())
  t.is(await text(fs, 'f'), 'theirs, after')
  t.is(await text(fs, copy), 'ours')
  t.is((await fs.lookup(fs.root, copy)).id, id) // whoever has it open goes on in the copy
  t.is(grid.bytes(grid.children(root).get(copy)!.cap).toString(), 'ours')
  t.true(grid.children(root).get('f')!.cap.same(theirs))
  await fs.remove(fs.root, copy)
  t.deepEqual(fs.status().conflicts, []) // somebody has seen to it
})

test('a name that was made here and on the grid is there twice', async t => {
  const { grid, root, fs } = await world(t)
  await make(fs, fs.root, 'new.txt', 'ours')
  grid.set(root, 'new.txt', grid.file('theirs'))
  await fs.flush(null)
  const copy = (await namesIn(fs, fs.root)).find(name => /^new \(conflict .*\)\.txt$/.test(name))
  t.is(await text(fs, 'new.txt'), 'theirs')
  t.is(await text(fs, copy!), 'ours')
})

test('a file that was changed here and removed on the grid is made again', async t => {
  const { grid, root, fs } = await world(t)
  await rewrite(fs, 'f', 'ours')
  grid.unset(root, 'f')
  await fs.flush(null)
  t.is(grid.bytes(grid.children(root).get('f')!.cap).toString(), 'ours')
  t.regex(fs.status().conflicts[0]!.what, /made again/)
})

test('a file that was removed here and changed on the grid is back', async t => {
  const { grid, root, fs } = await world(t)
  await fs.remove(fs.root, 'f')
  grid.set(root, 'f', grid.file('theirs, after'))
  await fs.flush(null)
  t.is(await text(fs, 'f'), 'theirs, after')
  t.regex(fs.status().conflicts[0]!.what, /it is back/)
})

test('of a file whose content changed on the grid, and whose mode changed here, the content is kept', async t => {
  const { grid, root, fs } = await world(t)
  const { id } = await fs.lookup(fs.root, 'f')
  await fs.setattr(id, { mode: 0o644 })
  grid.set(root, 'f', grid.file('theirs, after'))
  await fs.flush(null)
  t.is(await text(fs, 'f'), 'theirs, after')
  t.is((await fs.lookup(fs.root, 'f')).id, id)
  t.deepEqual((await namesIn(fs, fs.root)).sort(), ['d', 'f'])
})

test('a directory that was removed here, and into which something was put on the grid, is back', async t => {
  const { grid, root, fs } = await world(t)
  const { id } = await fs.lookup(fs.root, 'd')
  await fs.rmdir(fs.root, 'd')
  grid.set(grid.children(root).get('d')!.cap, 'theirs', grid.file('x'))
  await fs.flush(null)
  t.is((await fs.lookup(fs.root, 'd')).id, id)
  t.deepEqual([...grid.children(grid.children(root).get('d')!.cap).keys()], ['theirs'])
  t.regex(fs.status().conflicts[0]!.what, /it is back/)
})

test('a directory that was removed on the grid, and in which something waits, is made again', async t => {
  for (const published of [false, true]) {
    const { grid, root, fs } = await world(t, { ttl: 0 })
    const { id } = await fs.lookup(fs.root, 'd')
    await make(fs, id, 'ours', 'x')
    grid.unset(root, 'd')
    if (published) await fs.flush(null) // nobody has looked since
    await fs.list(fs.root, 0n)
    await fs.flush(null)
    const d = grid.children(root).get('d')
    t.deepEqual(d && [...grid.children(d.cap).keys()], ['ours'])
    t.regex(fs.status().conflicts[0]!.what, /made again/)
  }
})

test('what was removed in a directory stays removed, whichever side removed the directory', async t => {
  for (const here of [true, false]) {
    const grid = new TinyGrid()
    const d = grid.directory({ f: grid.file('f'), inner: grid.directory({ x: grid.file('x') }) })
    const root = grid.directory({ d })
    const fs = await opened(t, grid, root, { tempo: onlyAsked, patience: hasty, ttl: 0 })
    const { id } = await fs.lookup(fs.root, 'd')
    const inner = (await fs.lookup(id, 'inner')).id
    await fs.remove(id, 'f')
    await fs.remove(inner, 'x')
    await fs.rmdir(id, 'inner')
    if (here) {
      await fs.rmdir(fs.root, 'd')
      grid.set(d, 'theirs', grid.file('y'))
    } else {
      await make(fs, id, 'ours', 'y')
      grid.unset(root, 'd')
      await fs.list(fs.root, 0n)
    }
    await fs.flush(null)
    await fs.flush(null) // what waits in a directory that is back
    const left = here ? 'theirs' : 'ours'
    t.deepEqual(grid.toTree(root), { d: { [left]: Buffer.from('y') } })
    t.deepEqual(await namesIn(fs, (await fs.lookup(fs.root, 'd')).id), [left])
    t.is(fs.status().pending.files, 0)
    t.is(fs.status().conflicts.length, 1)
  }
})

test("other gateways' changes in the same directory survive ours", async t => {
  const { grid, root, fs } = await world(t)
  for (let round = 0; round < 10; round++) {
    await make(fs, fs.root, `ours ${round}`, `x${round}`)
    grid.set(root, `theirs ${round}`, grid.file(`y${round}`))
    if (round % 3 === 0) await fs.flush(null)
  }
  await fs.flush(null)
  const names = [...grid.children(root).keys()]
  for (let round = 0; round < 10; round++)
    t.true(names.includes(`ours ${round}`) && names.includes(`theirs ${round}`))
  t.deepEqual(fs.status().conflicts, [])
})

test('what two sides changed is remembered across a restart', async t => {
  const dir = await folder(t)
  const grid = new TinyGrid()
  const root = grid.directory({ f: grid.file('theirs, before') })
  const fs = await openAt(dir, grid, root, { tempo: onlyAsked })
  await rewrite(fs, 'f', 'ours')
  grid.set(root, 'f', grid.file('theirs, after'))
  await fs.flush(null)
  const before = fs.status().conflicts
  t.is(before.length, 1)
  await fs.close()
  const again = await openAt(dir, grid, root)
  t.deepEqual(again.status().conflicts, before)
  await again.close()
})

test('what two sides changed is told of for a week, and as long as there is a copy of it', async t => {
  const WEEK = 7 * 24 * 3600e3
  const dir = await folder(t)
  const grid = new TinyGrid()
  const root = grid.directory({ f: grid.file('theirs, before'), g: grid.file('theirs, before') })
  const fs = await openAt(dir, grid, root, { tempo: onlyAsked })
  await rewrite(fs, 'f', 'ours')
  await rewrite(fs, 'g', 'ours')
  grid.set(root, 'f', grid.file('theirs, after'))
  grid.unset(root, 'g')
  await fs.flush(null)
  const both = fs.status().conflicts
  t.deepEqual(both.map(({ path, copy }) => [path, copy !== null]).sort(), [
    ['/f', true],
    ['/g', false],
  ])
  await fs.close()

  const state = await State.open(join(dir, 'state'), root.uri())
  const tree = new Tree(state, root)
  const conflicts = new Conflicts(tree)
  const { at } = both.find(({ copy }) => copy === null)!
  t.deepEqual(conflicts.review(at + WEEK), [])
  t.deepEqual(conflicts.list(), both)
  await tree.write(conflicts.review(at + 100 * WEEK))
  await state.close()

  const again = await openAt(dir, grid, root)
  t.deepEqual(
    again.status().conflicts,
    both.filter(({ copy }) => copy !== null),
  )
  await again.close()
})
