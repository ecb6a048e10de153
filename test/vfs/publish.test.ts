// What is published, when, and what it costs the grid.

import { readdir, rename } from 'node:fs/promises'
import test, { type ExecutionContext } from 'ava'
import { FsError } from '../../src/errors.ts'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { Tahoefs } from '../../src/vfs/tahoefs.ts'
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
import { sameElsewhere } from './elsewhere.ts'
import { noise } from './tree.ts'
import { make, snapshot } from './walk.ts'

type World = { readonly grid: TinyGrid; readonly root: Cap; readonly fs: Tahoefs }

async function world(
  t: ExecutionContext,
  tempo: Partial<typeof quick> = onlyAsked,
  children = {},
): Promise<World> {
  const grid = new TinyGrid()
  const root = grid.directory(children)
  const fs = await opened(t, grid, root, { tempo, patience: hasty })
  await fs.list(fs.root, 0n)
  return { grid, root, fs }
}

/** The path of every file and directory of the grid. */
function paths(grid: TinyGrid, dir: Cap, above = ''): string[] {
  return [...grid.children(dir)].flatMap(([name, { cap }]) => [
    `${above}/${name}`,
    ...(cap.type === 'directory' ? paths(grid, cap, `${above}/${name}`) : []),
  ])
}

test('a new tree is made from the bottom up, with one write of each directory', async t => {
  const { grid, root, fs } = await world(t)
  let dir = fs.root
  for (const name of ['a', 'b', 'c']) {
    dir = (await fs.mkdir(dir, name, {})).attr.id
    for (let i = 0; i < 20; i++) await make(fs, dir, `f${i}`, noise(100, `${name}${i}`))
  }
  t.is(grid.asked.writes + grid.asked.upload, 0)
  await fs.flush(null)
  t.is(grid.asked.upload, 60)
  t.is(grid.asked.mkdir, 3)
  t.is(grid.asked.writes, 4) // those, and the name of the first in the root
  t.is(paths(grid, root).length, 63)
  await sameElsewhere(t, fs, grid, root)
})

test('what is made and removed again never reaches the grid', async t => {
  const { grid, fs } = await world(t)
  const dir = (await fs.mkdir(fs.root, 'd', {})).attr.id
  await make(fs, dir, 'f', noise(1000, 'f'))
  await fs.symlink(dir, 'l', Buffer.from('x'.repeat(100)), {})
  await fs.rename(dir, 'f', fs.root, 'g')
  await fs.remove(fs.root, 'g')
  await fs.remove(dir, 'l')
  await fs.rmdir(fs.root, 'd')
  t.is(fs.status().pending.files, 0)
  await fs.flush(null)
  t.deepEqual([grid.asked.upload, grid.asked.mkdir, grid.asked.edit], [0, 0, 0])
})

test('a tree that is removed costs one write of the directory that held it', async t => {
  const grid = new TinyGrid()
  const leaf = () => grid.directory({ x: grid.file('x'), y: grid.file('y') })
  const root = grid.directory({ d: grid.directory({ one: leaf(), two: leaf(), f: grid.file('f') }) })
  const fs = await opened(t, grid, root, { tempo: onlyAsked })
  const empty = async (dir: bigint) => {
    for (const { name } of await fs.list(dir, 0n)) {
      const { id, kind } = await fs.lookup(dir, name)
      if (kind !== 'directory') await fs.remove(dir, name)
      else {
        await empty(id)
        await fs.rmdir(dir, name)
      }
    }
  }
  await empty(fs.root)
  await fs.flush(null)
  t.is(grid.asked.writes, 1)
  t.deepEqual(paths(grid, root), [])
  t.is(fs.status().pending.files, 0)
})

