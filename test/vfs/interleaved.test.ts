// Moments between two steps of publishing, each of which once went wrong.

import test, { type ExecutionContext } from 'ava'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { Op } from '../../src/vfs/state/schema.ts'
import type { State } from '../../src/vfs/state/state.ts'
import type { Tahoefs } from '../../src/vfs/tahoefs.ts'
import { Committer } from '../../src/vfs/write/committer.ts'
import type { Draft } from '../../src/vfs/write/draft.ts'
import type { Staging } from '../../src/vfs/write/staging.ts'
import { folder, namesIn, onlyAsked, openAt, quick, settled, textOf } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'
import { sameElsewhere } from './elsewhere.ts'
import { make } from './walk.ts'

type Children = Parameters<TinyGrid['directory']>[0]

async function world(t: ExecutionContext, plant: (grid: TinyGrid) => Children) {
  const grid = new TinyGrid()
  const root = grid.directory(plant(grid))
  const dir = await folder(t)
  let fs = await openAt(dir, grid, root, { tempo: onlyAsked, ttl: 1e6 })
  t.teardown(() => fs.close())
  const restart = async (more: Parameters<typeof openAt>[3] = {}) => {
    await fs.close()
    fs = await openAt(dir, grid, root, { tempo: onlyAsked, ttl: 1e6, ...more })
    return fs
  }
  for (const { name, id } of await fs.list(fs.root, 0n)) {
    const { kind } = await fs.lookup(fs.root, name)
    if (kind === 'directory') await fs.list(id, 0n)
  }
  return { grid, root, fs, restart }
}

const idOf = async (fs: Tahoefs, name: string) => (await fs.lookup(fs.root, name)).id
const text = async (fs: Tahoefs, name: string) => textOf(fs, await idOf(fs, name))
const on = (grid: TinyGrid, dir: Cap, name: string): Cap => grid.children(dir).get(name)!.cap
const written = (grid: TinyGrid, dir: Cap, name: string) => grid.bytes(on(grid, dir, name)).toString()

/** Edits of one directory wait until the function that this returns is called. */
function holdEditsOf(grid: TinyGrid, held: Cap): () => void {
  const gate = Promise.withResolvers<void>()
  const { edit } = grid
  grid.edit = async (dir, ...rest) => {
    if (dir.same(held)) await gate.promise
    return edit.call(grid, dir, ...rest)
  }
  return gate.resolve
}

test('whoever waits for the next commit is in it, also when another comes in the moment between two', async t => {
  const groups: { ops: readonly Op[]; done: PromiseWithResolvers<void> }[] = []
  const state = {
    commit(ops: readonly Op[]) {
      const done = Promise.withResolvers<void>()
      groups.push({ ops, done })
      return done.promise
    },
  } as unknown as State
  const staging = { sync: async () => {}, announce: () => [] } as unknown as Staging
  const draft = (id: bigint) => {
    const inode = { id, mode: 0, atime: 0n, mtime: 0n, ctime: 0n }
    return {
      inode,
      dead: false,
      committed: 0,
      entry() {
        return { draft: this, extents: [], released: [], seq: 1, size: 0, valid: 0 }
      },
    } as unknown as Draft
  }
  const [a, b, c] = [draft(1n), draft(2n), draft(3n)]
  const committer = new Committer(state, staging, ({ inode }) => ['dropLocal', inode.id])
  const first = committer.commit(a)
  const second = committer.commit(b)
  await settled(() => groups.length === 1)
  const third = first.then(() => committer.commit(c))
  groups[0]!.done.resolve()
  await settled(() => groups.length >= 2)
  t.is(b.committed, 0)
  for (let at = 1; at < 3; at++) {
    await settled(() => groups.length > at || (b.committed === 1 && c.committed === 1))
    groups[at]?.done.resolve()
  }
  await Promise.all([second, third])
  t.is(b.committed, 1)
  t.is(c.committed, 1)
})

test('a directory that was moved or changed and then removed is no trouble for the next start', async t => {
  const { grid, root, fs, restart } = await world(t, grid => ({ d: grid.directory(), e: grid.directory() }))
  await fs.rename(fs.root, 'd', fs.root, 'f')
  await fs.rmdir(fs.root, 'f')
  await fs.setattr(await idOf(fs, 'e'), { mode: 0o700 })
  await fs.rmdir(fs.root, 'e')
  const again = await restart()
  t.deepEqual(await namesIn(again, again.root), [])
  await sameElsewhere(t, again, grid, root)
})

