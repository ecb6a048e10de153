// The mutable files that a Tahoe 1.20 node made: their caps, contents, and the shares as its
// storage server kept them. Their keys serve other tests too: making one takes time.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decode } from '../../src/tahoe/format/base32.ts'
import { sha256 } from '../../src/tahoe/format/hash.ts'
import { parseHeader } from '../../src/tahoe/format/ssk-header.ts'
import { openPrivateKey, type SigningKey } from '../../src/tahoe/format/ssk-keys.ts'

const folder = join(import.meta.dirname, '../fixtures/tahoe-golden')

export type Golden = {
  readonly kind: 'SDMF' | 'MDMF' | 'DIR2' | 'DIR2-MDMF'
  readonly cap: string
  readonly storage_index: string
  readonly seq?: number
  readonly seed?: string
  readonly length?: number
  readonly listing?: [string, { children: Record<string, unknown> }]
}

type File = { node: { k: number; n: number }; objects: Golden[] }
const { objects } = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')) as File

const kinds = new Set<string>(['SDMF', 'MDMF', 'DIR2', 'DIR2-MDMF'])
export const goldens = objects.filter(({ kind }) => kinds.has(kind))

/** The content of a golden file: hashes of its seed and a counter. */
export function plaintext(seed: string, length: number): Buffer {
  const parts = Array.from({ length: Math.ceil(length / 32) }, (_, i) => sha256(Buffer.from(`${seed}:${i}`)))
  return Buffer.concat(parts).subarray(0, length)
}

/** The shares of a golden object by number, out of the container that the server keeps them in. */
export function sharesOf(index: string): Map<number, Buffer> {
  const at = join(folder, 'shares', index.slice(0, 2), index)
  return new Map(
    readdirSync(at).map(name => {
      const container = readFileSync(join(at, name))
      return [Number(name), container.subarray(468, 468 + Number(container.readBigUInt64BE(84)))]
    }),
  )
}

/** The two secrets of a write cap. */
export function fieldsOf(cap: string): { writeKey: Buffer; fingerprint: Buffer } {
  const [, , key, fingerprint] = cap.split(':')
  return { writeKey: decode(key!)!, fingerprint: decode(fingerprint!)! }
}

/** The key of a golden object, out of one of its shares. */
export function keyOf({ cap, storage_index: index }: Golden): SigningKey {
  const { writeKey, fingerprint } = fieldsOf(cap)
  const share = sharesOf(index).values().next().value!
  const { start, end } = parseHeader(share).spans.privateKey
  return openPrivateKey(writeKey, fingerprint, share.subarray(start, end))!
}

/** Eleven keys. */
export const goldenKeys = (): SigningKey[] => goldens.map(keyOf)
