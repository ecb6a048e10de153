import test, { type ExecutionContext } from 'ava'
import { DatabaseSync } from 'node:sqlite'
import { readdirSync } from 'node:fs'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { Tahoefs } from '../../src/vfs/tahoefs.ts'
import { folder, hasty, namesIn, onlyAsked, openAt, opened, quick, settled, textOf } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'
import { disk } from '../../src/vfs/write/disk.ts'
import { noise } from './tree.ts'
import { make } from './walk.ts'

const within = (p: Promise<unknown>, ms: number) =>
  Promise.race([p.then(() => 'done', e => `error ${e}`), new Promise(r => setTimeout(() => r('HANGS'), ms))])
const slowDisk = (gate: { wait: Promise<void> | null }) => ({
  ...disk,
  open: async (path: string, how: 'new' | 'read') => {
    const file = await disk.open(path, how)
    const sync = file.sync.bind(file)
    file.sync = async () => { if (gate.wait) await gate.wait; return sync() }
    return file
  },
})

for (const first of ['setattr', 'gate'] as const)
test.serial(`AL a commit that waits for the next group returns before it is durable (${first})`, async t => {
  const grid = new TinyGrid()
  const root = grid.directory({})
  const dir = await folder(t)
  const gate: { wait: Promise<void> | null } = { wait: null }
  const fs = await openAt(dir, grid, root, { tempo: onlyAsked, disk: slowDisk(gate) })
  await fs.list(fs.root, 0n)
  let bad = 0
  const db = new DatabaseSync(`${dir}/state/state.db`, { readOnly: true })
  const count = (id: bigint) => Number(db.prepare('SELECT max(seq) AS n FROM extent WHERE id = ?').get(id)!['n'])
  const [f0, f1, f2, f3] = [await make(fs, fs.root, 'f0', 'x'), await make(fs, fs.root, 'f1', 'x'), await make(fs, fs.root, 'f2', 'x'), await make(fs, fs.root, 'f3', noise(100, 'x'))]
  for (let i = 0; i < 10; i++) {
    await fs.write(f1!, 0, noise(100 + i, 'a'), false)
    await fs.write(f2!, 0, noise(100 + i, 'b'), false)
    const before = count(f2!)
    const g = Promise.withResolvers<void>()
    gate.wait = g.promise
    const p1 = fs.commit(f1!)
    await new Promise(setImmediate)
    const p2 = fs.commit(f2!).then(() => { if (count(f2!) === before) bad++ })
    await new Promise(setImmediate)
    gate.wait = null
    if (first === 'gate') g.resolve()
    const p0 = fs.setattr(f0!, { mode: 0o600 + i })
    const p3 = fs.setattr(f3!, { size: 50 - i })
    g.resolve()
    await Promise.all([p0, p1, p2, p3])
  }
  db.close()
  await fs.close()
  t.is(bad, 0)
})

test.serial('AL random', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({})
  const dir = await folder(t)
  const fs = await openAt(dir, grid, root, { tempo: quick })
  await fs.list(fs.root, 0n)
  let bad = 0, all = 0
  const db = new DatabaseSync(`${dir}/state/state.db`, { readOnly: true })
  const of = (id: bigint) => db.prepare('SELECT (SELECT size FROM inode WHERE id = ?) AS size').get(id)!['size']
  const workers = Array.from({ length: 12 }, async (_, w) => {
    const id = await make(fs, fs.root, `f${w}`, 'x')
    let size = 1
    for (let i = 0; i < 60; i++) {
      if (w % 3 === 0) { size += 3; await fs.setattr(id, { size }) }
      else { await fs.write(id, size, Buffer.from('yy'), false); size += 2; await fs.commit(id) }
      all++
      const s = of(id)
      if (s !== size) bad++
    }
  })
  await Promise.all(workers)
  db.close()
  await fs.close()
  t.is(bad, 0, `${bad} of ${all}`)
})

