// What staging files are made of: records of at most 64 KiB, sealed under the file's own key with
// the record's number as nonce, which is never used twice.

import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto'

/** Bytes of content in every record of a run but its last. */
export const RECORD = 64 * 1024
export const TAG = 16
/** Bytes that a whole record takes. */
export const STRIDE = RECORD + TAG

/** What `plain` bytes take. */
export const sealedSize = (plain: number): number => plain + Math.ceil(plain / RECORD) * TAG

/** The sealed bytes, and their tag. */
export function sealRecord(key: KeyObject, number: number, plain: Uint8Array): [Buffer, Buffer] {
  const cipher = createCipheriv('aes-256-gcm', key, nonce(number))
  const bytes = cipher.update(plain)
  cipher.final()
  return [bytes, cipher.getAuthTag()]
}

/** The bytes inside; null when they are not what was sealed under this number. */
export function openRecord(key: KeyObject, number: number, sealed: Buffer): Buffer | null {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce(number), { authTagLength: TAG })
  const end = sealed.length - TAG
  decipher.setAuthTag(sealed.subarray(end))
  const bytes = decipher.update(sealed.subarray(0, end))
  try {
    decipher.final()
  } catch {
    return null
  }
  return bytes
}

function nonce(number: number): Buffer {
  const bytes = Buffer.alloc(12)
  bytes.writeUIntBE(number, 6, 6)
  return bytes
}
