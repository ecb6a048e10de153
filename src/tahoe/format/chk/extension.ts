// The URI extension: what a cap's second half is the hash of. It names the roots of all hash
// trees, and how the file was cut. A concatenation of `key:` and netstrings, in the order of the keys.

import { netstring, taggedHash } from '../hash.ts'
import { cutInto, type Shape } from './shape.ts'

/** Bytes of the longest that is read; those that Tahoe makes stay below 1000. */
export const MAX_EXTENSION = 4096

/** Bytes of the longest segment that is read: all of one must be in memory. */
const MAX_SEGMENT_READ = 64 << 20

export type Roots = {
  /** Of the whole ciphertext; nobody needs it to read. */
  readonly crypttext: Buffer
  readonly crypttextTree: Buffer
  readonly shareTree: Buffer
}

export type Extension = {
  readonly shape: Shape
  readonly crypttextRoot: Buffer
  readonly shareRoot: Buffer
  /** Whether its shares hold hashes of the plaintext, as they once did. */
  readonly plaintext: boolean
}

export function writeExtension(shape: Shape, roots: Roots): Buffer {
  const { needed, total, segmentSize, segments, size, tailBlock } = shape
  const fields: Record<string, string | Buffer> = {
    codec_name: 'crs',
    codec_params: `${segmentSize}-${needed}-${total}`,
    crypttext_hash: roots.crypttext,
    crypttext_root_hash: roots.crypttextTree,
    needed_shares: String(needed),
    num_segments: String(segments),
    segment_size: String(segmentSize),
    share_root_hash: roots.shareTree,
    size: String(size),
    tail_codec_params: `${tailBlock * needed}-${needed}-${total}`,
    total_shares: String(total),
  }
  return Buffer.concat(
    Object.entries(fields).flatMap(([key, value]) => [Buffer.from(`${key}:`), netstring(Buffer.from(value))]),
  )
}

export const extensionHash = (bytes: Uint8Array): Buffer => taggedHash('allmydata_uri_extension_v1', bytes)

/**
 * What an extension says of a file of `size` bytes; null where it makes no sense for such a file.
 * Its hash has been checked: it is as whoever made the cap wrote it.
 */
export function readExtension(bytes: Buffer, size: number, needed: number, total: number): Extension | null {
  const fields = fieldsOf(bytes)
  const number = (key: string): number => {
    const text = fields?.get(key)?.toString('latin1') ?? ''
    return /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  }
  const segmentSize = number('segment_size')
  if (!(segmentSize > 0 && segmentSize <= MAX_SEGMENT_READ) || segmentSize % needed !== 0) return null
  const shape = cutInto(size, needed, total, segmentSize)
  const agrees =
    number('size') === size &&
    number('needed_shares') === needed &&
    number('total_shares') === total &&
    number('num_segments') === shape.segments
  const crypttextRoot = fields?.get('crypttext_root_hash')
  const shareRoot = fields?.get('share_root_hash')
  if (!agrees || crypttextRoot?.length !== 32 || shareRoot?.length !== 32) return null
  const plaintext = fields?.has('plaintext_root_hash') ?? false
  return { shape, crypttextRoot: Buffer.from(crypttextRoot), shareRoot: Buffer.from(shareRoot), plaintext }
}

function fieldsOf(bytes: Buffer): Map<string, Buffer> | null {
  const fields = new Map<string, Buffer>()
  for (let at = 0; at < bytes.length; ) {
    const [found, key, length] =
      /^([a-z_]{1,64}):(\d{1,4}):/.exec(bytes.toString('latin1', at, at + 80)) ?? []
    if (found === undefined) return null
    const start = at + found.length
    const end = start + Number(length)
    if (bytes[end] !== 0x2c) return null // a comma
    fields.set(key!, bytes.subarray(start, end))
    at = end + 1
  }
  return fields
}
