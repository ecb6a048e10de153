// Small things that tests of any grid need.

import type { Source } from '../../src/tahoe/grid.ts'

/** Bytes as a source, in pieces. */
export const sourceOf = (bytes: Uint8Array, piece = 65_536): Source => ({
  size: bytes.length,
  async *open() {
    for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece)
  },
})

/** What a stream gave before it ended, and the error it ended with, if it did. */
export async function drain(stream: AsyncIterable<Uint8Array>): Promise<{ got: Buffer; err: unknown }> {
  const chunks: Uint8Array[] = []
  try {
    for await (const chunk of stream) chunks.push(Uint8Array.from(chunk)) // copied: later changes must not show
    return { got: Buffer.concat(chunks), err: null }
  } catch (err) {
    return { got: Buffer.concat(chunks), err }
  }
}

/** All of it, or the error. */
export async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const { got, err } = await drain(stream)
  if (err !== null) throw err
  return got
}