test('changes of one directory are published together', async t => {
  const { grid, root, fs } = await world(t, onlyAsked, {
    old: new TinyGrid().file('old'),
    gone: new TinyGrid().file('g'),
  })
  for (let i = 0; i < 200; i++) await make(fs, fs.root, `f${i}`, `${i}`)
  await fs.remove(fs.root, 'gone')
  await fs.setattr((await fs.lookup(fs.root, 'old')).id, { mode: 0o600 })
  await fs.flush(null)
  t.is(grid.asked.edit, 1)
  t.is(grid.children(root).size, 201)
})

test('what is on its way to a directory that is removed meanwhile is given up', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ d: grid.directory({ f: grid.file('f'), g: grid.file('g') }) })
  const fs = await opened(t, grid, root, { tempo: onlyAsked })
  const d = await fs.lookup(fs.root, 'd')
  await fs.remove(d.id, 'f')
  const release = grid.hold('edit')
  t.teardown(release)
  const flushed = fs.flush('/d')
  await settled(() => grid.asked.edit === 1)
  await fs.remove(d.id, 'g')
  await fs.rmdir(fs.root, 'd')
  await flushed
  release()
  await fs.flush(null)
  t.deepEqual(paths(grid, root), [])
  t.deepEqual(fs.status().conflicts, [])
  t.is(grid.asked.writes, 1)
})

test('what moves is never without a name on the grid', async t => {
  const grid = new TinyGrid()
  const f = grid.file(noise(100, 'f'))
  const inner = grid.directory({ x: grid.file('x') })
  const root = grid.directory({ a: grid.directory({ f, inner }), b: grid.directory() })
  const fs = await opened(t, grid, root, { tempo: onlyAsked })
  const [a, b] = [(await fs.lookup(fs.root, 'a')).id, (await fs.lookup(fs.root, 'b')).id]
  await fs.list(b, 0n)
  const fresh = (await fs.mkdir(fs.root, 'fresh', {})).attr.id
  await fs.rename(a, 'f', fresh, 'f')
  await fs.rename(a, 'inner', b, 'inner')
  const { edit, mkdir } = grid
  const seen = () => {
    const all = paths(grid, root)
    t.true(all.some(path => path.endsWith('/f')) && all.some(path => path.endsWith('/x')), all.join(' '))
  }
  grid.edit = async (...args) => edit.apply(grid, args).finally(seen)
  grid.mkdir = async (...args) => mkdir.apply(grid, args).finally(seen)
  await fs.flush(null)
  t.deepEqual(paths(grid, root).sort(), ['/a', '/b', '/b/inner', '/b/inner/x', '/fresh', '/fresh/f'])
})

test('names beginning .nfs stay on this machine', async t => {
  const { grid, root, fs } = await world(t)
  const id = await make(fs, fs.root, 'open', noise(100, 'open'))
  await fs.flush(null)
  await fs.rename(fs.root, 'open', fs.root, '.nfs0001')
  await fs.write(id, 0, Buffer.from('more'), 'stable')
  await make(fs, fs.root, '.nfs0002', noise(200, 'other'))
  await fs.flush(null)
  t.deepEqual(paths(grid, root), [])
  t.is(grid.asked.upload, 1)
  t.is((await textOf(fs, id)).slice(0, 4), 'more')
  t.deepEqual((await namesIn(fs, fs.root)).sort(), ['.nfs0001', '.nfs0002'])
  await t.throwsAsync(fs.mkdir(fs.root, '.nfs3', {}), { code: 'EACCES' })
  const dir = (await fs.mkdir(fs.root, 'd', {})).attr.id
  await t.throwsAsync(fs.rename(fs.root, 'd', fs.root, '.nfs3'), { code: 'EACCES' })
  t.is((await fs.lookup(fs.root, 'd')).id, dir)
  await fs.rmdir(fs.root, 'd')
  await fs.remove(fs.root, '.nfs0001')
  await fs.rename(fs.root, '.nfs0002', fs.root, 'back')
  await fs.flush(null)
  t.deepEqual(paths(grid, root), ['/back'])
})

