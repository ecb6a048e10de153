// What nothing leads to goes once it is old, and nothing else ever does.

import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { type Cap, parseCap } from '../../src/tahoe/cap.ts'
import { encode } from '../../src/tahoe/format/base32.ts'
import { Dirnode } from '../../src/tahoe/format/dirnode.ts'
import type { Edit } from '../../src/tahoe/grid.ts'
import type { Keeper } from '../../src/tahoe/native/keeper.ts'
import { type NativeGrid, native } from '../../src/tahoe/native/native.ts'
import { Secrets } from '../../src/tahoe/native/secrets.ts'
import { AbsentServer } from '../../src/tahoe/storage/absent.ts'
import type { LocalServer } from '../../src/tahoe/storage/local.ts'
import { aged, checked, checkedGrid, collected, gridOver, indexOf, named } from '../support/checked-grid.ts'
import { Folders } from '../support/folders.ts'
import { bytesOf, sourceOf } from '../support/tahoe-bytes.ts'

const file = (grid: NativeGrid, size = 1000): Promise<Cap> => grid.upload(sourceOf(randomBytes(size)))

const link = (name: string, cap: Cap, expect: Cap | null = null): Edit => ({
  op: 'set',
  name,
  child: { cap, metadata: {} },
  expect,
})
const unlink = (name: string, expect: Cap): Edit => ({ op: 'unlink', name, expect })

const indexes = async (folders: Folders): Promise<Set<string>> =>
  new Set((await folders.shares()).map(indexOf))

const inOrder = (all: Iterable<string>): string[] => [...all].sort()

const whole = (grid: NativeGrid, cap: Cap): Promise<Buffer> =>
  bytesOf(grid.read(cap, { start: 0, end: cap.contentSize! }))

/** A folder of which one call waits for the test: `reached` when it is made. */
function held(server: LocalServer, what: 'list' | 'remove' | 'allocate', index: () => string | null) {
  const reached = Promise.withResolvers<void>()
  const release = Promise.withResolvers<void>()
  const wait = async (at: string) => {
    if (at !== index()) return
    reached.resolve()
    await release.promise
  }
  const keeper: Keeper = {
    id: server.id,
    name: server.name,
    version: wait => server.version(wait),
    list: async (kind, at, given) => {
      if (what === 'list') await wait(at)
      return await server.list(kind, at, given)
    },
    read: (kind, at, share, start, end, given) => server.read(kind, at, share, start, end, given),
    allocate: async (at, shares, size, leases, given) => {
      const allocated = await server.allocate(at, shares, size, leases, given)
      if (what === 'allocate') await wait(at)
      return allocated
    },
    readTestWrite: (at, secrets, changes, reads, given) =>
      server.readTestWrite(at, secrets, changes, reads, given),
    addLease: (at, leases, given) => server.addLease(at, leases, given),
    adviseCorrupt: (kind, at, share, reason, given) => server.adviseCorrupt(kind, at, share, reason, given),
    slots: () => server.slots(),
    adopt: (at, share, secrets) => server.adopt(at, share, secrets),
    heldByOthers: (at, share, leases) => server.heldByOthers(at, share, leases),
    remove: async (at, share) => {
      if (what === 'remove') await wait(at)
      return await server.remove(at, share)
    },
    replace: (at, share, size, leases) => server.replace(at, share, size, leases),
    close: () => server.close(),
  }
  return { keeper, reached: reached.promise, release: () => release.resolve() }
}

