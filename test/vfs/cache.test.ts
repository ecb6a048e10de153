import { randomBytes } from 'node:crypto'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { silent } from '../../src/log.ts'
import { BlockCache, type CacheOptions } from '../../src/vfs/read/cache.ts'
import { type Content, contentOf } from '../../src/vfs/read/content.ts'
import { folder, settled } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'

const key = Buffer.alloc(32, 7)
const MiB = 1 << 20
/** What a block of 1 MiB takes on disk: sealed, in whole pages, and its inode. */
const TAKEN = 1_056_768

const contents = (size: number): Content =>
  contentOf(key, new TinyGrid().file(randomBytes(16)), size, undefined)

async function open(t: ExecutionContext, dir: string, more: Partial<CacheOptions> = {}): Promise<BlockCache> {
  const cache = await BlockCache.open({ dir, key, limit: 100 * MiB, log: silent, ...more })
  t.teardown(() => cache.close())
  return cache
}

async function keep(cache: BlockCache, content: Content, block: number, data: Buffer): Promise<boolean> {
  const kept = await cache.reserve(data.length)
  if (kept) cache.put(content, block, data)
  return kept
}

const whole = async (cache: BlockCache, content: Content, block: number, size: number) => {
  const pieces = await cache.read(content, block, 0, size)
  return pieces && Buffer.concat(pieces)
}

async function blockFiles(dir: string): Promise<string[]> {
  const names = await readdir(dir, { recursive: true })
  return names.filter(name => /^[0-9a-f]{2}\//.test(name)).map(name => join(dir, name))
}

async function bytesIn(dir: string): Promise<number> {
  let sum = 0
  for (const file of await blockFiles(dir)) sum += Math.ceil((await stat(file)).size / 4096) * 4096 + 4096
  return sum
}

test('any piece of a block is read as it was put, at once and from the disk', async t => {
  const dir = await folder(t)
  const content = contents(300_000)
  const data = randomBytes(300_000)
  const first = await open(t, dir)
  await keep(first, content, 0, data)
  t.deepEqual(await whole(first, content, 0, data.length), data)
  await first.close()
  const cache = await open(t, dir)
  await fc.assert(
    fc.asyncProperty(fc.nat(data.length - 1), fc.nat(data.length - 1), async (a, b) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b) + 1]
      const pieces = await cache.read(content, 0, from, to)
      t.deepEqual(Buffer.concat(pieces!), data.subarray(from, to))
    }),
  )
})

test('what it holds is found again by the next process, also before it has looked everywhere', async t => {
  const dir = await folder(t)
  const first = await open(t, dir)
  const held = Array.from({ length: 20 }, () => ({ content: contents(1000), data: randomBytes(1000) }))
  for (const { content, data } of held) await keep(first, content, 0, data)
  await first.close()
  const bytes = first.bytes
  t.is(bytes, 20 * 8192)
  const second = await open(t, dir)
  for (const { content, data } of held) t.deepEqual(await whole(second, content, 0, 1000), data)
  await settled(() => second.bytes === bytes)
})

test('it is never above its limit, reservations included, and drops the oldest to nine tenths', async t => {
  const dir = await folder(t)
  const limit = 10 * TAKEN
  const cache = await open(t, dir, { limit })
  const content = contents(20 * MiB)
  for (let block = 0; block < 10; block++) {
    t.true(await keep(cache, content, block, Buffer.alloc(MiB, block)))
    await settled(() => cache.bytes === (block + 1) * TAKEN)
  }
  t.is(await bytesIn(dir), limit) // the account is what the disk holds
  t.true(await cache.reserve(MiB))
  t.is(cache.bytes, 8 * TAKEN) // with the reservation: nine tenths
  t.false(cache.has(content, 0) || cache.has(content, 1))
  t.true(cache.has(content, 2))
})

