// Shares that are lost, damaged, cut off or another file's are made again, as they were.

import { createHash } from 'node:crypto'
import { copyFile, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { silent } from '../../src/log.ts'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { Edit } from '../../src/tahoe/grid.ts'
import { verifyImmutable } from '../../src/tahoe/native/check/verify-immutable.ts'
import { Downloads } from '../../src/tahoe/native/immutable/download.ts'
import { Uploads } from '../../src/tahoe/native/immutable/upload.ts'
import { recover } from '../../src/tahoe/native/mutable/recover.ts'
import type { LocalServer } from '../../src/tahoe/storage/local.ts'
import { checked, checkedGrid, dataIn, gridOver, named, numberOf, secrets } from '../support/checked-grid.ts'
import { Folders } from '../support/folders.ts'
import { bytesOf, sourceOf } from '../support/tahoe-bytes.ts'

const MiB = 1 << 20

/** Bytes that look like nothing, and are the same each time. */
function bytes(size: number, seed = 'x'): Buffer {
  const block = createHash('shake256', { outputLength: 65_537 }).update(seed).digest()
  return Buffer.alloc(size, block)
}

const fates = ['good', 'good', 'lost', 'damaged', 'truncated', 'foreign', 'emptied'] as const

async function suffer(
  folders: Folders,
  file: string,
  fate: (typeof fates)[number],
  where: number,
  other: string,
) {
  if (fate === 'lost') await folders.lose(file)
  else if (fate === 'damaged') await folders.damage(file, where)
  else if (fate === 'truncated') await truncate(file, Math.floor((await readFile(file)).length * where))
  else if (fate === 'foreign') await copyFile(other, file)
  else if (fate === 'emptied') await writeFile(file, '')
}

const inOrder = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b)

const whole = (folders: Folders, cap: Cap): Promise<Buffer> =>
  bytesOf(new Downloads(() => folders.servers, silent).read(cap, { start: 0, end: cap.contentSize! }))

/** Stores a file in shares of its own, whatever the grid's are. */
async function stored(t: ExecutionContext, folders: Folders, content: Buffer, needed: number, total: number) {
  const shares = { needed, happy: 1, total }
  const uploads = new Uploads({ serversFor: () => folders.servers, secrets, shares, log: silent })
  t.teardown(() => uploads.close())
  return await uploads.upload(sourceOf(content))
}

test('after a repair every share is there again, byte for byte, and any `needed` of them give the file', async t => {
  const { folders, grid } = await checkedGrid(t, 4, [1, 1, 1])
  const accident = fc.record({
    size: fc.constantFrom(56, 1000, 40_000, MiB + 7, 3 * MiB),
    needed: fc.integer({ min: 1, max: 4 }),
    more: fc.nat(4),
    fates: fc.array(fc.constantFrom(...fates), { minLength: 8, maxLength: 8 }),
    where: fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 8, maxLength: 8 }),
    kept: fc.array(fc.nat(1000), { minLength: 8, maxLength: 8 }),
    seed: fc.string(),
  })
  await fc.assert(
    fc.asyncProperty(accident, async ({ size, needed, more, fates, where, kept, seed }) => {
      const total = needed + more
      const content = bytes(size, `${seed} ${Math.random()}`)
      const cap = await stored(t, folders, content, needed, total)
      const foreign = await stored(t, folders, bytes(size, `${seed} ${Math.random()}`), needed, total)
      const [other] = await folders.shares(foreign.storageIndex!)
      const files = await folders.shares(cap.storageIndex!)
      const before = new Map<number, Buffer>()
      for (const file of files) before.set(numberOf(file), await dataIn(file))
      for (const [i, file] of files.entries()) await suffer(folders, file, fates[i]!, where[i]!, other!)
      const first = await verifyImmutable(cap, folders.servers)
      const { findings } = await checked(grid, cap, { repair: true })
      const after = await folders.shares(cap.storageIndex!)
      const good = fates.slice(0, total).filter(fate => fate === 'good').length
      t.true(first.good.length >= good)
      if (good >= needed) t.true(first.readable)
      if (!first.readable) {
        t.like(findings, [{ state: 'unreadable', mended: false }])
        for (const [i, file] of files.entries())
          if (fates[i] === 'good') t.true((await dataIn(file)).equals(before.get(numberOf(file))!))
        return
      }
      t.deepEqual(
        findings.map(({ mended }) => mended),
        first.good.length < total ? [true] : [],
      )
      t.is(after.length, total)
      t.deepEqual(inOrder(after.map(numberOf)), inOrder([...before.keys()]))
      for (const file of after) t.true((await dataIn(file)).equals(before.get(numberOf(file))!), file)
      const order = after.map((file, i) => [kept[i]!, file] as const).sort(([a], [b]) => a - b)
      for (const [, file] of order.slice(needed)) await folders.lose(file)
      t.true((await whole(folders, cap)).equals(content))
    }),
    { numRuns: 40, endOnFailure: true },
  )
})

