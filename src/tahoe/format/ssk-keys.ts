// The keys of a mutable file ("SSK", docs/specifications/mutable.rst). An RSA key pair is its
// root: the write key is a hash of the private key's DER, the read key one of the write key, the
// storage index one of the read key; the fingerprint is a hash of the public key's DER. The
// private key lies in every share, sealed with the write key: whoever has that can publish.
//
// DERs are kept as they were stored, and never made anew: other bytes would be other keys.

import {
  constants,
  createCipheriv,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { promisify } from 'node:util'
import { encode } from './base32.ts'
import { taggedHash, taggedPairHash } from './hash.ts'

export const KEY_SIZE = 16
/** Bytes of the random salt that sets each version's, or segment's, data key apart. */
export const SALT_SIZE = 16

const ZERO_COUNTER = Buffer.alloc(16)

export const writeKeyOf = (privateDer: Uint8Array): Buffer =>
  taggedHash('allmydata_mutable_privkey_to_writekey_v1', privateDer, KEY_SIZE)
export const readKeyOf = (writeKey: Uint8Array): Buffer =>
  taggedHash('allmydata_mutable_writekey_to_readkey_v1', writeKey, KEY_SIZE)
/** In base32, as servers are asked for it. */
export const storageIndexOf = (readKey: Uint8Array): string =>
  encode(taggedHash('allmydata_mutable_readkey_to_storage_index_v1', readKey, KEY_SIZE))
export const fingerprintOf = (publicDer: Uint8Array): Buffer =>
  taggedHash('allmydata_mutable_pubkey_to_fingerprint_v1', publicDer)
const dataKeyOf = (salt: Uint8Array, readKey: Uint8Array): Buffer =>
  taggedPairHash('allmydata_mutable_readkey_to_datakey_v1', salt, readKey, KEY_SIZE)

/** AES-128 in counter mode from zero: each key here is used for one text only, and the way back is the same. */
const aes = (key: Uint8Array, bytes: Uint8Array): Buffer =>
  createCipheriv('aes-128-ctr', key, ZERO_COUNTER).update(bytes)

/** Seals a segment, or opens it. */
export const sealSegment = (salt: Uint8Array, readKey: Uint8Array, bytes: Uint8Array): Buffer =>
  aes(dataKeyOf(salt, readKey), bytes)

/** Seals the private key as it lies in the shares, or opens it. */
export const sealPrivateKey = (writeKey: Uint8Array, der: Uint8Array): Buffer => aes(writeKey, der)

const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
const signAsync = promisify<string, Buffer, Parameters<typeof sign>[2], Buffer>(sign)
const verifyAsync = promisify<string, Buffer, Parameters<typeof verify>[2], Buffer, boolean>(verify)

/** What signs the versions of one mutable file. */
export class SigningKey {
  /** PKCS#8, as stored. */
  readonly privateDer: Buffer
  /** SubjectPublicKeyInfo. */
  readonly publicDer: Buffer
  readonly writeKey: Buffer
  readonly readKey: Buffer
  readonly fingerprint: Buffer
  /** The private key as it lies in the shares. */
  readonly sealed: Buffer
  readonly #key: KeyObject

  constructor(key: KeyObject, privateDer: Buffer, publicDer: Buffer) {
    this.#key = key
    this.privateDer = privateDer
    this.publicDer = publicDer
    this.writeKey = writeKeyOf(privateDer)
    this.readKey = readKeyOf(this.writeKey)
    this.fingerprint = fingerprintOf(publicDer)
    this.sealed = sealPrivateKey(this.writeKey, privateDer)
  }

  /** RSASSA-PSS over SHA-256, with 32 random bytes: two signatures of the same are not the same. Off the main thread. */
  sign(bytes: Buffer): Promise<Buffer> {
    return signAsync('sha256', bytes, { key: this.#key, ...pss })
  }
}

/** A private key from its PKCS#8 DER. Throws if that is none of RSA. */
export function signingKey(privateDer: Buffer): SigningKey {
  const key = createPrivateKey({ key: privateDer, format: 'der', type: 'pkcs8' })
  if (key.asymmetricKeyType !== 'rsa') throw new Error('not an RSA key')
  return new SigningKey(key, privateDer, createPublicKey(key).export({ type: 'spki', format: 'der' }))
}

/** A new key of 2048 bits: 10 to 100 ms of work, off the main thread. */
export async function generateKey(): Promise<SigningKey> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  return new SigningKey(
    privateKey,
    privateKey.export({ type: 'pkcs8', format: 'der' }),
    publicKey.export({ type: 'spki', format: 'der' }),
  )
}

/**
 * Opens what lies in a share as the private key. Null if it is not the one that belongs to the
 * write key and the fingerprint of a cap.
 */
export function openPrivateKey(
  writeKey: Uint8Array,
  fingerprint: Uint8Array,
  sealed: Uint8Array,
): SigningKey | null {
  const der = sealPrivateKey(writeKey, sealed)
  if (writeKeyOf(der).compare(writeKey) !== 0) return null
  try {
    const key = signingKey(der)
    return key.fingerprint.compare(fingerprint) === 0 ? key : null
  } catch {
    return null
  }
}

/** Whether a public key, which belongs to the cap, signed these bytes. Off the main thread. */
export async function signed(publicDer: Buffer, bytes: Buffer, signature: Buffer): Promise<boolean> {
  try {
    const key = createPublicKey({ key: publicDer, format: 'der', type: 'spki' })
    return await verifyAsync('sha256', bytes, { key, ...pss }, signature)
  } catch {
    return false // not a key, or not of RSA
  }
}