for (const how of ['was not sent', 'was sent in vain', 'arrived, and nobody heard']) {
  test(`a new directory that was removed when the grid had it, and its name ${how}, is no trouble`, async t => {
    const { grid, root, restart } = await world(t, grid => ({ other: grid.file('o') }))
    let fs = await restart({ tempo: { ...onlyAsked, quietDurable: 5, togetherNew: 5 } })
    const d = (await fs.mkdir(fs.root, 'd', {})).attr.id
    await make(fs, d, 'f', 'x')
    const inner = (await fs.mkdir(d, 'inner', {})).attr.id
    await make(fs, inner, 'g', 'y')
    const state = (path: string) => fs.status().pending.items.find(item => item.path === path)?.state
    await settled(() => state('/d') === 'linking')
    if (how !== 'was not sent') {
      if (how === 'was sent in vain') grid.notNow.edit = Number.POSITIVE_INFINITY
      else grid.lostAnswers.edit = Number.POSITIVE_INFINITY
      fs.flush('/d').catch(() => {}) // it ends with this process
      await settled(() => grid.asked.edit > 0)
    }
    await fs.remove(inner, 'g')
    await fs.rmdir(d, 'inner')
    await fs.remove(d, 'f')
    await fs.rmdir(fs.root, 'd')
    grid.notNow.edit = grid.lostAnswers.edit = 0
    fs = await restart({ tempo: quick })
    t.deepEqual(await namesIn(fs, fs.root), ['other'])
    await settled(() => fs.status().pending.files === 0)
    t.deepEqual(await namesIn(fs, fs.root), ['other'])
    t.deepEqual([...grid.children(root).keys()], ['other'])
    t.deepEqual(fs.status().conflicts, [])
    t.is((await restart()).status().trouble, null)
  })
}

test('a file that was written to after its last name went is no trouble for the next start', async t => {
  const { fs, restart } = await world(t, grid => ({ f: grid.file('f') }))
  const id = await idOf(fs, 'f')
  fs.retain(id)
  await fs.remove(fs.root, 'f')
  await fs.write(id, 0, Buffer.from('more'), true)
  await fs.setattr(id, { mode: 0o600 })
  fs.release(id)
  t.deepEqual(await namesIn(await restart(), fs.root), [])
})

test('a removed directory that somebody still uses has no names, whatever the grid has in it', async t => {
  const { grid, root, fs } = await world(t, grid => ({ d: grid.directory({ f: grid.file('f') }) }))
  const d = await idOf(fs, 'd')
  fs.retain(d)
  await fs.rename(d, 'f', fs.root, 'f')
  await fs.rmdir(fs.root, 'd')
  await fs.flush(null)
  t.false(grid.children(root).has('d'))
  await t.throwsAsync(fs.lookup(d, 'f'), { code: 'ENOENT' })
  t.deepEqual(await namesIn(fs, d), [])
  fs.release(d)
})

test('a second name that is removed again leaves nothing that hides what the grid has', async t => {
  const { grid, root, fs, restart } = await world(t, grid => ({ a: grid.file('old content of a') }))
  await fs.link(await idOf(fs, 'a'), fs.root, 'b')
  await fs.remove(fs.root, 'b')
  t.is(fs.status().pending.files, 0)
  grid.set(root, 'a', grid.file('new from there'))
  const again = await restart({ ttl: 0 })
  t.is(await text(again, 'a'), 'new from there')
})

/** A file of two names, of which the grid has the first; the second waits for `release`. */
async function halfPublished(t: ExecutionContext) {
  const { grid, root, fs } = await world(t, grid => ({ a: grid.directory(), b: grid.directory() }))
  const [dirs, a] = [{ a: on(grid, root, 'a'), b: on(grid, root, 'b') }, await idOf(fs, 'a')]
  const f = await make(fs, a, 'f', 'one')
  await fs.link(f, await idOf(fs, 'b'), 'g')
  const release = holdEditsOf(grid, dirs.b)
  const first = fs.flush(null)
  await settled(() => grid.children(dirs.a).size === 1)
  return { grid, root, fs, dirs, a, f, release, first }
}

