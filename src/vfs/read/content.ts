// What bytes a file has, as something to cache: an immutable content is its verify cap and
// never stale; a mutable one is its verify cap and a version. Blocks are Tahoe's segments.

import type { Cap } from '../../tahoe/cap.ts'
import { keyedHash } from '../state/seal.ts'
import type { Inode } from '../tree/inode.ts'

export type Content = {
  /** Names the content on disk, and tells nothing of it. */
  readonly key: string
  readonly cap: Cap
  /** The version of a mutable file's content; undefined for an immutable one. */
  readonly version: string | undefined
  readonly size: number
  /** Bytes of every block but the last. */
  readonly blockSize: number
}

const MAX_SEGMENT = 1 << 20

/** The contents of caps; those of immutable ones are made once. */
export class Contents {
  readonly #hashKey: Uint8Array
  readonly #immutable = new WeakMap<Cap, Content>()

  constructor(hashKey: Uint8Array) {
    this.#hashKey = hashKey
  }

  /** Null where it is not known which version a mutable file has. */
  of({ cap, version, size }: Pick<Inode, 'cap' | 'version' | 'size'>): Content | null {
    if (!cap || (cap.mutable && !version)) return null
    return cap.mutable ? contentOf(this.#hashKey, cap, size, version?.version) : this.immutable(cap)
  }

  immutable(cap: Cap): Content {
    let content = this.#immutable.get(cap)
    if (!content) this.#immutable.set(cap, (content = contentOf(this.#hashKey, cap, cap.size!, undefined)))
    return content
  }
}

export function contentOf(hashKey: Uint8Array, cap: Cap, size: number, version: string | undefined): Content {
  const what = `${(cap.verify() ?? cap.readonly()).uri()}\n${version ?? ''}`
  return {
    key: keyedHash(hashKey, what, 20).toString('hex'),
    cap,
    version,
    size,
    blockSize: blockSize(cap, size),
  }
}

/** Segments are next_multiple(min(1 MiB, size), needed); a block of another size would touch two of them. */
function blockSize(cap: Cap, size: number): number {
  if (cap.mutable) return MAX_SEGMENT
  const needed = cap.needed ?? 1
  return Math.max(1, Math.ceil(Math.min(MAX_SEGMENT, size) / needed) * needed)
}

export const blocksOf = (content: Content): number => Math.ceil(content.size / content.blockSize)

/** Where a block begins and ends in its content. */
export function blockRange(content: Content, block: number): { start: number; end: number } {
  const start = block * content.blockSize
  return { start, end: Math.min(start + content.blockSize, content.size) }
}
