// The content of one version, segment by segment, from any shares of it. Every block is checked
// up to the signed root hash; a share that has a wrong one is not used again, and its server is
// told.

import { FsError } from '../../../errors.ts'
import { nodeOf, PartialTree, rootOf, WrongHash } from '../../format/merkle.ts'
import {
  blockHash,
  blockSpan,
  contentSize,
  decodeSegment,
  type Header,
  Malformed,
  parseChain,
  segmentsOf,
} from '../../format/ssk.ts'
import { openPrivateKey, SALT_SIZE, type SigningKey } from '../../format/ssk-keys.ts'
import type { Wait } from '../../storage/server.ts'
import { gaveUp } from '../../turns.ts'
import type { FoundVersion } from './map.ts'
import type { FoundShare } from './share.ts'
import type { Slot } from './slot.ts'

/** The shares are of another version by now. */
export class Moved extends Error {}

export type Report = (share: FoundShare, reason: string) => void

/** The block hash tree of a share, its root proved. */
type Tree = { readonly nodes: Buffer; readonly proved: PartialTree }

export class VersionReader {
  readonly id: string
  readonly header: Header
  readonly #slot: Slot
  readonly #report: Report
  #shareTree: PartialTree
  /** Those that may still be used; by number, so that those that need no decoding come first. */
  readonly #usable: FoundShare[]
  readonly #trees = new Map<FoundShare, Promise<Tree>>()

  constructor(slot: Slot, version: FoundVersion, report: Report) {
    this.id = version.id
    this.header = version.header
    this.#slot = slot
    this.#report = report
    this.#shareTree = new PartialTree(version.header.total, version.header.rootHash)
    this.#usable = [...version.shares].sort(([a], [b]) => a - b).flatMap(([, shares]) => shares)
  }

  /** Takes over what another reader of the same version has checked already. */
  knowing(other: VersionReader): this {
    this.#shareTree = other.#shareTree
    for (const share of this.#usable)
      for (const [known, tree] of other.#trees)
        if (known.server === share.server && known.number === share.number) this.#trees.set(share, tree)
    return this
  }

  /** All of it. Only for what has been found to be small enough. */
  async content(wait?: Wait): Promise<Buffer> {
    const parts: Buffer[] = []
    for (let segment = 0; segment < segmentsOf(this.header); segment++)
      parts.push(await this.segment(segment, wait))
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }

  /** The bytes from `start` to before `end`, within the content; the segment after the one handed over is on its way. */
  async *range(start: number, end: number, wait?: Wait): AsyncGenerator<Buffer> {
    if (start >= end) return
    const { segmentSize } = this.header
    const last = Math.floor((end - 1) / segmentSize)
    let segment = Math.floor(start / segmentSize)
    let next: Promise<Buffer> | null = this.segment(segment, wait)
    while (next !== null) {
      const content: Buffer = await next
      next = segment < last ? this.segment(segment + 1, wait) : null
      next?.catch(() => {}) // it is awaited only if the reader goes on
      const at = segment * segmentSize
      yield content.subarray(Math.max(0, start - at), Math.min(content.length, end - at))
      segment++
    }
  }

  /** The content of a segment. EAGAIN when too few shares are left; Moved when they are no longer of this version. */
  async segment(segment: number, wait?: Wait): Promise<Buffer> {
    const { header } = this
    const blocks = new Map<number, Buffer>()
    while (blocks.size < header.needed) {
      const more = this.#choose(blocks)
      await Promise.all(
        more.map(async share => {
          const block = await this.#tried(share, () => this.#block(share, segment, wait), wait)
          if (block !== null) blocks.set(share.number, block)
        }),
      )
    }
    let salt = header.salt
    if (salt === null) {
      // Each share has the salt, and none is trusted for the others: the block hashes cover it.
      salt = blocks.values().next().value!.subarray(0, SALT_SIZE)
      for (const [number, block] of blocks) blocks.set(number, block.subarray(SALT_SIZE))
    }
    return decodeSegment(header, this.#slot.readKey!, salt, blocks, contentSize(header, segment))
  }

  /** What signs new versions, from whichever share has the right one. */
  async signingKey(writeKey: Buffer, wait?: Wait): Promise<SigningKey> {
    for (;;) {
      const share = this.#usable[0]
      if (share === undefined) throw this.#tooFew()
      const key = await this.#tried(
        share,
        async () => {
          const sealed = await share.bytes(share.header!.spans.privateKey, wait)
          const opened = openPrivateKey(writeKey, this.#slot.fingerprint, sealed)
          if (opened === null) throw new WrongHash('its private key is another')
          return opened
        },
        wait,
      )
      if (key !== null) return key
    }
  }

  #choose(have: ReadonlyMap<number, unknown>): FoundShare[] {
    const numbers = new Map<number, FoundShare>()
    for (const share of this.#usable)
      if (!have.has(share.number) && !numbers.has(share.number)) numbers.set(share.number, share)
    const missing = this.header.needed - have.size
    if (numbers.size < missing) throw this.#tooFew()
    return [...numbers.values()].slice(0, missing)
  }

  #tooFew(): FsError {
    const left = new Set(this.#usable.map(({ number }) => number)).size
    return new FsError(
      'EAGAIN',
      `${this.#slot.name}: only ${left} good shares are left, ${this.header.needed} are needed`,
    )
  }

  /** Does something with a share; if that fails the share is not used again, and null. */
  async #tried<T>(share: FoundShare, work: () => Promise<T>, wait?: Wait): Promise<T | null> {
    try {
      return await work()
    } catch (err) {
      gaveUp(this.#slot.name, wait?.signal)
      const wrong = err instanceof WrongHash || err instanceof Malformed
      if (!wrong && !(err instanceof FsError)) throw err
      const at = this.#usable.indexOf(share)
      if (at >= 0) this.#usable.splice(at, 1)
      if (!wrong) return null
      const moved = await share.moved(wait).catch(() => false)
      if (moved) throw new Moved()
      this.#report(share, (err as Error).message)
      return null
    }
  }

  async #block(share: FoundShare, segment: number, wait?: Wait): Promise<Buffer> {
    const [tree, block] = await Promise.all([
      this.#tree(share, wait),
      share.bytes(blockSpan(share.header!, segment), wait),
    ])
    tree.proved.prove(segment, blockHash(block), node => nodeOf(tree.nodes, node))
    return block
  }

  #tree(share: FoundShare, wait?: Wait): Promise<Tree> {
    let tree = this.#trees.get(share)
    if (!tree) {
      tree = this.#readTree(share, wait)
      this.#trees.set(share, tree)
      tree.catch(() => this.#trees.delete(share))
    }
    return tree
  }

  async #readTree(share: FoundShare, wait?: Wait): Promise<Tree> {
    const { spans } = share.header!
    const [hashes, nodes] = await Promise.all([
      share.bytes(spans.shareHashes, wait),
      share.bytes(spans.blockHashes, wait),
    ])
    const chain = parseChain(hashes)
    const root = rootOf(nodes)
    this.#shareTree.prove(share.number, root, node => chain.get(node))
    return { nodes, proved: new PartialTree(segmentsOf(this.header), root) }
  }
}