test('when reservations take all of it, the next one is refused until one is given back', async t => {
  const cache = await open(t, await folder(t), { limit: 3 * TAKEN })
  const all = await Promise.all(Array.from({ length: 8 }, () => cache.reserve(MiB)))
  t.is(all.filter(Boolean).length, 3)
  t.false(await cache.reserve(MiB))
  cache.unreserve(MiB)
  t.true(await cache.reserve(MiB))
})

test('whatever is kept, in any order and at once, the disk never holds more than the limit', async t => {
  const dir = await folder(t)
  const limit = 3_000_000
  const cache = await open(t, dir, { limit })
  const content = contents(100 * MiB)
  const sizes = Array.from({ length: 60 }, (_, i) => 1 + ((i * 7919) % 600_000))
  await Promise.all(
    sizes.map(async (size, block) => {
      await keep(cache, content, block, Buffer.alloc(size))
      t.true(cache.bytes <= limit)
    }),
  )
  await cache.close()
  t.true((await bytesIn(dir)) <= limit)
  t.is(await bytesIn(dir), cache.bytes)
})

test('a smaller limit than last time is kept from the start', async t => {
  const dir = await folder(t)
  const first = await open(t, dir)
  for (let block = 0; block < 8; block++) await keep(first, contents(MiB), block, Buffer.alloc(MiB))
  await first.close()
  const cache = await open(t, dir, { limit: 4 * TAKEN })
  t.true(await cache.reserve(MiB))
  t.true(cache.bytes <= 3 * TAKEN)
  await cache.close()
  t.true((await bytesIn(dir)) <= 3 * TAKEN)
})

test('a byte changed anywhere in a block is noticed, and the block is not served from there', async t => {
  const dir = await folder(t)
  const content = contents(70_000)
  const data = randomBytes(70_000) // two units
  const first = await open(t, dir)
  await keep(first, content, 0, data)
  await first.close()
  const [file] = await blockFiles(dir)
  const good = await readFile(file!)
  const places = [
    ...Array(20).keys(),
    64 * 1024 + 15,
    64 * 1024 + 16,
    64 * 1024 + 32,
    65_590,
    70_000,
    good.length - 1,
  ]
  for (const at of places) {
    const bad = Buffer.from(good)
    bad[at] = bad[at]! ^ 0x20
    await writeFile(file!, bad)
    const cache = await BlockCache.open({ dir, key, limit: 100 * MiB, log: silent })
    const pieces = await cache.read(content, 0, 0, data.length)
    t.true(pieces === null || Buffer.concat(pieces).equals(data), `byte ${at}`)
    t.is(pieces, null, `byte ${at}`)
    await cache.close()
  }
  for (const length of [0, 1, 16, 17, 1000, good.length - 1]) {
    await writeFile(file!, good.subarray(0, length))
    const cache = await BlockCache.open({ dir, key, limit: 100 * MiB, log: silent })
    t.is(await cache.read(content, 0, 0, data.length), null, `cut to ${length}`)
    await cache.close()
  }
})

test('a damaged block is dropped, and can be kept again', async t => {
  const dir = await folder(t)
  const content = contents(1000)
  const first = await open(t, dir)
  await keep(first, content, 0, Buffer.alloc(1000, 1))
  await first.close()
  const [file] = await blockFiles(dir)
  await writeFile(file!, 'nonsense')
  const cache = await open(t, dir)
  await settled(() => cache.bytes > 0)
  t.is(await whole(cache, content, 0, 1000), null)
  t.false(cache.has(content, 0))
  await settled(async () => (await blockFiles(dir)).length === 0)
  await keep(cache, content, 0, Buffer.alloc(1000, 1))
  t.deepEqual(await whole(cache, content, 0, 1000), Buffer.alloc(1000, 1))
})

