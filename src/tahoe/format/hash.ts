// Tahoe's hashes: SHA-256 twice, each use set apart by a tag, each part by its length.

import { createHash, type Hash, hash } from 'node:crypto'

export const netstring = (bytes: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(`${bytes.length}:`), bytes, Buffer.from(',')])

export const sha256 = (bytes: Uint8Array): Buffer => hash('sha256', bytes, 'buffer')

export function sha256d(...parts: readonly Uint8Array[]): Buffer {
  const inner = createHash('sha256')
  for (const part of parts) inner.update(part)
  return sha256(inner.digest())
}

/** The hash of `value` for the purpose `tag`, cut to `size` bytes. */
export const taggedHash = (tag: string, value: Uint8Array, size = 32): Buffer =>
  sha256d(netstring(Buffer.from(tag)), value).subarray(0, size)

export const taggedPairHash = (tag: string, a: Uint8Array, b: Uint8Array, size = 32): Buffer =>
  sha256d(netstring(Buffer.from(tag)), netstring(a), netstring(b)).subarray(0, size)

/** A tagged hash of what comes in pieces. */
export class TaggedHash {
  readonly #inner: Hash

  constructor(tag: string | Uint8Array) {
    this.#inner = createHash('sha256').update(netstring(Buffer.from(tag)))
  }

  update(bytes: Uint8Array): this {
    this.#inner.update(bytes)
    return this
  }

  digest(size = 32): Buffer {
    return sha256(this.#inner.digest()).subarray(0, size)
  }
}
