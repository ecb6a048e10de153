// Immutable content on its way to the storage servers. It is read twice: once for its key, which
// tells where its shares belong, and once to encode it. Nothing is there before all of it is durable
// on enough servers; what is given up leaves nothing behind.

import { type Cap, parseCap } from '../../cap.ts'
import { Flights, type Hears } from '../../flights.ts'
import { planOf } from '../../format/chk/encoder.ts'
import { storageIndexOf } from '../../format/chk/hashes.ts'
import { type Shape, shapeOf } from '../../format/chk/shape.ts'
import type { Source, Waiting } from '../../grid.ts'
import { literalOf, piecesOf } from '../../source.ts'
import type { StorageServer } from '../../storage/server.ts'
import { gaveUp, Turns } from '../../turns.ts'
import { Uses } from '../uses.ts'
import { DirectEncoding, EncodeThread, type Encoding } from './encoding.ts'
import { Pushes, type Rules } from './push.ts'

/** Content of so many bytes or less is encoded at once: a thread would cost more than it spares. */
const DIRECT = 256 * 1024

/** Uploads that encode at a time. */
const ENCODING = 8

export type UploadsOptions = Rules & {
  /** In the order in which a storage index prefers them. */
  readonly serversFor: (index: string) => readonly StorageServer[]
  /** Hears of what is being stored. */
  readonly uses?: Uses
}

export class Uploads {
  readonly #options: UploadsOptions
  readonly #flights = new Flights()
  readonly #turns = new Turns(ENCODING)
  #thread: EncodeThread | null = null

  constructor(options: UploadsOptions) {
    this.#options = options
  }

  async upload(source: Source, { signal, onProgress }: Waiting & { onProgress?: Hears } = {}): Promise<Cap> {
    const what = `upload ${source.size} bytes`
    const literal = await literalOf(source, what, signal)
    if (literal) return literal
    const end = await this.#turns.take(what, signal)
    try {
      return await this.#encode(source, what, signal, onProgress)
    } finally {
      end()
    }
  }

  async close(): Promise<void> {
    await this.#thread?.close()
  }

  async #encode(source: Source, what: string, signal?: AbortSignal, onProgress?: Hears): Promise<Cap> {
    const { secrets, shares, uses = new Uses() } = this.#options
    const shape = shapeOf(source.size, shares.needed, shares.total)
    const encoding = this.#open(secrets.convergence, shape)
    let flies = false
    try {
      const all = () => piecesOf(source, shape.segmentSize, what, signal)
      // What is short is read once, and kept until it is encoded.
      const kept = shape.segments === 1 ? await first(all()) : null
      for await (const segment of kept ? [kept.slice()] : all()) await encoding.digest(segment)
      const index = storageIndexOf(await encoding.key())
      return await this.#flights.join(index, { what, signal, onProgress }, (stop, sent) => {
        flies = true
        const segments = kept ? [kept] : piecesOf(source, shape.segmentSize, what, stop)
        const push = () => this.#push(index, segments, shape, encoding, what, stop, sent)
        return uses.storing(index, push).finally(() => encoding.end())
      })
    } finally {
      if (!flies) encoding.end()
    }
  }

  #open(convergence: Uint8Array, shape: Shape): Encoding {
    if (shape.size * (shape.total / shape.needed) <= DIRECT) return new DirectEncoding(convergence, shape)
    if (!this.#thread || this.#thread.isDead) this.#thread = new EncodeThread()
    return this.#thread.open(convergence, shape)
  }

  /** Encodes, and brings each block to its server while the next are encoded. */
  async #push(
    index: string,
    segments: AsyncIterable<Uint8Array<ArrayBuffer>> | Iterable<Uint8Array<ArrayBuffer>>,
    shape: Shape,
    encoding: Encoding,
    what: string,
    stop: AbortSignal,
    sent: Hears,
  ): Promise<Cap> {
    const plan = planOf(shape)
    const servers = this.#options.serversFor(index)
    const pushes = await Pushes.open(servers, this.#options, {
      index,
      length: plan.length,
      what,
      signal: stop,
    })
    try {
      pushes.each(() => plan.header)
      let [written, bytes] = [Promise.resolve(), 0]
      for await (const segment of segments) {
        gaveUp(what, stop)
        bytes += segment.length
        const blocks = await encoding.segment(segment)
        await written
        pushes.each(share => blocks[share]!)
        if (bytes === shape.size) continue // the last blocks go with what follows them
        written = pushes.flush()
        written.catch(() => {}) // heard of at the next one
        sent(bytes)
      }
      await written
      const { cap, tails } = await encoding.finish()
      pushes.each(share => tails[share]!)
      await pushes.flush()
      gaveUp(what, stop)
      await pushes.close()
      sent(shape.size)
      return parseCap(cap)
    } catch (err) {
      await pushes.abort()
      throw err
    }
  }
}

async function first<T>(all: AsyncIterable<T>): Promise<T> {
  let found: T | undefined
  for await (const each of all) found ??= each
  return found!
}