test('a block in the place of another, of its own file or another one, is not served', async t => {
  const dir = await folder(t)
  const [one, other] = [contents(2000), contents(2000)]
  const first = await open(t, dir)
  await keep(first, one, 0, Buffer.alloc(1000, 1))
  await keep(first, one, 1, Buffer.alloc(1000, 2))
  await keep(first, other, 0, Buffer.alloc(1000, 3))
  await first.close()
  const path = (content: Content, block: number) =>
    join(dir, content.key.slice(0, 2), `${content.key}.${block}`)
  const [a, b, c] = await Promise.all(
    [path(one, 0), path(one, 1), path(other, 0)].map(file => readFile(file)),
  )
  await writeFile(path(one, 0), b!)
  await writeFile(path(one, 1), c!)
  await writeFile(path(other, 0), a!)
  const cache = await open(t, dir)
  for (const [content, block] of [
    [one, 0],
    [one, 1],
    [other, 0],
  ] as const)
    t.is(await whole(cache, content, block, 1000), null)
})

test('with limit 0 nothing is kept', async t => {
  const dir = await folder(t)
  const cache = await open(t, dir, { limit: 0 })
  t.false(await keep(cache, contents(1), 0, Buffer.alloc(1)))
  t.deepEqual(await readdir(dir), ['owner'])
})

test('a disk below the floor makes it smaller, and one below half of it takes nothing in', async t => {
  const dir = await folder(t)
  const total = 1000 * MiB
  let free = total
  const first = await open(t, dir)
  const content = contents(100 * MiB)
  for (let block = 0; block < 70; block++) {
    await keep(first, content, block, Buffer.alloc(MiB))
    if (block === 35) await settled(() => first.bytes === 36 * TAKEN) // it does not keep what waits too long
  }
  await first.close()
  t.is(first.bytes, 70 * TAKEN)

  free = 99 * MiB // the floor is a tenth of so small a disk
  const low = await open(t, dir, { space: async () => ({ total, free }) })
  t.true(await low.reserve(MiB))
  t.is(low.bytes, 6 * TAKEN)
  await low.close()

  free = 49 * MiB
  const full = await open(t, dir, { space: async () => ({ total, free }) })
  t.false(await full.reserve(MiB))
  t.is(full.bytes, 0)
  await full.close()

  const broken = await open(t, dir, { space: () => Promise.reject(new Error('gone')) })
  t.false(await broken.reserve(MiB))
})

test('a folder of another root, or with other files in it, is refused and stays as it is', async t => {
  const dir = await folder(t)
  await (await open(t, join(dir, 'mine'))).close()
  const other = BlockCache.open({ dir: join(dir, 'mine'), key: Buffer.alloc(32), limit: MiB, log: silent })
  t.regex((await t.throwsAsync(other, { code: 'EACCES' }))!.message, /another root/)
  await writeFile(join(dir, 'photo.jpg'), 'mine')
  const foreign = BlockCache.open({ dir, key, limit: MiB, log: silent })
  t.regex((await t.throwsAsync(foreign, { code: 'EEXIST' }))!.message, /other files/)
  t.deepEqual((await readdir(dir)).sort(), ['mine', 'photo.jpg'])
})

test('a block whose file cannot be written is served until it is forgotten, and its room is given back', async t => {
  const dir = await folder(t)
  const cache = await open(t, dir, { limit: 2 * TAKEN })
  const content = contents(MiB)
  await writeFile(join(dir, content.key.slice(0, 2)), 'a file where a folder should be')
  t.true(await keep(cache, content, 0, Buffer.alloc(MiB, 5)))
  t.deepEqual(await whole(cache, content, 0, MiB), Buffer.alloc(MiB, 5))
  await cache.close()
  t.is(cache.bytes, 0)
  t.deepEqual(
    (await readdir(dir)).filter(name => name.startsWith('tmp-')),
    [],
  )
  const again = await open(t, dir, { limit: 2 * TAKEN })
  const reserved = await Promise.all([1, 2, 3].map(() => again.reserve(MiB)))
  t.is(reserved.filter(Boolean).length, 2)
})

test('what a killed process left half written is removed', async t => {
  const dir = await folder(t)
  await (await open(t, dir)).close()
  await writeFile(join(dir, 'tmp-1-abc.0'), 'half')
  const cache = await open(t, dir)
  await cache.close()
  t.deepEqual(await readdir(dir), ['owner'])
})
