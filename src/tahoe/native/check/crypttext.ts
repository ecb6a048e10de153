// The ciphertext of an immutable file, a segment at a time, from whatever blocks are good: also
// those of shares that are damaged elsewhere. So a file whose shares are all damaged can still be
// had, as long as enough blocks of each segment are right.

import { setImmediate as breathe } from 'node:timers/promises'
import { FsError } from '../../../errors.ts'
import { type Shape, segmentLength } from '../../format/chk/shape.ts'
import { PartialTree } from '../../format/merkle.ts'
import { decode } from '../../format/zfec.ts'
import { Damaged, Share, type Trees, type Wanted } from '../immutable/share.ts'
import type { ShareAt } from './verified.ts'

/** Segments after which what was learned of the trees is forgotten, so that it does not grow with the file. */
const REMEMBERED = 4096

export class Crypttext {
  readonly shape: Shape
  /** Of the share that told the shape. */
  readonly version: 1 | 2
  readonly #wanted: Wanted
  readonly #sources: readonly ShareAt[]
  #shares: readonly Share[] = []
  #trees: Trees | null = null
  #asked = 0

  private constructor(wanted: Wanted, sources: readonly ShareAt[], shape: Shape, version: 1 | 2) {
    this.#wanted = wanted
    this.#sources = sources
    this.shape = shape
    this.version = version
  }

  /** `shares`: the best first. EAGAIN when none of them tells how the file is cut. */
  static async open(wanted: Wanted, shares: readonly ShareAt[], signal?: AbortSignal): Promise<Crypttext> {
    for (const { server, number } of shares) {
      const share = new Share(server, number, wanted)
      const extension = await orNull(share.extension(signal), signal)
      if (extension) return new Crypttext(wanted, shares, extension.shape, share.layout!.version)
    }
    throw new FsError('EAGAIN', 'no share says how the file is cut')
  }

  /** EAGAIN when there are not enough good blocks of it. */
  async segment(segment: number, signal?: AbortSignal): Promise<Buffer> {
    if (this.#asked++ % REMEMBERED === 0) await this.#anew(signal)
    const { needed, total } = this.shape
    const blocks = new Map<number, Buffer>()
    for (const share of this.#shares) {
      if (blocks.size === needed) break
      if (blocks.has(share.number)) continue
      const block = await orNull(share.block(segment, this.#trees!, signal), signal)
      if (block) blocks.set(share.number, block)
    }
    if (blocks.size < needed)
      throw new FsError(
        'EAGAIN',
        `of segment ${segment} only ${blocks.size} of ${needed} needed blocks are good`,
      )
    const parts = decode(blocks, needed, total)
    const padded = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
    return padded.subarray(0, segmentLength(this.shape, segment))
  }

  async #anew(signal: AbortSignal | undefined): Promise<void> {
    const shares = this.#sources.map(({ server, number }) => new Share(server, number, this.#wanted))
    const extensions = await Promise.all(shares.map(share => orNull(share.extension(signal), signal)))
    const extension = extensions.find(each => each !== null)
    if (!extension) throw new FsError('EAGAIN', 'no share says how the file is cut')
    const { shareRoot, crypttextRoot, shape } = extension
    this.#shares = shares.filter((_, i) => extensions[i])
    this.#trees = {
      extension,
      shares: new PartialTree(shape.total, shareRoot),
      crypttext: new PartialTree(shape.segments, crypttextRoot),
    }
  }
}

/** Whether all segments can be had from these, when too few of them are good. */
export async function readableFrom(
  wanted: Wanted,
  good: readonly ShareAt[],
  damaged: readonly ShareAt[],
  signal?: AbortSignal,
): Promise<boolean> {
  try {
    const crypttext = await Crypttext.open(wanted, [...good, ...damaged], signal)
    for (let segment = 0; segment < crypttext.shape.segments; segment++) {
      await crypttext.segment(segment, signal)
      await breathe()
    }
    return true
  } catch (err) {
    signal?.throwIfAborted()
    if (err instanceof FsError) return false
    throw err
  }
}

/** Null for what a share cannot give. */
async function orNull<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T | null> {
  try {
    return await work
  } catch (err) {
    signal?.throwIfAborted()
    if (err instanceof Damaged || err instanceof FsError) return null
    throw err
  }
}
