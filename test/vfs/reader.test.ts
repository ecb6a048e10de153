import { randomBytes } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { silent } from '../../src/log.ts'
import { Asker, type Patience } from '../../src/vfs/ask.ts'
import { BlockCache } from '../../src/vfs/read/cache.ts'
import { type Content, contentOf } from '../../src/vfs/read/content.ts'
import { Reader } from '../../src/vfs/read/reader.ts'
import { folder, hasty, settled } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'

const MiB = 1 << 20
const key = Buffer.alloc(32, 1)
const quick: Patience = { delays: [1], giveUp: 60_000, memo: 60_000 }

type World = { grid: TinyGrid; reader: Reader; cache: BlockCache; data: Buffer; content: Content }

async function world(t: ExecutionContext, size: number, more: { limit?: number; patience?: Patience } = {}) {
  const grid = new TinyGrid()
  const cache = await BlockCache.open({
    dir: await folder(t),
    key,
    limit: more.limit ?? 200 * MiB,
    log: silent,
  })
  const asker = new Asker(silent, more.patience ?? quick)
  const reader = new Reader(grid, asker, cache)
  t.teardown(async () => {
    asker.close()
    await reader.close()
  })
  const data = randomBytes(size)
  const content = contentOf(key, grid.file(data, 3), size, undefined)
  return { grid, reader, cache, data, content } satisfies World
}

/** ava compares large buffers byte by byte, which takes a minute for a few MiB. */
const same = (t: ExecutionContext, a: Buffer, b: Buffer): boolean => t.true(a.equals(b))

const bytes = async ({ reader, content }: World, start: number, end: number, signal?: AbortSignal) =>
  Buffer.concat(await reader.read(content, start, end, signal))

test('blocks are the segments that Tahoe makes: a multiple of the shares needed', t => {
  const { blockSize } = contentOf(key, new TinyGrid().file(Buffer.alloc(3 * MiB), 3), 3 * MiB, undefined)
  t.is(blockSize, 1048578)
  t.is(contentOf(key, new TinyGrid().file(Buffer.alloc(100), 3), 100, undefined).blockSize, 102)
})

test('a read gives its bytes, wherever it begins and ends', async t => {
  const w = await world(t, 3 * MiB + 17)
  for (const [start, end] of [
    [0, 1],
    [5, 5],
    [MiB, 2 * MiB],
    [1048577, 1048579],
    [0, w.data.length],
    [w.data.length - 1, w.data.length],
  ] as const)
    same(t, await bytes(w, start, end), w.data.subarray(start, end))
})

test('a sequential reader is served by one long request', async t => {
  const w = await world(t, 40 * MiB)
  for (let at = 0; at < w.data.length; at += 128 * 1024)
    same(t, await bytes(w, at, at + 128 * 1024), w.data.subarray(at, at + 128 * 1024))
  t.is(w.grid.asked.read, 2) // the first block, and all that follow it
  t.is(w.grid.asked.bytes, w.data.length)
})

test('a sequential reader whose requests arrive side by side and out of order is still one', async t => {
  const w = await world(t, 32 * MiB)
  t.is((await bytes(w, 0, 10)).length, 10)
  const step = 512 * 1024
  for (let at = step; at < w.data.length; at += 4 * step) {
    const order = [1, 0, 3, 2].map(i => at + i * step).filter(start => start < w.data.length)
    await Promise.all(
      order.map(async start => {
        const end = Math.min(start + step, w.data.length)
        same(t, await bytes(w, start, end), w.data.subarray(start, end))
      }),
    )
  }
  t.true(w.grid.asked.read <= 4, `${w.grid.asked.read}`)
  t.true(w.grid.asked.bytes <= w.data.length + 3 * MiB)
})

test('random reads ask for the blocks they touch and no others', async t => {
  const w = await world(t, 100 * MiB)
  const { blockSize } = w.content
  for (const block of [50, 20, 90, 3, 70])
    t.is((await bytes(w, block * blockSize, block * blockSize + 10)).length, 10)
  t.is(w.grid.asked.read, 5)
  t.is(w.grid.asked.bytes, 5 * blockSize)
  const edge = 40 * blockSize
  same(t, await bytes(w, edge - 5, edge + 5), w.data.subarray(edge - 5, edge + 5))
  t.is(w.grid.asked.bytes, 7 * blockSize) // a read across an edge is not yet a sequential reader
})

