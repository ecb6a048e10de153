// What an immutable file's parts are hashed for.

import { encode } from '../base32.ts'
import { netstring, TaggedHash, taggedHash } from '../hash.ts'
import type { Shape } from './shape.ts'

export const blockHash = (block: Uint8Array): Buffer => taggedHash('allmydata_encoded_subshare_v1', block)

/** Of a segment's ciphertext, before anything was added to its end. */
export const segmentHash = (segment: Uint8Array): Buffer =>
  taggedHash('allmydata_crypttext_segment_v1', segment)

export const crypttextHasher = (): TaggedHash => new TaggedHash('allmydata_crypttext_v1')

/**
 * Makes a file's key of its plaintext: whoever has the same content, the same convergence secret and
 * the same shape comes to the same key. `digest(16)` is the key.
 */
export const keyHasher = (convergence: Uint8Array, { needed, total, segmentSize }: Shape): TaggedHash =>
  new TaggedHash(
    Buffer.concat([
      Buffer.from('allmydata_immutable_content_to_key_with_added_secret_v1+'),
      netstring(convergence),
      netstring(Buffer.from(`${needed},${total},${segmentSize}`)),
    ]),
  )

export const KEY_SIZE = 16

/** Where the shares of the file with this key lie. */
export const storageIndexOf = (key: Uint8Array): string =>
  encode(taggedHash('allmydata_immutable_key_to_storage_index_v1', key, 16))
