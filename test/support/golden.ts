// What a real Tahoe 1.20.0 node made: caps, and the share files that it kept.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { decode } from '../../src/tahoe/format/base32.ts'

export type Golden = {
  readonly kind: string
  readonly cap: string
  readonly seed?: string
  readonly length?: number
  readonly seq?: number
  readonly storage_index?: string
  /** The numbers of those that are kept here. */
  readonly shares?: readonly number[]
  readonly listing?: readonly [
    string,
    { readonly children: Record<string, [string, Record<string, unknown>]> },
  ]
}

const folder = new URL('../fixtures/tahoe-golden/', import.meta.url)
const file = JSON.parse(readFileSync(new URL('golden.json', folder), 'utf8')) as {
  node: Record<'convergence' | 'lease_secret' | 'my_nodeid', string>
  objects: readonly Golden[]
}

export const golden = file.objects

export const goldenNode = {
  convergence: decode(file.node.convergence)!,
  leaseSecret: decode(file.node.lease_secret)!,
  id: decode(file.node.my_nodeid)!,
}

/** The content of a golden file. */
export function goldenContent({ seed, length }: Golden): Buffer {
  const parts: Buffer[] = []
  for (let i = 0; i * 32 < length!; i++) parts.push(createHash('sha256').update(`${seed}:${i}`).digest())
  return Buffer.concat(parts).subarray(0, length)
}

/** A share file as the node kept it, container and leases and all. */
export const goldenShareFile = (index: string, share: number): Buffer =>
  readFileSync(new URL(`shares/${index.slice(0, 2)}/${index}/${share}`, folder))

/** The share itself. */
export function goldenShare(index: string, share: number): Buffer {
  const file = goldenShareFile(index, share)
  if (file.toString('latin1', 0, 23) === 'Tahoe mutable container')
    return file.subarray(468, 468 + Number(file.readBigUInt64BE(32 + 20 + 32)))
  return file.subarray(12, file.length - 72 * file.readUInt32BE(8))
}