test('a file of which each share is damaged, but no segment too much, is mended', async t => {
  const { folders, grid } = await checkedGrid(t, 3, [2, 1, 3])
  const content = bytes(3 * MiB)
  const cap = await grid.upload(sourceOf(content))
  const files = await folders.shares(cap.storageIndex!)
  const before = await Promise.all(files.map(dataIn))
  for (const [i, file] of files.entries()) await folders.damage(file, 0.1 + 0.33 * i) // a segment each
  const { findings, totals } = await checked(grid, cap)
  t.like(findings, [{ path: '/', state: 'damaged', mended: false }])
  t.like(totals, { objects: 1, healthy: 0, wrong: 1 })
  const repaired = await checked(grid, cap, { repair: true })
  t.like(repaired.totals, { healthy: 0, mended: 1, wrong: 0 })
  for (const [i, file] of files.entries()) t.true((await dataIn(file)).equals(before[i]!))
  t.deepEqual((await checked(grid, cap)).findings, [])
})

test('a cap that only verifies is enough to make immutable shares again', async t => {
  const { folders, grid } = await checkedGrid(t, 3, [2, 1, 3])
  const content = bytes(2 * MiB + 5)
  const cap = await grid.upload(sourceOf(content))
  const [first, second] = await folders.shares(cap.storageIndex!)
  const before = await dataIn(first!)
  await folders.lose(first!)
  t.like((await checked(grid, cap.verify()!, { repair: true })).findings, [{ state: 'fewer', mended: true }])
  t.true((await dataIn(first!)).equals(before))
  await folders.lose(second!)
  t.true((await whole(folders, cap)).equals(content))
})

test('a folder that was lost whole gets its shares again, and no folder more than its part', async t => {
  const { folders, grid } = await checkedGrid(t, 3, [2, 3, 3])
  const files: Record<string, Cap> = {}
  for (let i = 0; i < 6; i++) files[`file ${i}`] = await grid.upload(sourceOf(bytes(10_000, `file ${i}`)))
  const root = await grid.mkdir(named(files))
  const lost = join(folders.dir, '1')
  const before = (await folders.shares()).filter(file => file.startsWith(lost))
  t.is(before.length, 7)
  for (const file of before) await folders.lose(file)
  const { totals } = await checked(grid, root, { repair: true })
  t.like(totals, { objects: 7, healthy: 0, mended: 7, wrong: 0 })
  t.deepEqual(
    (await folders.shares()).filter(file => file.startsWith(lost)),
    before,
  )
  t.like((await checked(grid, root)).totals, { healthy: 7, wrong: 0 })
})

test('a directory is published once more where its shares are lost, damaged or old, and is the same', async t => {
  const folders = await Folders.open(t, 4)
  const accident = fc.record({
    fates: fc.array(fc.constantFrom(...fates, 'old' as const), { minLength: 4, maxLength: 4 }),
    where: fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 4, maxLength: 4 }),
  })
  let mended = 0
  await fc.assert(
    fc.asyncProperty(accident, async ({ fates, where }) => {
      await folders.reopen()
      const before = gridOver(folders.servers, [2, 4, 4])
      const note = await before.upload(sourceOf(bytes(1000)))
      const [foreign] = await folders.shares((await before.mkdir()).storageIndex!)
      const dir = await before.mkdir(named({ note }))
      const files = await folders.shares(dir.storageIndex!)
      const old = await Promise.all(files.map(file => readFile(file)))
      await before.edit(dir, [{ op: 'set', name: 'again', child: { cap: note, metadata: {} }, expect: null }])
      await before.close()
      for (const [i, file] of files.entries()) {
        const fate = fates[i]!
        if (fate === 'old') await writeFile(file, old[i]!)
        else await suffer(folders, file, fate, where[i]!, foreign!)
      }
      await folders.reopen()
      const after = gridOver(folders.servers, [2, 4, 4])
      const { findings } = await checked(after, dir, { repair: true })
      if (fates.filter(fate => fate === 'good').length >= 2) {
        mended += findings.length
        t.true(
          findings.every(finding => finding.mended),
          JSON.stringify({ fates, where, findings }),
        )
        t.deepEqual([...(await after.list(dir)).children.keys()].sort(), ['again', 'note'])
        t.deepEqual((await checked(after, dir)).findings, [])
        t.is((await folders.shares(dir.storageIndex!)).length, 4)
      } // else what is left may be too little, or an older version
      await after.close()
    }),
    { numRuns: 25, endOnFailure: true },
  )
  t.true(mended > 0)
})

