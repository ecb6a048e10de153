// The bytes of a file that is not on the grid as it is here, drawn from where each of them
// lies: staging, the content of its cap, or nowhere (zeros).

import { setImmediate as turn } from 'node:timers/promises'
import type { Contents } from '../read/content.ts'
import type { Reader } from '../read/reader.ts'
import type { Content } from './draft.ts'
import { firstAfter, piecesOf } from './extents.ts'
import type { Staging } from './staging.ts'

const ZEROS = Buffer.alloc(256 * 1024)

/** Bytes that are drawn at a time for whoever wants all, and milliseconds that each may take. */
const STEP = 1 << 20
const PATIENCE = 30_000

export class Drawing {
  readonly #staging: Staging
  readonly #reader: Reader
  readonly #contents: Contents

  constructor(staging: Staging, reader: Reader, contents: Contents) {
    this.#staging = staging
    this.#reader = reader
    this.#contents = contents
  }

  /** The bytes `start` to `end`, which lie within the file. Whoever asks holds the segments. */
  async read(content: Content, start: number, end: number, signal?: AbortSignal): Promise<Buffer[]> {
    const { extents } = content
    const pieces: Promise<Buffer[]>[] = []
    for (const { start: from, end: to, extent } of piecesOf(
      extents,
      firstAfter(extents, start),
      start,
      end,
    )) {
      if (extent) {
        const skipped = from - extent.start + extent.skip
        pieces.push(this.#staging.read(extent, skipped, skipped + to - from))
        continue
      }
      const valid = Math.min(Math.max(content.valid, from), to)
      if (from < valid)
        pieces.push(this.#reader.read(this.#contents.immutable(content.base!), from, valid, signal))
      if (valid < to) pieces.push(Promise.resolve(zeros(to - valid)))
    }
    return (await Promise.all(pieces)).flat()
  }

  /** All of it, in order. EAGAIN when the grid does not give what lies below. */
  async *all(content: Content, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    for (let at = 0; at < content.size; at += STEP) {
      await turn() // zeros, and what is in memory, come without waiting: others must have their turn
      const patience = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)])
      yield* await this.read(content, at, Math.min(at + STEP, content.size), patience)
    }
  }
}

function zeros(length: number): Buffer[] {
  const pieces: Buffer[] = []
  for (let left = length; left > 0; left -= ZEROS.length)
    pieces.push(ZEROS.subarray(0, Math.min(left, ZEROS.length)))
  return pieces
}