test('a write during an upload begins the next generation', async t => {
  const { grid, root, fs } = await world(t)
  const id = await make(fs, fs.root, 'f', noise(100_000, 'one'))
  const release = grid.hold('upload')
  const first = fs.flush(null)
  await settled(() => grid.asked.upload === 1)
  await fs.write(id, 5, Buffer.from('later'), 'stable')
  t.is(fs.status().pending.items[0]!.state, 'uploading')
  release()
  await first
  t.is(grid.bytes(grid.children(root).get('f')!.cap).length, 100_000)
  await fs.flush(null)
  t.is(grid.bytes(grid.children(root).get('f')!.cap).subarray(5, 10).toString(), 'later')
  t.is(grid.asked.upload, 2)
})

test.serial(
  'a file is published once it is quiet, sooner when it was closed, and at the latest after a while',
  async t => {
    const { grid, fs } = await world(t, { ...quick, quiet: 1500, quietDurable: 200, dirtyMax: 5000 })
    const sizes: number[] = []
    const { upload } = grid
    grid.upload = async (source, options) => {
      if (source.size > 0) sizes.push(source.size)
      return upload.call(grid, source, options)
    }
    const open = await make(fs, fs.root, 'open')
    const restless = await make(fs, fs.root, 'restless')
    await fs.write(restless, 0, noise(300, 'r'), 'unstable')
    await fs.write(open, 0, noise(200, 'o'), 'unstable')
    await make(fs, fs.root, 'closed', noise(100, 'c'))
    await settled(async () => {
      await fs.write(restless, 0, noise(300, `${sizes.length}`), 'unstable')
      return sizes.includes(300)
    })
    t.deepEqual(sizes, [100, 200, 300])
  },
)

/** A new file that somebody has open, and goes on to write to. */
async function makeOpen(fs: Tahoefs, dir: bigint, name: string): Promise<bigint> {
  const id = await make(fs, dir, name)
  fs.retain(id)
  await fs.write(id, 0, noise(100, `${dir}/${name}`), 'unstable')
  return id
}

/** And one that is complete. */
const makeClosed = async (fs: Tahoefs, dir: bigint, name: string) => fs.release(await makeOpen(fs, dir, name))

test('a closed file is published although another name of its directory stays open', async t => {
  const { grid, root, fs } = await world(t, { ...onlyAsked, together: 50 })
  const open = await makeOpen(fs, fs.root, 'open')
  await makeClosed(fs, fs.root, 'closed')
  await settled(() => paths(grid, root).length > 0)
  t.deepEqual(paths(grid, root), ['/closed'])
  t.deepEqual(
    fs.status().pending.items.map(({ path, state }) => [path, state]),
    [['/open', 'open']],
  )
  fs.release(open)
  await settled(() => fs.status().pending.files === 0)
  t.deepEqual(paths(grid, root).sort(), ['/closed', '/open'])
})

test('a closed file is published although another name of its new directory stays open', async t => {
  const { grid, root, fs } = await world(t, { ...onlyAsked, together: 50, togetherNew: 50 })
  const dir = (await fs.mkdir(fs.root, 'd', {})).attr.id
  const open = await makeOpen(fs, dir, 'open')
  await makeClosed(fs, dir, 'closed')
  await settled(() => paths(grid, root).length > 0)
  t.deepEqual(paths(grid, root), ['/d', '/d/closed'])
  fs.release(open)
  await settled(() => fs.status().pending.files === 0)
  t.deepEqual(paths(grid, root).sort(), ['/d', '/d/closed', '/d/open'])
})

test('names that are ready wait for those that are about to be, and go with them', async t => {
  const { grid, root, fs } = await world(t, { ...onlyAsked, linger: 5 })
  const open = await makeOpen(fs, fs.root, 'open')
  await makeClosed(fs, fs.root, 'closed')
  await settled(() => grid.asked.upload === 1)
  fs.release(open)
  await settled(() => fs.status().pending.files === 0)
  t.is(paths(grid, root).length, 2)
  t.is(grid.asked.writes, 1)
})

