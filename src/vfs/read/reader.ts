// Reading file content through the cache. A read waits for its own blocks, not for the
// file. One sequential reader gets one long GET; anybody else a block at a time; a block
// is fetched once however many wait for it, and its fetch goes on when they leave.

import { LRUCache } from 'lru-cache'
import { FsError } from '../../errors.ts'
import type { Grid } from '../../tahoe/grid.ts'
import { type Asker, waitFor } from '../ask.ts'
import type { BlockCache } from './cache.ts'
import { blockRange, blocksOf, type Content } from './content.ts'
import { Stream } from './stream.ts'

/** Streams at a time; the least recently followed makes room. */
const MAX_STREAMS = 8

/** Blocks that one stream is asked for at most. */
const MAX_RUN = 4096

/** Blocks whose readers are remembered, to tell a sequential one. */
const MAX_RECENT = 16

/** What is going on with one content. */
type Reading = {
  readonly fetching: Map<number, Promise<Buffer>>
  readonly recent: number[]
  streams: Stream[]
}

export class Reader {
  readonly #grid: Grid
  readonly #asker: Asker
  readonly #cache: BlockCache
  readonly #readings = new LRUCache<string, Reading>({ max: 4096 })
  #streams: Stream[] = []

  constructor(grid: Grid, asker: Asker, cache: BlockCache) {
    this.#grid = grid
    this.#asker = asker
    this.#cache = cache
  }

  /** The bytes `start`–`end` of a content, which lie within it; empty for an empty range. */
  async read(
    content: Content,
    start: number,
    end: number,
    signal: AbortSignal | undefined,
  ): Promise<Buffer[]> {
    if (start >= end) return []
    if (content.cap.kind === 'LIT') return [content.cap.data().subarray(start, end)]
    const first = Math.floor(start / content.blockSize)
    const last = Math.floor((end - 1) / content.blockSize)
    const reading = this.#reading(content)
    // Only what was read before makes a reader sequential: a read may itself cover two blocks.
    const follows = new Set(reading.recent.map(block => block + 1))
    const pieces: Promise<Buffer[]>[] = []
    for (let block = first; block <= last; block++) {
      const range = blockRange(content, block)
      const from = Math.max(start - range.start, 0)
      const to = Math.min(end, range.end) - range.start
      pieces.push(this.#piece(content, reading, block, from, to, follows.has(block), signal))
    }
    return (await Promise.all(pieces)).flat()
  }

  async close(): Promise<void> {
    for (const stream of this.#streams) stream.stop()
    await this.#cache.close()
  }

  #reading(content: Content): Reading {
    let reading = this.#readings.get(content.key)
    if (!reading) {
      reading = { fetching: new Map(), recent: [], streams: [] }
      this.#readings.set(content.key, reading)
    }
    return reading
  }

  async #piece(
    content: Content,
    reading: Reading,
    block: number,
    from: number,
    to: number,
    sequential: boolean,
    signal: AbortSignal | undefined,
  ): Promise<Buffer[]> {
    note(reading.recent, block)
    for (const stream of reading.streams) stream.follow(block)
    const cached = await this.#cache.read(content, block, from, to)
    if (cached) return cached
    const data = await waitFor(this.#fetch(content, reading, block, sequential), signal, 'read')
    return [data.subarray(from, to)]
  }

  #fetch(content: Content, reading: Reading, block: number, sequential: boolean): Promise<Buffer> {
    const running = reading.fetching.get(block)
    if (running) return running
    const stream =
      reading.streams.find(each => each.serves(block)) ??
      (sequential && content.version === undefined ? this.#open(content, reading, block) : null)
    const one = () => this.#fetchOne(content, block)
    const fetching = (stream ? stream.want(block).catch(one) : one()).finally(() =>
      reading.fetching.delete(block),
    )
    fetching.catch(() => {}) // those who wait hear of it
    reading.fetching.set(block, fetching)
    return fetching
  }

  #open(content: Content, reading: Reading, block: number): Stream {
    let end = block + 1
    const last = Math.min(blocksOf(content), block + MAX_RUN)
    while (end < last && !this.#cache.has(content, end)) end++
    if (this.#streams.length >= MAX_STREAMS)
      this.#streams.reduce((oldest, each) => (each.usedAt < oldest.usedAt ? each : oldest)).stop()
    const stream = new Stream(content, this.#cache, block, end)
    reading.streams.push(stream)
    this.#streams.push(stream)
    void stream.run(this.#grid).then(() => {
      reading.streams = reading.streams.filter(each => each !== stream)
      this.#streams = this.#streams.filter(each => each !== stream)
    })
    return stream
  }

  #fetchOne(content: Content, block: number): Promise<Buffer> {
    const range = blockRange(content, block)
    const size = range.end - range.start
    return this.#asker.ask(`read ${content.key}.${block}`, 'read', async signal => {
      const kept = await this.#cache.reserve(size)
      try {
        let data: Buffer | null = null
        let filled = 0
        const version = content.version === undefined ? {} : { version: content.version }
        for await (const chunk of this.#grid.read(content.cap, range, { signal, ...version })) {
          if (chunk.length > size - filled) throw new FsError('EAGAIN', 'read: more than was asked for')
          if (chunk.length === size) {
            data = chunk // it came in one piece, and is nobody else's
            filled = size
            continue
          }
          data ??= Buffer.allocUnsafeSlow(size)
          filled += chunk.copy(data, filled)
        }
        if (!data || filled < size) throw new FsError('EAGAIN', 'read: less than was asked for')
        if (kept) this.#cache.put(content, block, data)
        else this.#cache.remember(content, block, data)
        return data
      } catch (err) {
        if (kept) this.#cache.unreserve(size)
        throw err
      }
    })
  }
}

function note(recent: number[], block: number): void {
  const at = recent.indexOf(block)
  if (at >= 0) recent.splice(at, 1)
  recent.push(block)
  if (recent.length > MAX_RECENT) recent.shift()
}