test('every name of a file leads to its last content, however long one of them takes', async t => {
  const { grid, root, fs, dirs, f, release, first } = await halfPublished(t)
  await fs.write(f, 0, Buffer.from('two'), true)
  const second = fs.flush(null)
  await settled(() => written(grid, dirs.a, 'f') === 'two')
  release()
  await Promise.all([first, second])
  await fs.flush(null)
  t.is(written(grid, dirs.b, 'g'), 'two')
  await sameElsewhere(t, fs, grid, root)
})

test('two names of one file stay one while only the first of them is published', async t => {
  const { grid, root, fs, a, f, release, first } = await halfPublished(t)
  await make(fs, a, 'other', 'two')
  await fs.flush('/a/other') // lists the directory again
  t.is((await fs.lookup(a, 'f')).id, f)
  t.is((await fs.getattr(f)).nlink, 2)
  release()
  await first
  t.is((await fs.getattr(f)).nlink, 2)
  await sameElsewhere(t, fs, grid, root)
})

test('a directory that is made anew under the name of one that others filled leaves them what is theirs', async t => {
  const { grid, root, fs } = await world(t, grid => ({ d: grid.directory() }))
  await fs.rmdir(fs.root, 'd')
  const ours = (await fs.mkdir(fs.root, 'd', {})).attr.id
  await make(fs, ours, 'mine', 'x')
  grid.set(on(grid, root, 'd'), 'theirs', grid.file('y'))
  await fs.flush(null)
  await fs.flush(null)
  t.deepEqual([...grid.children(on(grid, root, 'd')).keys()], ['theirs'])
  const copy = (await namesIn(fs, fs.root)).find(name => name !== 'd')!
  t.deepEqual(await namesIn(fs, await idOf(fs, copy)), ['mine'])
  t.is(fs.status().conflicts.length, 1)
})

test('a file that replaced an equal one which others changed is kept beside theirs', async t => {
  const { grid, root, fs } = await world(t, grid => ({ f: grid.file('same'), bak: grid.file('same') }))
  await fs.rename(fs.root, 'bak', fs.root, 'f')
  grid.set(root, 'f', grid.file('theirs'))
  await fs.flush(null)
  await fs.flush(null)
  t.is(written(grid, root, 'f'), 'theirs')
  const texts = [...grid.children(root).keys()].map(name => written(grid, root, name))
  t.deepEqual(texts.sort(), ['same', 'theirs'])
})

test('a name that is made anew waits until what it led to hangs elsewhere', async t => {
  const { grid, root, fs } = await world(t, grid => ({
    a: grid.directory({ f: grid.file('old') }),
    b: grid.directory(),
  }))
  const [a, b] = [await idOf(fs, 'a'), await idOf(fs, 'b')]
  await fs.rename(a, 'f', b, 'f')
  await make(fs, a, 'f', 'new')
  const release = holdEditsOf(grid, on(grid, root, 'b'))
  const flushed = fs.flush(null)
  await new Promise(resolve => setTimeout(resolve, 200))
  t.is(written(grid, on(grid, root, 'a'), 'f'), 'old')
  release()
  await flushed
  await sameElsewhere(t, fs, grid, root)
})

test('what moves while nobody knows whether it arrived is never without a name on the grid', async t => {
  const { grid, root, fs } = await world(t, grid => ({ a: grid.directory(), b: grid.directory() }))
  const [a, b] = [on(grid, root, 'a'), on(grid, root, 'b')]
  await make(fs, await idOf(fs, 'a'), 'f', 'x')
  grid.lostAnswers.edit = Number.POSITIVE_INFINITY
  const first = fs.flush(null)
  await settled(() => grid.children(a).has('f'))
  const release = holdEditsOf(grid, b)
  t.teardown(release)
  await fs.rename(await idOf(fs, 'a'), 'f', await idOf(fs, 'b'), 'f')
  grid.lostAnswers.edit = 0
  const second = fs.flush(null)
  await new Promise(resolve => setTimeout(resolve, 200))
  t.true(grid.children(a).has('f'))
  release()
  await Promise.all([first, second])
  t.deepEqual(grid.toTree(root), { a: {}, b: { f: Buffer.from('x') } })
  await sameElsewhere(t, fs, grid, root)
})