test.serial('AQ a commit queued for a file that is removed meanwhile, its segment swept', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({})
  const dir = await folder(t)
  const gate: { wait: Promise<void> | null } = { wait: null }
  const fs = await openAt(dir, grid, root, { tempo: onlyAsked, disk: slowDisk(gate), stagingSize: 8 << 20 })
  await fs.list(fs.root, 0n)
  const big = await make(fs, fs.root, 'big')
  const small = await make(fs, fs.root, 'small', 'x')
  const third = await make(fs, fs.root, 'third', 'x')
  await fs.write(big, 0, noise(700_000, 'b'), false) // more than half a segment, in the current one
  const big2 = await make(fs, fs.root, 'big2')
  void big2
  const g = Promise.withResolvers<void>()
  await fs.write(small, 0, Buffer.from('yy'), false)
  gate.wait = g.promise
  const p1 = fs.commit(small)
  await new Promise(setImmediate)
  const p2 = fs.commit(big)
  await fs.remove(fs.root, 'big')
  await fs.remove(fs.root, 'small')
  await fs.remove(fs.root, 'third'); void third
  gate.wait = null
  g.resolve()
  t.log(await Promise.allSettled([p1, p2]))
  await new Promise(r => setTimeout(r, 200))
  t.is(fs.status().trouble, null)
  await fs.close()
})

test.serial('AJ a small file that stays pins whole segments', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({})
  const dir = await folder(t)
  const fs = await openAt(dir, grid, root, { tempo: quick, stagingSize: 4 << 20 })
  await fs.list(fs.root, 0n)
  const log = await make(fs, fs.root, '.nfs1')
  let f = 0
  try {
    for (; f < 40; f++) {
      await fs.write(log, f * 100, noise(100, `${f}`), true)
      const id = await make(fs, fs.root, `f${f}`)
      for (let i = 0; i < 8; i++) await fs.write(id, i << 16, noise(1 << 16, `${f} ${i}`), false)
      await fs.commit(id)
    }
  } catch (err) { t.log(String(err)) }
  t.is(f, 40)
  await fs.close()
})

test.serial('K staging is empty in the end', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({})
  const dir = await folder(t)
  const fs = await openAt(dir, grid, root, { tempo: quick, stagingSize: 8 << 20 })
  await fs.list(fs.root, 0n)
  for (let f = 0; f < 30; f++) {
    const id = await make(fs, fs.root, `f${f}`)
    for (let i = 0; i < 6; i++) await fs.write(id, (i << 16) >> (f % 3), noise(1 << 16, `${f} ${i}`), i % 2 === 0)
    if (f % 4 === 0) await fs.setattr(id, { size: 100_000 })
    if (f % 5 === 0) await fs.remove(fs.root, `f${f}`)
    if (f % 7 === 1) await fs.link(id, fs.root, `l${f}`)
  }
  await fs.flush(null)
  await new Promise(r => setTimeout(r, 300))
  const left = readdirSync(`${dir}/state/staging`)
  t.true(left.length <= 1, left.join(' '))
  await fs.close()
})

test.serial('XX a directory by two paths', async t => {
  const grid = new TinyGrid()
  const d = grid.directory({ f: grid.file('f'), g: grid.file('g') })
  const root = grid.directory({ x: grid.directory({ d }), y: grid.directory({ d }) })
  const dir = await folder(t)
  const fs = await openAt(dir, grid, root, { tempo: onlyAsked })
  const x = (await fs.lookup(fs.root, 'x')).id, y = (await fs.lookup(fs.root, 'y')).id
  await fs.list(x, 0n); await fs.list(y, 0n)
  const id = (await fs.lookup(x, 'd')).id
  t.is((await fs.lookup(y, 'd')).id, id)
  await fs.list(id, 0n)
  // y's name for it goes on the grid
  grid.unset(grid.children(root).get('y')!.cap, 'd')
  await fs.close()
  const again = await openAt(dir, grid, root, { tempo: onlyAsked, ttl: 10 })
  const y2 = (await again.lookup(again.root, 'y')).id
  await again.list(y2, 0n); await new Promise(r => setTimeout(r, 100)); await again.list(y2, 0n)
  t.deepEqual(await namesIn(again, y2), [])
  await again.rename(again.root, 'y', again.root, 'yy')
  await again.flush(null)
  // now move something from root into d
  await make(again, again.root, 'm', 'moved')
  await again.flush(null)
  await again.rename(again.root, 'm', id, 'm')
  t.is(await within(again.flush(null), 2000), 'done')
  const tree = JSON.stringify(grid.toTree(root), (_, v) => v?.type === 'Buffer' ? Buffer.from(v.data).toString() : v)
  t.log(tree)
  t.is(await within(again.setattr(id, { mode: 0o755 }).then(() => again.flush(null)), 2000), 'done')
  await again.close()
})
