// Sealing: what rests on this disk is encrypted under the state directory's master key,
// and the master key is wrapped so that only the root cap opens it.

import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'

const NONCE = 12
const TAG = 16

/** A key of 32 bytes for one purpose. */
export const derive = (key: Uint8Array, salt: Uint8Array, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', key, salt, `tahoe-nfs/v1/${purpose}`, 32))

/** A name that tells nothing of what it names, to those without the key. */
export const keyedHash = (key: Uint8Array, text: string | Uint8Array, bytes: number): Buffer =>
  createHmac('sha256', key).update(text).digest().subarray(0, bytes)

/** AES-256-GCM under a random nonce; `about` is bound to it: a blob put in another's place does not open. */
export function seal(key: Uint8Array, plain: Uint8Array, about: string): Buffer {
  const nonce = randomBytes(NONCE)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(about))
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** The bytes inside, or null when the key or the place is not the one it was sealed for. */
export function open(key: Uint8Array, sealed: Uint8Array, about: string): Buffer | null {
  if (sealed.length < NONCE + TAG) return null
  const nonce = sealed.subarray(0, NONCE)
  const end = sealed.length - TAG
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG }).setAAD(
    Buffer.from(about),
  )
  decipher.setAuthTag(sealed.subarray(end))
  const plain = decipher.update(sealed.subarray(NONCE, end))
  try {
    return Buffer.concat([plain, decipher.final()])
  } catch {
    return null
  }
}
