// Immutable content on its way to the grid. Two uploads of equal content at the same
// time disturb each other in the storage servers, so equal content is sent once, and
// who asks for it joins. To know what is equal it is digested first, unless its digest is known.

import { createHash } from 'node:crypto'
import { FsError } from '../../errors.ts'
import { type Cap, LIT_MAX, litCap } from '../cap.ts'
import type { Source, Waiting } from '../grid.ts'
import { readCap } from './listing.ts'
import type { Node } from './node.ts'
import { garbage, refusal } from './trouble.ts'
import { gaveUp, patiently } from './turns.ts'

type Hears = (bytes: number) => void

/** One upload under way, and who waits for it. */
type Flight = { readonly cap: Promise<Cap>; readonly stop: AbortController; readonly hears: Set<Hears> }

export class Uploads {
  readonly #node: Node
  readonly #flights = new Map<string, Flight>()

  constructor(node: Node) {
    this.#node = node
  }

  async upload(source: Source, { signal, onProgress }: Waiting & { onProgress?: Hears } = {}): Promise<Cap> {
    const what = `upload ${source.size} bytes`
    if (source.size <= LIT_MAX) {
      const chunks: Uint8Array[] = []
      for await (const chunk of exactly(source, what, signal)) chunks.push(Uint8Array.from(chunk))
      return litCap(Buffer.concat(chunks))
    }
    const digest = source.digest ?? (await digestOf(source, what, signal))
    const flight = this.#join(digest, source, what)
    const hear: Hears = bytes => onProgress?.(bytes)
    flight.hears.add(hear)
    try {
      return await patiently(flight.cap, what, signal)
    } finally {
      flight.hears.delete(hear)
      // Nobody waits any more: those who come later start anew.
      if (flight.hears.size === 0) {
        if (this.#flights.get(digest) === flight) this.#flights.delete(digest)
        flight.stop.abort()
      }
    }
  }

  #join(digest: string, source: Source, what: string): Flight {
    const known = this.#flights.get(digest)
    if (known !== undefined) return known
    const stop = new AbortController()
    const hears = new Set<Hears>()
    const cap = this.#put(source, digest, what, stop.signal, bytes => {
      for (const hear of hears) hear(bytes)
    })
    const flight = { cap, stop, hears }
    this.#flights.set(digest, flight)
    const landed = () => {
      if (this.#flights.get(digest) === flight) this.#flights.delete(digest)
    }
    cap.then(landed, landed)
    return flight
  }

  async #put(source: Source, digest: string, what: string, signal: AbortSignal, sent: Hears): Promise<Cap> {
    const { status, body } = await sendWhole(this.#node, '/uri', source, { digest, what, signal, sent })
    if (status !== 200 && status !== 201) throw refusal(what, status, body.toString())
    const cap = readCap(body, what)
    if (cap.kind !== 'CHK' || cap.size !== source.size)
      throw garbage(what, 'the node answered the cap of something else')
    return cap
  }
}

/** Sends the whole source, which must still have the digest it had. */
export async function sendWhole(
  node: Node,
  path: string,
  source: Source,
  options: { digest: string; what: string; signal?: AbortSignal | undefined; sent?: Hears },
) {
  const { digest, what, signal, sent } = options
  const trouble: { cause?: unknown } = {}
  async function* bytes(): AsyncGenerator<Uint8Array> {
    try {
      const hash = createHash('sha256')
      let count = 0
      for await (const chunk of exactly(source, what, signal)) {
        hash.update(chunk)
        count += chunk.length
        yield chunk
        sent?.(count)
      }
      if (hash.digest('hex') !== digest) throw new FsError('EIO', `${what}: the source changed meanwhile`)
    } catch (err) {
      trouble.cause = err
      throw err
    }
  }
  try {
    return await node.send(path, { size: source.size, bytes: bytes() }, what, signal)
  } catch (err) {
    throw trouble.cause ?? err // what failed was not the connection
  }
}

export async function digestOf(source: Source, what: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of exactly(source, what, signal)) hash.update(chunk)
  return hash.digest('hex')
}

/** The bytes of a source, as many as it said. */
async function* exactly(source: Source, what: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  let left = source.size
  for await (const chunk of source.open()) {
    gaveUp(what, signal)
    left -= chunk.length
    if (left < 0) break
    if (chunk.length > 0) yield chunk
  }
  if (left !== 0) throw new FsError('EIO', `${what}: the source is not as long as it said`)
}
