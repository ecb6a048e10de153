// Tahoe's hashes: SHA-256 twice, each use set apart by a tag, each part by its length.

import { createHash } from 'node:crypto'

export const netstring = (bytes: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(`${bytes.length}:`), bytes, Buffer.from(',')])

export function sha256d(...parts: readonly Uint8Array[]): Buffer {
  const inner = createHash('sha256')
  for (const part of parts) inner.update(part)
  return createHash('sha256').update(inner.digest()).digest()
}

/** The hash of `value` for the purpose `tag`, cut to `size` bytes. */
export const taggedHash = (tag: string, value: Uint8Array, size = 32): Buffer =>
  sha256d(netstring(Buffer.from(tag)), value).subarray(0, size)

export const taggedPairHash = (tag: string, a: Uint8Array, b: Uint8Array, size = 32): Buffer =>
  sha256d(netstring(Buffer.from(tag)), netstring(a), netstring(b)).subarray(0, size)
