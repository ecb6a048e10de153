// One long GET that runs ahead of a sequential reader, as far as its window allows: the
// window doubles each time the reader catches up with it. A stream that nobody follows ends.

import { FsError } from '../../errors.ts'
import type { Grid } from '../../tahoe/grid.ts'
import type { BlockCache } from './cache.ts'
import { blockRange, type Content } from './content.ts'

/** Blocks that a window has at most. */
const MAX_WINDOW = 64

/** A reader this many blocks ahead of a stream is better served by it than by another request. */
const MAX_SKIP = 16

/** Milliseconds after which a stream that nobody follows gives its connection back. */
const IDLE = 2_000

export class Stream {
  readonly #content: Content
  readonly #cache: BlockCache
  /** The block that is being received, and the first that is not received here. */
  #next: number
  readonly #end: number
  #window = 1
  #limit: number
  readonly #wanted = new Map<number, PromiseWithResolvers<Buffer>>()
  #wake: (() => void) | null = null
  readonly #abort = new AbortController()
  usedAt = performance.now()
  ended = false

  constructor(content: Content, cache: BlockCache, first: number, end: number) {
    this.#content = content
    this.#cache = cache
    this.#next = first
    this.#limit = first
    this.#end = end
  }

  /** Runs until its end, an error, or `stop`; never throws: those who wait hear of it. */
  async run(grid: Grid): Promise<void> {
    try {
      await this.#receive(grid)
    } catch (err) {
      for (const { reject } of this.#wanted.values()) reject(err)
    } finally {
      this.ended = true
      for (const { reject } of this.#wanted.values())
        reject(new FsError('EAGAIN', 'read: the stream has ended'))
    }
  }

  /** Whether it will come to `block` soon. */
  serves(block: number): boolean {
    return !this.ended && block >= this.#next && block < this.#end && this.#near(block)
  }

  /** A block that the stream has yet to receive. */
  want(block: number): Promise<Buffer> {
    let wanted = this.#wanted.get(block)
    if (!wanted) {
      wanted = Promise.withResolvers()
      wanted.promise.catch(() => {})
      this.#wanted.set(block, wanted)
      this.#window = Math.min(this.#window * 2, MAX_WINDOW)
    }
    this.follow(block)
    this.#wake?.()
    return wanted.promise
  }

  /** A reader is at `block`: run ahead of it. */
  follow(block: number): void {
    if (this.ended || block < this.#next - 2 * MAX_WINDOW || !this.#near(block)) return
    this.usedAt = performance.now()
    // What does not stay on disk until it is asked for would be fetched again.
    const room = Math.floor(this.#cache.limit / 4 / this.#content.blockSize)
    const ahead = Math.min(this.#window, room)
    this.#limit = Math.max(this.#limit, block + ahead)
    this.#wake?.()
  }

  /** Not far beyond what it was asked for: a reader that jumped does not wait for all between. */
  #near(block: number): boolean {
    return block <= this.#next + MAX_SKIP && block <= Math.max(this.#next, this.#limit) + 2
  }

  stop(): void {
    this.#abort.abort(new FsError('EAGAIN', 'read: the stream was stopped'))
    this.#wake?.()
  }

  async #receive(grid: Grid): Promise<void> {
    const { start } = blockRange(this.#content, this.#next)
    const { end } = blockRange(this.#content, this.#end - 1)
    let block: Buffer | null = null
    let kept = false
    let filled = 0
    try {
      for await (const chunk of grid.read(
        this.#content.cap,
        { start, end },
        { signal: this.#abort.signal },
      )) {
        for (let at = 0; at < chunk.length; ) {
          if (!block) {
            if (!(await this.#turn())) return
            const range = blockRange(this.#content, this.#next)
            kept = await this.#cache.reserve(range.end - range.start)
            if (!kept && !(await this.#turn(true))) return
            if (at === 0 && chunk.length === range.end - range.start) {
              this.#deliver(chunk, kept) // it came in one piece, and is nobody else's
              break
            }
            block = Buffer.allocUnsafeSlow(range.end - range.start)
            filled = 0
          }
          const copied = chunk.copy(block, filled, at)
          at += copied
          filled += copied
          if (filled === block.length) {
            this.#deliver(block, kept)
            block = null
          }
        }
      }
    } finally {
      if (block && kept) this.#cache.unreserve(block.length)
    }
  }

  #deliver(block: Buffer, kept: boolean): void {
    const number = this.#next++
    if (kept) this.#cache.put(this.#content, number, block)
    else this.#cache.remember(this.#content, number, block)
    this.#wanted.get(number)?.resolve(block)
    this.#wanted.delete(number)
  }

  /** Waits until the window reaches the next block, or somebody wants it; false when nobody came. */
  async #turn(wanted = false): Promise<boolean> {
    const mine = () => (wanted ? this.#wanted.has(this.#next) : this.#next <= this.#limit)
    while (!mine() && !this.#abort.signal.aborted) {
      let timer: NodeJS.Timeout | undefined
      const followed = await Promise.race([
        new Promise<true>(resolve => {
          this.#wake = () => resolve(true)
        }),
        new Promise<false>(resolve => {
          timer = setTimeout(() => resolve(false), IDLE)
        }),
      ])
      clearTimeout(timer)
      this.#wake = null
      if (!followed) return false
    }
    return !this.#abort.signal.aborted
  }
}
