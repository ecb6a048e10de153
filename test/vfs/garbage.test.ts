// Garbage is collected while a file system works: nothing that it shows, or will need, goes.

import { randomBytes, randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { NativeGrid } from '../../src/tahoe/native/native.ts'
import type { Tahoefs } from '../../src/vfs/tahoefs.ts'
import { checked, checkedGrid } from '../support/checked-grid.ts'
import { onlyAsked, opened, quick } from '../support/places.ts'
import { sourceOf } from '../support/tahoe-bytes.ts'
import { content, everything, make } from './walk.ts'

const DAY = 24 * 60 * 60_000

/** Without a cache: what is gone from the grid shows. */
const bare = { cacheSize: 0, ttl: 0 }

/** Takes what nothing leads to and is older than `ms`, whatever waits. */
const collect = (grid: NativeGrid, root: Cap, fs: Tahoefs, ms: number) =>
  grid.collect({
    roots: [{ cap: root, path: '/' }],
    held: () => fs.held(),
    now: () => Date.now() + DAY - ms,
  })

/** All files by their paths. */
async function shown(fs: Tahoefs): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>()
  for await (const { path, attr } of everything(fs))
    if (attr.kind === 'file') files.set(path, await content(fs, attr.id))
  return files
}

async function started(t: ExecutionContext, tempo: typeof quick) {
  const { grid, folders } = await checkedGrid(t, 2, [1, 2, 2])
  const root = await grid.mkdir()
  const fs = await opened(t, grid, root, { ...bare, tempo })
  return { grid, folders, root, fs }
}

test('what waits here, or was removed while somebody uses it, is held', async t => {
  const { grid, folders, root, fs } = await started(t, onlyAsked)
  const dir = (await fs.mkdir(fs.root, 'dir', {})).attr.id
  const moved = (await fs.mkdir(dir, 'moved', {})).attr.id
  const files = ['changed', 'renamed', 'used', 'gone'].map(name => [name, randomBytes(2000)] as const)
  for (const [name, bytes] of files) await make(fs, dir, name, bytes)
  await make(fs, moved, 'inside', randomBytes(2000))
  await fs.flush(null)
  const before = await folders.shares()
  t.is(before.length, 2 * 8)
  const id = async (name: string) => (await fs.lookup(dir, name)).id
  // By another way the grid forgets all of them, while this machine needs them.
  const [used, changed] = [await id('used'), await id('changed')]
  fs.retain(used)
  await fs.write(changed, 0, Buffer.from('x'), 'stable')
  await fs.rename(dir, 'renamed', fs.root, 'renamed')
  await fs.rename(dir, 'moved', fs.root, 'moved')
  await fs.remove(dir, 'used')
  await fs.remove(dir, 'gone')
  const { children } = await grid.list(root)
  await grid.edit(root, [{ op: 'unlink', name: 'dir', expect: children.get('dir')!.cap }])
  await grid.upload(sourceOf(randomBytes(2000)))
  t.like(await collect(grid, root, fs, -1000), { shares: 2, stopped: null })
  t.deepEqual(await folders.shares(), before)
  t.is((await content(fs, used)).length, 2000)
  fs.release(used)
})

test('whatever is written, moved and removed meanwhile, what is shown is there', async t => {
  const { grid, root, fs } = await started(t, quick)
  const dirs = [fs.root]
  for (const name of ['a', 'b', 'c'])
    dirs.push((await fs.mkdir(dirs[randomInt(dirs.length)]!, name, {})).attr.id)
  await fs.flush(null)
  const pick = <T>(all: readonly T[]): T => all[randomInt(all.length)]!
  const until = Date.now() + 12_000
  let removed = 0
  const collecting = (async () => {
    while (Date.now() < until) {
      removed += (await collect(grid, root, fs, 1500)).objects
      await sleep(10)
    }
  })()
  for (let n = 0; Date.now() < until; n++) {
    const [dir, to] = [pick(dirs), pick(dirs)]
    const names = [...(await fs.list(dir, 0n))].map(({ name }) => name)
    const name = names.length > 0 ? pick(names) : ''
    const kind = randomInt(6)
    try {
      if (kind <= 1 || name === '') await make(fs, dir, `file ${n}`, randomBytes(200 + randomInt(3000)))
      else if (kind === 2)
        await fs.write((await fs.lookup(dir, name)).id, randomInt(100), Buffer.from(`${n}`), 'stable')
      else if (kind === 3) await fs.remove(dir, name)
      else await fs.rename(dir, name, to, randomInt(3) === 0 ? `.nfs${n}` : `moved ${n}`)
    } catch {} // a directory that is no file, or would go into itself
    await sleep(randomInt(60))
  }
  await collecting
  await fs.flush(null)
  t.true(removed > 5, `${removed} removed`)
  const mine = await shown(fs)
  const there = await shown(await opened(t, grid, root, { ...bare, tempo: onlyAsked }))
  for (const [path, bytes] of mine) if (!/\/\.nfs/.test(path)) t.deepEqual(there.get(path), bytes, path)
  t.true(there.size > 5)
  t.deepEqual((await checked(grid, root)).findings, [])
})