test('a collection removes exactly what nothing leads to and is older than a day, from all folders', async t => {
  const tree = fc.record({
    kept: fc.array(fc.boolean(), { minLength: 4, maxLength: 8 }),
    young: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
    deep: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(tree, async ({ kept, young, deep }) => {
      const { folders, grid } = await checkedGrid(t, 3, [2, 3, 3])
      const caps = await Promise.all(kept.map(() => file(grid)))
      const inside = named(Object.fromEntries(caps.flatMap((cap, i) => (kept[i] ? [[`${i}`, cap]] : []))))
      let root = await grid.mkdir(inside)
      if (deep) root = await grid.mkdir(named({ below: root, again: root }))
      const stray = await grid.mkdir(named({ lost: caps[0]! }))
      const expected = new Set((await indexes(folders)).values())
      expected.delete(stray.storageIndex!)
      for (const [i, cap] of caps.entries()) if (!kept[i] && !young[i]) expected.delete(cap.storageIndex!)
      await aged(await folders.shares())
      for (const [i, cap] of caps.entries())
        if (young[i]) await aged((await folders.shares(cap.storageIndex!)).slice(1, 2), 23) // one of them is enough
      const before = await folders.shares()
      const { stopped, objects, shares, bytes } = await collected(grid, root)
      t.is(stopped, null)
      t.deepEqual(inOrder(await indexes(folders)), inOrder(expected))
      t.is(shares, before.length - (await folders.shares()).length)
      t.is(shares, 3 * objects)
      t.true(bytes > 100 * shares)
      t.deepEqual((await checked(grid, root)).findings, [])
      t.like(await collected(grid, root), { objects: 0, stopped: null })
      await grid.close()
    }),
    { numRuns: 8 },
  )
})

test('a directory that cannot be listed ends a collection before anything is removed', async t => {
  const { folders, grid } = await checkedGrid(t, 2, [1, 2, 2])
  const inside = await grid.mkdir(named({ kept: await file(grid) }))
  const root = await grid.mkdir(named({ inside }))
  await file(grid)
  await aged(await folders.shares())
  const before = await folders.shares()
  for (const share of await folders.shares(inside.storageIndex!)) await writeFile(share, 'no share')
  const { stopped, shares } = await collected(grid, root)
  t.regex(stopped!, /the directory \/inside cannot be listed/)
  t.is(shares, 0)
  t.deepEqual(await folders.shares(), before)
})

test('what could lead anywhere ends a collection: a cap of an unknown kind, a directory that cannot be entered', async t => {
  const { folders, grid } = await checkedGrid(t, 1, [1, 1, 1])
  const inside = await grid.mkdir()
  const unknown = await grid.mkdir(named({ odd: parseCap('ro.URI:NEW:abc') }))
  const dirnode = Dirnode.empty({ mutable: false, writeKey: null })
  dirnode.set('in', { cap: inside.verify()!, metadata: {} }) // no grid links it, but somebody may have
  const literal = parseCap(`URI:DIR2-LIT:${encode(dirnode.content())}`)
  const closed = await grid.mkdir(named({ literal }))
  const open = await grid.mkdir(named({ literal, open: inside.readonly() }))
  await file(grid)
  await aged(await folders.shares())
  t.regex((await collected(grid, unknown)).stopped!, /\/odd leads: it is of a kind unknown here/)
  t.regex(
    (await collected(grid, closed)).stopped!,
    /\/literal\/in cannot be listed: its cap does not allow it/,
  )
  t.is((await folders.shares()).length, 5)
  t.like(await collected(grid, open), { objects: 3, stopped: null })
  t.deepEqual(inOrder(await indexes(folders)), inOrder([open.storageIndex!, inside.storageIndex!]))
})

test('nothing is removed while a folder is not there, while something waits, or is being stored', async t => {
  const folders = await Folders.open(t, 2)
  const [first, second] = folders.servers as [LocalServer, LocalServer]
  const without = gridOver([first, new AbsentServer(second.id, 'the second', 'gone')], [1, 1, 1])
  const { keeper, reached, release } = held(second, 'allocate', () => awaited)
  let awaited: string | null = null
  const grid = gridOver([first, keeper], [1, 1, 2])
  const content = randomBytes(2000)
  const root = await grid.mkdir()
  const lost = await grid.upload(sourceOf(content))
  await aged(await folders.shares())
  t.is((await collected(without, root)).stopped, 'the second is not there')
  t.is((await collected(grid, root, { obstacle: () => 'one file waits' })).stopped, 'one file waits')
  awaited = lost.storageIndex!
  for (const share of await folders.shares(awaited)) await folders.lose(share)
  const upload = grid.upload(sourceOf(content))
  await reached
  t.is((await collected(grid, root)).stopped, 'something is being stored')
  release()
  t.true((await upload).same(lost))
  await aged(await folders.shares())
  let looks = 0
  t.is(
    (await collected(grid, root, { obstacle: () => (looks++ < 2 ? null : 'it waits') })).stopped,
    'it waits',
  )
  t.is((await folders.shares(awaited)).length, 2)
  t.like(await collected(grid, root), { objects: 1, stopped: null })
})

test('an upload that finds what a collection is about to remove keeps it', async t => {
  const folders = await Folders.open(t, 1)
  let root: Cap | null = null
  const { keeper, reached, release } = held(folders.servers[0]!, 'list', () => root?.storageIndex ?? null)
  const grid = gridOver([keeper], [1, 1, 1])
  const content = randomBytes(5000)
  const cap = await grid.upload(sourceOf(content))
  root = await grid.mkdir()
  await aged(await folders.shares())
  const collecting = collected(grid, root)
  await reached // it is walking
  t.true((await grid.upload(sourceOf(content))).same(cap))
  release()
  t.like(await collecting, { objects: 0, stopped: null })
  t.true((await whole(grid, cap)).equals(content))
})

test('an upload that comes while its shares are being removed waits for that, and stores them again', async t => {
  const folders = await Folders.open(t, 1)
  let doomed: string | null = null
  const { keeper, reached, release } = held(folders.servers[0]!, 'remove', () => doomed)
  const grid = gridOver([keeper], [1, 1, 3])
  const content = randomBytes(5000)
  const cap = await grid.upload(sourceOf(content))
  const root = await grid.mkdir()
  await aged(await folders.shares())
  doomed = cap.storageIndex!
  const collecting = collected(grid, root)
  await reached
  const upload = grid.upload(sourceOf(content))
  const linking = grid.edit(root, [link('gone', cap)])
  await t.throwsAsync(
    Promise.race([linking, new Promise(resolve => setTimeout(resolve, 50)).then(release)]).then(
      () => linking,
    ),
    { code: 'ESTALE' },
  )
  t.like(await collecting, { objects: 1, shares: 3, stopped: null })
  t.true((await upload).same(cap))
  t.is((await folders.shares(doomed)).length, 3)
  t.true((await whole(grid, cap)).equals(content))
  await grid.edit(root, [link('back', cap)])
})

test('what is moved from where a collection has not been to where it was is kept, with all that is in it', async t => {
  const folders = await Folders.open(t, 1)
  let waits: string | null = null
  const { keeper, reached, release } = held(folders.servers[0]!, 'list', () => waits)
  const grid = gridOver([keeper], [1, 1, 1])
  const inside = await file(grid)
  const moved = await grid.mkdir(named({ inside }))
  const from = await grid.mkdir(named({ moved }))
  const to = await grid.mkdir()
  const root = await grid.mkdir(named({ a: from, b: to }))
  const garbage = await file(grid)
  await aged(await folders.shares())
  waits = from.storageIndex! // b comes first
  const collecting = collected(grid, root)
  await reached
  waits = null
  await grid.edit(to, [link('moved', moved)])
  await grid.edit(from, [unlink('moved', moved)])
  release()
  t.like(await collecting, { objects: 1, stopped: null })
  t.false((await indexes(folders)).has(garbage.storageIndex!))
  t.deepEqual((await checked(grid, root)).findings, [])
  t.like((await checked(grid, root)).totals, { objects: 5, healthy: 5 })
})

test('what is held when all has been found is kept, and all below it', async t => {
  const { folders, grid } = await checkedGrid(t, 1, [1, 1, 1])
  const inside = await file(grid)
  const dir = await grid.mkdir(named({ inside }))
  const open = await file(grid)
  const root = await grid.mkdir()
  await aged(await folders.shares())
  t.like(await collected(grid, root, { held: () => [dir, open] }), { objects: 0, reached: 4, stopped: null })
  t.like(await collected(grid, root), { objects: 3, stopped: null })
  t.deepEqual(inOrder(await indexes(folders)), inOrder([root.storageIndex!]))
})

test('one that is cut off between two shares loses nothing, and the next one goes on', async t => {
  const folders = await Folders.open(t, 2)
  const [first, second] = folders.servers as [LocalServer, LocalServer]
  let doomed: string | null = null
  const { keeper, reached } = held(second, 'remove', () => doomed)
  const cut = gridOver([first, keeper], [1, 2, 2])
  const content = randomBytes(3000)
  const cap = await cut.upload(sourceOf(content))
  const kept = await file(cut)
  const root = await cut.mkdir(named({ kept }))
  await aged(await folders.shares())
  doomed = cap.storageIndex!
  void collected(cut, root)
  await reached
  t.is((await folders.shares(doomed)).length, 1)
  // It never comes back. Another process finds what is left, and is none the worse for it.
  await folders.reopen()
  const grid = gridOver(folders.servers, [1, 2, 2])
  t.true((await grid.upload(sourceOf(content))).same(cap))
  t.is((await folders.shares(doomed)).length, 2)
  await aged(await folders.shares())
  t.like(await collected(grid, root), { objects: 1, shares: 2, stopped: null })
  t.deepEqual((await checked(grid, root)).findings, [])
})

test('everything below several roots is kept', async (t: ExecutionContext) => {
  const { folders, grid } = await checkedGrid(t, 1, [1, 1, 1])
  const [one, two] = [
    await grid.mkdir(named({ a: await file(grid) })),
    await grid.mkdir(named({ b: await file(grid) })),
  ]
  await aged(await folders.shares())
  const roots = [
    { cap: one, path: '/' },
    { cap: two, path: 'photos:' },
  ]
  t.like(await grid.collect({ roots }), { objects: 0, reached: 4, stopped: null })
  t.like(await collected(grid, one), { objects: 2, stopped: null })
})

test('what another client has a lease on is kept', async t => {
  const { folders, grid } = await checkedGrid(t, 1, [1, 1, 1])
  const theirs = new Secrets(Buffer.alloc(32, 3), Buffer.alloc(32, 4))
  const other = native({
    servers: folders.servers,
    secrets: theirs,
    shares: { needed: 1, happy: 1, total: 1 },
  })
  const [server] = folders.servers as [LocalServer]
  const root = await grid.mkdir()
  const [dir, note, both] = [await other.mkdir(), await file(other), await file(grid)]
  await server.addLease(both.storageIndex!, theirs.leases(both.storageIndex!, server.id))
  const mine = [await file(grid), await grid.mkdir()]
  await aged(await folders.shares())
  t.like(await collected(grid, root), { objects: mine.length, stopped: null })
  const kept = [root, dir, note, both].map(({ storageIndex }) => storageIndex!)
  t.deepEqual(inOrder(await indexes(folders)), inOrder(kept))
})