test('a read waits for its own blocks only: what is here is served while the rest hangs', async t => {
  const w = await world(t, 10 * MiB)
  const { blockSize } = w.content
  t.is((await bytes(w, 0, 10)).length, 10)
  const release = w.grid.holdAt(2 * blockSize)
  const hanging = bytes(w, blockSize, 3 * blockSize) // the stream is stuck at its second block
  same(t, await bytes(w, 100, 200), w.data.subarray(100, 200))
  await settled(() => w.cache.has(w.content, 1))
  same(t, await bytes(w, blockSize, 2 * blockSize), w.data.subarray(blockSize, 2 * blockSize))
  release()
  same(t, await hanging, w.data.subarray(blockSize, 3 * blockSize))
})

test('a jump does not wait for the stream', async t => {
  const w = await world(t, 100 * MiB)
  const { blockSize } = w.content
  await bytes(w, 0, 10)
  const release = w.grid.holdAt(blockSize)
  const stuck = bytes(w, blockSize, blockSize + 10)
  for (const block of [60, 6]) {
    const at = block * blockSize
    same(t, await bytes(w, at, at + 10), w.data.subarray(at, at + 10))
  }
  release()
  t.is((await stuck).length, 10)
})

test('a block is fetched once, however many wait for it', async t => {
  const w = await world(t, 5 * MiB)
  const release = w.grid.hold('read')
  const all = Array.from({ length: 50 }, (_, i) => bytes(w, i * 100, i * 100 + 100))
  await settled(() => w.grid.asked.read > 0)
  release()
  same(t, Buffer.concat(await Promise.all(all)), w.data.subarray(0, 5000))
  t.is(w.grid.asked.read, 1)
})

test('who gives up waiting leaves with EAGAIN, and the block still comes', async t => {
  const w = await world(t, 2 * MiB)
  const release = w.grid.hold('read')
  const patience = new AbortController()
  const waiting = bytes(w, 0, 100, patience.signal)
  await settled(() => w.grid.asked.read === 1)
  patience.abort()
  await t.throwsAsync(waiting, { code: 'EAGAIN' })
  release()
  await settled(() => w.cache.has(w.content, 0))
  same(t, await bytes(w, 0, 100, patience.signal), w.data.subarray(0, 100))
  t.is(w.grid.asked.read, 1)
})

test('a stream that nobody follows ends without having read on', async t => {
  const w = await world(t, 100 * MiB)
  const { blockSize } = w.content
  for (const block of [0, 1, 2]) await bytes(w, block * blockSize, block * blockSize + 10)
  await settled(() => w.grid.reading === 0)
  const then = w.grid.asked.bytes
  t.true(then <= 12 * blockSize)
  const reads = w.grid.asked.read
  await bytes(w, 50 * blockSize, 50 * blockSize + 10)
  t.is(w.grid.asked.read, reads + 1)
})

test('the window grows with a reader that follows, and never beyond what the cache may hold of it', async t => {
  const w = await world(t, 60 * MiB, { limit: 8 * MiB })
  for (let at = 0; at < w.data.length; at += MiB)
    same(t, await bytes(w, at, at + MiB), w.data.subarray(at, at + MiB))
  t.true(w.cache.bytes <= 8 * MiB)
  t.is(w.grid.asked.bytes, w.data.length) // nothing was dropped before it was read
})

test('without a cache on disk a sequential reader still gets every byte once, however small its reads', async t => {
  const w = await world(t, 10 * MiB, { limit: 0 })
  for (let at = 0; at < w.data.length; at += 100_000) {
    const end = Math.min(at + 100_000, w.data.length)
    same(t, await bytes(w, at, end), w.data.subarray(at, end))
  }
  t.is(w.grid.asked.bytes, w.data.length)
})

test('a read that breaks off at any byte is asked again, and no wrong byte is served or kept', async t => {
  for (const breakAt of [0, 1, 10_000, 500_000, MiB - 1]) {
    const w = await world(t, 3 * MiB)
    w.grid.chunk = 10_000
    w.grid.breakAt = breakAt
    w.grid.breaks = 3
    same(t, await bytes(w, 0, 3 * MiB), w.data)
    same(t, await bytes(w, 0, 3 * MiB), w.data)
  }
})