test('publishing changes no attribute that was seen', async t => {
  const { grid, root, fs } = await world(t)
  const dir = (await fs.mkdir(fs.root, 'd', {})).attr.id
  await make(fs, dir, 'f', 'text')
  await fs.symlink(dir, 'l', Buffer.from('to'), {})
  const id = await make(fs, fs.root, 'g', noise(1000, 'g'))
  await fs.link(id, dir, 'h')
  const before = await snapshot(fs)
  await fs.flush(null)
  t.deepEqual(await snapshot(fs), before)
  await sameElsewhere(t, fs, grid, root)
})

test('one byte of a large file is changed without the grid', async t => {
  const grid = new TinyGrid()
  const large = noise(5 << 20, 'large')
  const root = grid.directory({ large: grid.file(large) })
  const fs = await opened(t, grid, root, { tempo: onlyAsked, patience: hasty })
  const { id } = await fs.lookup(fs.root, 'large')
  for (const op of ['read', 'list', 'edit', 'upload', 'stat'] as const)
    grid.notNow[op] = Number.POSITIVE_INFINITY
  await fs.write(id, 3 << 20, Buffer.from('!'), 'stable')
  await fs.setattr(id, { size: 4 << 20 })
  t.is(grid.asked.bytes, 0)
  for (const op of ['read', 'list', 'edit', 'upload', 'stat'] as const) grid.notNow[op] = 0
  await fs.flush(null)
  const now = grid.bytes(grid.children(root).get('large')!.cap)
  const wanted = Buffer.from(large.subarray(0, 4 << 20))
  wanted[3 << 20] = 0x21
  t.true(now.equals(wanted))
})

test('a file that cannot be uploaded stays, is told of, and is tried again', async t => {
  const { grid, root, fs } = await world(t, quick)
  grid.full = true
  await make(fs, fs.root, 'f', noise(1000, 'f'))
  await settled(() => fs.status().pending.items[0]?.error !== null)
  const [item] = fs.status().pending.items
  t.is(item!.path, '/f')
  t.is(item!.bytes, 1000)
  t.regex(item!.error!, /full/)
  t.true(item!.retryAt! > item!.since)
  t.is(await textOf(fs, (await fs.lookup(fs.root, 'f')).id), noise(1000, 'f').toString())
  grid.full = false
  await settled(() => fs.status().pending.files === 0)
  t.deepEqual(paths(grid, root), ['/f'])
})

test('what is its own cap is asked of nobody, and says nothing of whether the grid answers', async t => {
  const { grid, fs } = await world(t, quick)
  for (const op of ['list', 'edit', 'upload', 'mkdir'] as const) grid.notNow[op] = Number.POSITIVE_INFINITY
  await make(fs, fs.root, 'long', noise(1000, 'long'))
  await settled(() => !fs.status().reach.reachable)
  const { since } = fs.status().reach
  await make(fs, fs.root, 'empty')
  await make(fs, fs.root, 'short', 'short')
  await fs.symlink(fs.root, 'link', Buffer.from('to'), {})
  const isLinking = (path: string) =>
    fs.status().pending.items.some(item => item.path === path && item.state === 'linking')
  await settled(() => ['/empty', '/short', '/link'].every(isLinking))
  t.deepEqual([fs.status().reach.reachable, fs.status().reach.since], [false, since])
})