test('two names that change places over two directories do not wait for each other for ever', async t => {
  const { grid, root, fs, restart } = await world(t, grid => ({
    a: grid.directory({ f: grid.file('one') }),
    b: grid.directory({ f: grid.file('two') }),
  }))
  const [a, b] = [await idOf(fs, 'a'), await idOf(fs, 'b')]
  await fs.rename(a, 'f', fs.root, 'x')
  await fs.rename(b, 'f', a, 'f')
  await fs.rename(fs.root, 'x', b, 'f')
  await sameElsewhere(t, await restart({ tempo: quick }), grid, root)
})

test('a name that others made again right after it went is theirs', async t => {
  const { grid, root, fs } = await world(t, grid => ({ f: grid.file('ours') }))
  const id = await idOf(fs, 'f')
  await fs.rename(fs.root, 'f', fs.root, 'g')
  const { edit } = grid
  grid.edit = async (...args) => {
    const done = await edit.apply(grid, args)
    grid.edit = edit
    grid.set(root, 'f', grid.file('theirs'))
    return { ...done, listing: await grid.list(root) }
  }
  await fs.flush(null)
  t.is(await idOf(fs, 'g'), id)
  t.not(await idOf(fs, 'f'), id)
  t.is(await text(fs, 'f'), 'theirs')
  await fs.remove(fs.root, 'f')
  t.is(await text(fs, 'g'), 'ours')
  await sameElsewhere(t, fs, grid, root)
})

test('a flush ends when its file becomes one that stays on this machine', async t => {
  const { grid, fs } = await world(t, () => ({}))
  await make(fs, fs.root, 'f', 'x'.repeat(100))
  const release = grid.hold('upload')
  const flushed = fs.flush(null)
  await settled(() => grid.asked.upload === 1)
  await fs.rename(fs.root, 'f', fs.root, '.nfs1')
  release()
  await flushed
  t.pass()
})

test('a name that was made here and there, and removed here before it was published, is theirs', async t => {
  const { grid, root, fs, restart } = await world(t, () => ({}))
  await make(fs, fs.root, 'f', 'ours')
  grid.set(root, 'f', grid.file('theirs'))
  const again = await restart({ ttl: 0 })
  await again.list(again.root, 0n)
  await again.remove(again.root, 'f')
  t.deepEqual(await namesIn(again, again.root), [])
  await again.flush(null)
  t.is(await text(again, 'f'), 'theirs')
})

test('a removal whose answer was lost is no conflict with the name that is made again', async t => {
  const { grid, root, restart } = await world(t, grid => ({ f: grid.file('old') }))
  const fs = await restart({ tempo: { ...onlyAsked, delays: [300] } })
  await fs.remove(fs.root, 'f')
  grid.lostAnswers.edit = 1
  const flushed = fs.flush(null)
  await settled(() => grid.asked.edit === 1)
  await make(fs, fs.root, 'f', 'new')
  await fs.flush(null)
  await flushed
  await sameElsewhere(t, fs, grid, root)
  t.deepEqual(fs.status().conflicts, [])
})

test('a directory that two paths lead to goes on to be published when one of them goes', async t => {
  const { grid, root, fs, restart } = await world(t, grid => {
    const d = grid.directory()
    return { x: grid.directory({ d }), y: grid.directory({ d }), m: grid.file('m') }
  })
  const [x, y] = [await idOf(fs, 'x'), await idOf(fs, 'y')]
  t.is((await fs.lookup(x, 'd')).id, (await fs.lookup(y, 'd')).id)
  grid.unset(on(grid, root, 'y'), 'd')
  const again = await restart({ ttl: 0 })
  await again.list(y, 0n)
  const d = (await again.lookup(x, 'd')).id
  await again.rename(again.root, 'm', d, 'm')
  await again.flush(null)
  await again.flush(null)
  t.deepEqual([...grid.children(on(grid, on(grid, root, 'x'), 'd')).keys()], ['m'])
  t.false(grid.children(root).has('m'))
})
