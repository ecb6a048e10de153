// AES-128 in counter mode as Tahoe uses it: the counter begins at zero and counts blocks of 16
// bytes, so any byte can be reached without those before it.

import { type Cipheriv, createCipheriv } from 'node:crypto'

const BLOCK = 16
const skipped = Buffer.alloc(BLOCK)

/** Encrypts and decrypts what lies from byte `offset` on, in order. */
export function aesCtr(key: Uint8Array, offset = 0): Cipheriv {
  const counter = Buffer.alloc(BLOCK)
  counter.writeBigUInt64BE(BigInt(Math.floor(offset / BLOCK)), 8)
  const cipher = createCipheriv('aes-128-ctr', key, counter)
  if (offset % BLOCK > 0) cipher.update(skipped.subarray(0, offset % BLOCK))
  return cipher
}
