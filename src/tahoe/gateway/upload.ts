// Immutable content on its way to the grid. Two uploads of equal content at the same
// time disturb each other in the storage servers, so equal content is sent once, and
// who asks for it joins. To know what is equal it is digested first, unless its digest is known.

import { createHash } from 'node:crypto'
import { FsError } from '../../errors.ts'
import type { Cap } from '../cap.ts'
import { Flights, type Hears } from '../flights.ts'
import type { Source, Waiting } from '../grid.ts'
import { digestOf, exactly, literalOf } from '../source.ts'
import { readCap } from './listing.ts'
import type { Node } from './node.ts'
import { garbage, refusal } from './trouble.ts'

export class Uploads {
  readonly #node: Node
  readonly #flights = new Flights()

  constructor(node: Node) {
    this.#node = node
  }

  async upload(source: Source, { signal, onProgress }: Waiting & { onProgress?: Hears } = {}): Promise<Cap> {
    const what = `upload ${source.size} bytes`
    const literal = await literalOf(source, what, signal)
    if (literal) return literal
    const digest = source.digest ?? (await digestOf(source, what, signal))
    return await this.#flights.join(digest, { what, signal, onProgress }, (stop, sent) =>
      this.#put(source, digest, what, stop, sent),
    )
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