/** Servers of a process that is killed at its `last` change: that one may still be made, and none after it. */
function mortal(servers: readonly LocalServer[], last: number, made: boolean) {
  const dead = Promise.withResolvers<void>()
  let left = last
  async function step<T>(act: () => Promise<T>): Promise<T> {
    left--
    if (left > 0 || (left === 0 && made)) {
      const done = await act()
      if (left > 0) return done
    }
    dead.resolve()
    return await new Promise(() => {})
  }
  const stepping = <T extends object>(
    of: T,
    changing: readonly string[],
    seen: (value: unknown) => unknown,
  ): T =>
    new Proxy(of, {
      get(target, name) {
        const value = Reflect.get(target, name, target) as unknown
        if (typeof value !== 'function') return value
        const call = async (...args: unknown[]) => seen(await value.apply(target, args))
        if (!changing.includes(String(name))) return value.bind(target)
        return (...args: unknown[]) => step(() => call(...args))
      },
    })
  const inside = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value
    if ('close' in value) return stepping(value, ['write', 'close'], each => each)
    const { prepared } = value as { prepared?: object | null }
    return prepared ? { ...value, prepared: stepping(prepared, ['commit'], each => each) } : value
  }
  const changing = ['replace', 'remove', 'readTestWrite', 'prepare']
  return { servers: servers.map(server => stepping(server, changing, inside)), dead: dead.promise }
}

test('a kill at any moment of a repair loses nothing, and the next one ends it', async t => {
  const folders = await Folders.open(t, 3)
  const accident = fc.record({
    last: fc.integer({ min: 1, max: 25 }),
    made: fc.boolean(),
    fate: fc.constantFrom('lost' as const, 'damaged' as const, 'truncated' as const, 'foreign' as const),
    which: fc.nat(2),
    where: fc.double({ min: 0.2, max: 0.8, noNaN: true }),
  })
  let killed = 0
  await fc.assert(
    fc.asyncProperty(accident, async ({ last, made, fate, which, where }) => {
      await folders.reopen()
      const before = gridOver(folders.servers, [2, 3, 3])
      const content = bytes(100_000, `${Math.random()}`)
      const file = await before.upload(sourceOf(content))
      const root = await before.mkdir(named({ file }))
      const [foreign] = await folders.shares((await before.mkdir()).storageIndex!)
      await before.close()
      for (const index of [root.storageIndex!, file.storageIndex!])
        await suffer(folders, (await folders.shares(index))[which]!, fate, where, foreign!)
      await folders.reopen()
      const { servers, dead } = mortal(folders.servers, last, made)
      const repairing = checked(gridOver(servers, [2, 3, 3]), root, { repair: true })
      if ((await Promise.race([dead.then(() => 'dead'), repairing])) === 'dead') killed++
      await folders.reopen()
      await recover(folders.servers)
      const after = gridOver(folders.servers, [2, 3, 3])
      t.deepEqual([...(await after.list(root)).children.keys()], ['file'])
      t.true((await whole(folders, file)).equals(content))
      t.like((await checked(after, root, { repair: true })).totals, { objects: 2, wrong: 0 })
      t.like((await checked(after, root)).totals, { objects: 2, healthy: 2 })
      await after.close()
    }),
    { numRuns: 25, endOnFailure: true },
  )
  t.true(killed > 3)
})

test('what was made for a server with another id is put under this one, and can be written to again', async t => {
  const folders = await Folders.open(t, 1)
  const before = gridOver(folders.servers, [1, 1, 1])
  const inside = await before.mkdir()
  const root = await before.mkdir(named({ inside }))
  await before.close()
  const shares = await folders.shares()
  const contents = await Promise.all(shares.map(file => readFile(file)))
  await rm(join(folders.dir, '0', 'my_nodeid'))
  await folders.reopen()
  const after = gridOver(folders.servers, [1, 1, 1])
  t.teardown(() => after.close())
  const change: Edit = { op: 'set', name: 'new', child: { cap: inside, metadata: {} }, expect: null }
  await t.throwsAsync(after.edit(inside, [change]))
  const { findings } = await checked(after, root)
  t.like(findings, [
    { path: '/', state: 'damaged' },
    { path: '/inside', state: 'damaged' },
  ])
  t.regex(findings[0]!.detail, /it cannot be written to: it was made for a server with another id/)
  t.like((await checked(after, root, { repair: true })).totals, { mended: 2, wrong: 0 })
  for (const [i, file] of shares.entries()) // what is stored is the same
    t.true((await readFile(file)).subarray(468).equals(contents[i]!.subarray(468)))
  t.deepEqual((await after.edit(inside, [change])).outcomes, [{ done: true }])
  t.deepEqual((await checked(after, root)).findings, [])
})