test('a grid that does not answer holds up nothing here, and is caught up with when it is back', async t => {
  const { grid, root, fs } = await world(t, quick)
  const all = ['list', 'edit', 'upload', 'mkdir', 'read', 'stat'] as const
  for (const op of all) grid.notNow[op] = Number.POSITIVE_INFINITY
  const dir = (await fs.mkdir(fs.root, 'd', {})).attr.id
  for (let i = 0; i < 30; i++) await make(fs, dir, `f${i}`, noise(100, `${i}`))
  await fs.rename(dir, 'f0', fs.root, 'moved')
  await fs.remove(dir, 'f1')
  await settled(() => !fs.status().reach.reachable)
  t.is((await namesIn(fs, dir)).length, 28)
  for (const op of all) grid.notNow[op] = 0
  await settled(() => fs.status().pending.files === 0)
  t.is(paths(grid, root).length, 30)
})

test('bytes that find no room are refused when they are written, and never later', async t => {
  const grid = new TinyGrid()
  const root = grid.directory()
  const fs = await opened(t, grid, root, { tempo: quick, patience: hasty, stagingSize: 1 << 20 })
  const id = await make(fs, fs.root, 'f')
  for (const op of ['list', 'edit', 'upload'] as const) grid.notNow[op] = Number.POSITIVE_INFINITY
  await settled(async () => {
    await make(fs, fs.root, 'probe', noise(100, 'p')).catch(() => {})
    return !fs.status().reach.reachable
  })
  let written = 0
  await t.throwsAsync(
    async () => {
      for (; written < 100; written++)
        await fs.write(id, written << 16, noise(1 << 16, `${written}`), 'unstable')
    },
    { code: 'ENOSPC' },
  )
  t.true(written > 5 && written < 17, `${written}`)
  await fs.commit(id)
  await t.throwsAsync(fs.write(id, 0, noise(1 << 16, 'x'), 'unstable'), { code: 'ENOSPC' })
  t.is((await fs.getattr(id)).size, written << 16)
  for (const op of ['list', 'edit', 'upload'] as const) grid.notNow[op] = 0
  await settled(() => fs.status().pending.files === 0)
  await fs.write(id, 0, noise(1 << 16, 'x'), 'stable')
  await fs.flush(null)
  t.is(grid.bytes(grid.children(root).get('f')!.cap).length, written << 16)
})

test('a directory that cannot be published makes no room, and whoever writes is refused', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ d: grid.directory() })
  const fs = await opened(t, grid, root, { tempo: quick, patience: hasty, stagingSize: 1 << 20, ttl: 0 })
  const dir = (await fs.lookup(fs.root, 'd')).id
  await fs.list(dir, 0n)
  grid.notNow.edit = Number.POSITIVE_INFINITY
  let filling = true
  const others = async () => {
    for (; filling; await new Promise(setImmediate)) await fs.list(fs.root, 0n) // all else is answered
  }
  const fill = async () => {
    for (let i = 0; i < 100; i++) await make(fs, dir, `f${i}`, noise(1 << 16, `${i}`))
  }
  const looking = others()
  await t.throwsAsync(fill, { code: 'ENOSPC' })
  filling = false
  await looking
  grid.notNow.edit = 0
  await settled(() => fs.status().pending.files === 0)
  await make(fs, dir, 'after', noise(1 << 16, 'after'))
})

test('writers wait while what waits drains, and none is refused', async t => {
  const grid = new TinyGrid()
  const root = grid.directory()
  const fs = await opened(t, grid, root, { tempo: quick, stagingSize: 4 << 20 })
  for (let f = 0; f < 12; f++) {
    const id = await make(fs, fs.root, `f${f}`)
    for (let i = 0; i < 16; i++) await fs.write(id, i << 16, noise(1 << 16, `${f} ${i}`), 'unstable')
    await fs.commit(id)
  }
  await sameElsewhere(t, fs, grid, root)
})

test('a mount that refuses changes publishes what an earlier one left', async t => {
  const grid = new TinyGrid()
  const root = grid.directory()
  const dir = await folder(t)
  const fs = await openAt(dir, grid, root, { tempo: onlyAsked })
  await make(fs, fs.root, 'f', 'left')
  await fs.close()
  const again = await openAt(dir, grid, root, { tempo: quick, readOnly: true })
  t.teardown(() => again.close())
  await t.throwsAsync(again.mkdir(again.root, 'd', {}), { code: 'EROFS' })
  await settled(() => again.status().pending.files === 0)
  t.deepEqual(paths(grid, root), ['/f'])
})