test('a stream that breaks off in the middle costs its reader nothing but another request', async t => {
  const w = await world(t, 20 * MiB)
  await bytes(w, 0, 10)
  w.grid.breaks = 1
  w.grid.breakAt = 5 * MiB
  for (let at = 0; at < w.data.length; at += MiB)
    same(t, await bytes(w, at, at + MiB), w.data.subarray(at, at + MiB))
  t.true(w.grid.asked.read <= 5)
})

test('a grid that sends less than it was asked for is asked again: what is missing is never made up', async t => {
  const w = await world(t, 2 * MiB)
  w.grid.short = 3
  same(t, await bytes(w, 0, 2 * MiB), w.data)
  same(t, await bytes(w, 0, 2 * MiB), w.data)
  const mutable = w.grid.mutable(w.data)
  w.grid.short = 2
  const content = contentOf(key, mutable, w.data.length, 'seq1')
  same(t, Buffer.concat(await w.reader.read(content, 0, 100, undefined)), w.data.subarray(0, 100))
})

test('when the grid stays away the answer is EIO, remembered, and the room is given back', async t => {
  const w = await world(t, 2 * MiB, { patience: hasty, limit: 1_100_000 })
  w.grid.notNow.read = Number.POSITIVE_INFINITY
  await t.throwsAsync(bytes(w, 0, 10), { code: 'EIO' })
  const { read } = w.grid.asked
  await t.throwsAsync(bytes(w, 0, 10), { code: 'EIO' })
  t.is(w.grid.asked.read, read)
  w.grid.notNow.read = 0
  t.true(await w.cache.reserve(MiB)) // room for one block, and it is free
})

test('the versions of a mutable file are never mixed', async t => {
  const w = await world(t, 1)
  const [one, two] = [Buffer.alloc(3 * MiB, 1), Buffer.alloc(3 * MiB, 2)]
  const cap = w.grid.mutable(one)
  const first = contentOf(key, cap, one.length, 'seq1')
  same(t, Buffer.concat(await w.reader.read(first, 0, MiB, undefined)), one.subarray(0, MiB))
  w.grid.overwriteWith(cap, two)
  await t.throwsAsync(w.reader.read(first, 0, 2 * MiB, undefined), { code: 'ESTALE' })
  const second = contentOf(key, cap, two.length, 'seq2')
  t.not(second.key, first.key)
  same(t, Buffer.concat(await w.reader.read(second, 0, 3 * MiB, undefined)), two)
  t.true(w.grid.ranges.every(({ start, end }) => end - start <= MiB)) // as the grid wants it
})

test('the next read of a damaged or lost block fetches it again', async t => {
  const grid = new TinyGrid()
  const data = randomBytes(100_000)
  const content = contentOf(key, grid.file(data), data.length, undefined)
  const dir = await folder(t)
  for (let round = 1; round <= 3; round++) {
    const cache = await BlockCache.open({ dir, key, limit: MiB, log: silent })
    const reader = new Reader(grid, new Asker(silent, quick), cache)
    same(t, Buffer.concat(await reader.read(content, 0, data.length, undefined)), data)
    t.is(grid.asked.read, round)
    await reader.close()
    for (const name of await readdir(dir, { recursive: true }))
      if (name.includes('/')) await rm(join(dir, name))
  }
})

test('what is on disk is read again in steps of any size, forwards and here and there, without the grid', async t => {
  const dir = await folder(t)
  const grid = new TinyGrid()
  const data = randomBytes(3 * MiB + 70_001)
  const content = contentOf(key, grid.file(data, 3), data.length, undefined)
  const open = async () =>
    new Reader(
      grid,
      new Asker(silent, quick),
      await BlockCache.open({ dir, key, limit: 100 * MiB, log: silent }),
    )
  const first = await open()
  same(t, Buffer.concat(await first.read(content, 0, data.length, undefined)), data)
  await first.close()
  const { read } = grid.asked
  for (const step of [50_000, 65_536, 131_072, 1_000_003]) {
    const reader = await open()
    for (let at = 0; at < data.length; at += step) {
      const end = Math.min(at + step, data.length)
      const back = Math.floor(at / 3)
      const [here, there] = await Promise.all([
        reader.read(content, at, end, undefined),
        reader.read(content, back, back + 10, undefined),
      ])
      same(t, Buffer.concat(here), data.subarray(at, end))
      same(t, Buffer.concat(there), data.subarray(back, back + 10))
    }
    await reader.close()
  }
  t.is(grid.asked.read, read)
})
