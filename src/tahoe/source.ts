// The bytes that somebody wants stored, and whether they are those that were announced.

import { createHash } from 'node:crypto'
import { FsError } from '../errors.ts'
import { type Cap, LIT_MAX, litCap } from './cap.ts'
import type { Source } from './grid.ts'
import { gaveUp } from './turns.ts'

/** SHA-256, in lower-case hex. */
export async function digestOf(source: Source, what: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of exactly(source, what, signal)) hash.update(chunk)
  return hash.digest('hex')
}

/** The cap that is its own content, of a source that is short enough for one; null for any other. */
export async function literalOf(source: Source, what: string, signal?: AbortSignal): Promise<Cap | null> {
  if (source.size > LIT_MAX) return null
  const chunks: Uint8Array[] = []
  for await (const chunk of exactly(source, what, signal)) chunks.push(Uint8Array.from(chunk)) // it may be used again
  return litCap(Buffer.concat(chunks))
}

/** The bytes of a source, as many as it said. */
export async function* exactly(
  source: Source,
  what: string,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let left = source.size
  for await (const chunk of source.open()) {
    gaveUp(what, signal)
    left -= chunk.length
    if (left < 0) break
    if (chunk.length > 0) yield chunk
  }
  if (left !== 0) throw new FsError('EIO', `${what}: the source is not as long as it said`)
}

/** The bytes of a source in pieces of `size`, each in memory of its own; the last may be shorter. */
export async function* piecesOf(
  source: Source,
  size: number,
  what: string,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let left = source.size
  let piece = new Uint8Array(Math.min(size, left))
  let filled = 0
  for await (const chunk of exactly(source, what, signal)) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + piece.length - filled)
      piece.set(part, filled)
      filled += part.length
      at += part.length
      if (filled < piece.length) continue
      left -= filled
      yield piece
      piece = new Uint8Array(Math.min(size, left))
      filled = 0
    }
  }
}