test('fsync may be asked to wait for the grid', async t => {
  const grid = new TinyGrid()
  const root = grid.directory()
  const fs = await opened(t, grid, root, { tempo: onlyAsked, fsync: 'grid' })
  const dir = (await fs.mkdir(fs.root, 'd', {})).attr.id
  const id = await make(fs, dir, 'f')
  await fs.write(id, 0, noise(1000, 'f'), 'unstable')
  await fs.commit(id)
  t.deepEqual(paths(grid, root), ['/d', '/d/f'])
})

test('a flush of one path publishes it, and what leads to it', async t => {
  const { grid, root, fs } = await world(t)
  const dir = (await fs.mkdir(fs.root, 'd', {})).attr.id
  const inner = (await fs.mkdir(dir, 'inner', {})).attr.id
  await make(fs, inner, 'f', 'f')
  await make(fs, fs.root, 'other', 'o')
  await fs.flush('/d/inner/f')
  t.true(paths(grid, root).includes('/d/inner/f'))
  t.false(paths(grid, root).includes('/other'))
  await t.throwsAsync(fs.flush('/d/nothing'), { code: 'ENOENT' })
})

test('what this disk cannot keep is an error that stays, and the write verifier changes', async t => {
  const grid = new TinyGrid()
  const root = grid.directory()
  const { disk } = await import('../../src/vfs/write/disk.ts')
  let failing = false
  const fs = await opened(t, grid, root, {
    tempo: onlyAsked,
    disk: {
      ...disk,
      open: async (path, how) => {
        const file = await disk.open(path, how)
        const sync = file.sync.bind(file)
        file.sync = () => (failing ? Promise.reject(new FsError('EIO', 'sync: the disk says no')) : sync())
        return file
      },
    },
  })
  const id = await make(fs, fs.root, 'f', 'kept')
  const verf = Buffer.from(fs.writeverf)
  failing = true
  await fs.write(id, 0, Buffer.from('lost'), 'unstable')
  await t.throwsAsync(fs.commit(id), { code: 'EIO' })
  failing = false
  await t.throwsAsync(fs.commit(id), { code: 'EIO' })
  await t.throwsAsync(fs.mkdir(fs.root, 'd', {}), { code: 'EIO' })
  t.notDeepEqual(Buffer.from(fs.writeverf), verf)
  t.regex(fs.status().trouble!, /disk says no/)
})

test('a staging file that is missing is said, and what is left can be read', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ old: grid.file('old') })
  const dir = await folder(t)
  const fs = await openAt(dir, grid, root, { tempo: onlyAsked })
  await make(fs, fs.root, 'f', noise(1000, 'f'))
  await fs.close()
  const staging = `${dir}/state/staging`
  const names = await readdir(staging)
  t.true(names.length > 0)
  for (const name of names) await rename(`${staging}/${name}`, `${dir}/${name}`)
  const without = await openAt(dir, grid, root, { tempo: quick })
  t.regex(without.status().trouble!, /missing/)
  t.is(await textOf(without, (await without.lookup(without.root, 'old')).id), 'old')
  await t.throwsAsync(without.mkdir(without.root, 'd', {}), { code: 'EIO' })
  await without.close()
  t.deepEqual(paths(grid, root), ['/old'])

  for (const name of names) await rename(`${dir}/${name}`, `${staging}/${name}`)
  const again = await openAt(dir, grid, root, { tempo: quick })
  t.teardown(() => again.close())
  t.is(again.status().trouble, null)
  await settled(() => again.status().pending.files === 0)
  t.true(grid.bytes(grid.children(root).get('f')!.cap).equals(noise(1000, 'f')))
})
