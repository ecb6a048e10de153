// Makes the shares of an immutable file, one segment after another. What is kept of a
// segment are its hashes: memory grows by 32 bytes for each of its blocks.

import { aesCtr } from '../aes.ts'
import { encode as base32 } from '../base32.ts'
import { besides, HASH_SIZE, merkleTree, nodeOf, rootOf, widthOf } from '../merkle.ts'
import { encode } from '../zfec.ts'
import { extensionHash, writeExtension } from './extension.ts'
import { blockHash, crypttextHasher, segmentHash } from './hashes.ts'
import {
  blockLength,
  type Layout,
  LINK_SIZE,
  layoutOf,
  lengthSize,
  type Shape,
  writeHeader,
} from './shape.ts'

/** How long the extension of any file of a shape is: its numbers are known, and hashes are all as long. */
function extensionLength(shape: Shape): number {
  const hash = Buffer.alloc(HASH_SIZE)
  return writeExtension(shape, { crypttext: hash, crypttextTree: hash, shareTree: hash }).length
}

/** The chain of a new share: the leaf itself, and what is needed to check it. */
const linksOf = (total: number): number => besides(total, 0).length + 1

/** The parts of a share whose sizes are known before its content is. */
export type Plan = {
  readonly layout: Layout
  /** What it begins with; the blocks follow. */
  readonly header: Buffer
  /** Bytes of a whole share. */
  readonly length: number
}

export function planOf(shape: Shape, version?: 1 | 2): Plan {
  const layout = layoutOf(shape, linksOf(shape.total), version)
  const length = layout.extension + lengthSize[layout.version] + extensionLength(shape)
  return { layout, header: writeHeader(layout, shape), length }
}

export type Encoded = {
  /** The text of the cap. */
  readonly cap: string
  /** What follows the blocks in each share. */
  readonly tails: readonly Uint8Array[]
}

export class ChkEncoder {
  readonly #shape: Shape
  readonly #plan: Plan
  readonly #key: Buffer
  readonly #cipher: ReturnType<typeof aesCtr>
  readonly #crypttext = crypttextHasher()
  readonly #segmentHashes: Buffer[] = []
  readonly #blockHashes: Buffer[][]

  constructor(key: Uint8Array, shape: Shape, plan: Plan = planOf(shape)) {
    this.#key = Buffer.from(key)
    this.#shape = shape
    this.#plan = plan
    this.#cipher = aesCtr(key)
    this.#blockHashes = Array.from({ length: shape.total }, () => [])
  }

  /** The blocks of the next segment, one for each share, all of them as long. */
  segment(plaintext: Uint8Array): Uint8Array[] {
    return this.sealed(this.#cipher.update(plaintext))
  }

  /** The same of a segment that is encrypted already; it stays whose it is. */
  sealed(crypttext: Uint8Array): Uint8Array[] {
    const { needed, total } = this.#shape
    const length = blockLength(this.#shape, this.#segmentHashes.length)
    this.#crypttext.update(crypttext)
    this.#segmentHashes.push(segmentHash(crypttext))
    const padded =
      crypttext.length === needed * length ? crypttext : Buffer.concat([crypttext], needed * length)
    const first = Array.from({ length: needed }, (_, i) => padded.subarray(i * length, (i + 1) * length))
    const blocks = encode(first, total)
    for (const [share, block] of blocks.entries()) this.#blockHashes[share]!.push(blockHash(block))
    return blocks
  }

  /** After the last segment. */
  finish(): Encoded {
    const { needed, total, size } = this.#shape
    const crypttextTree = merkleTree(this.#segmentHashes)
    const blockTrees = this.#blockHashes.map(merkleTree)
    const shareTree = merkleTree(blockTrees.map(rootOf))
    const extension = writeExtension(this.#shape, {
      crypttext: this.#crypttext.digest(),
      crypttextTree: rootOf(crypttextTree),
      shareTree: rootOf(shareTree),
    })
    const tails = blockTrees.map((blocks, share) =>
      this.#tail(share, crypttextTree, blocks, shareTree, extension),
    )
    const fields = [base32(this.#key), base32(extensionHash(extension)), needed, total, size]
    return { cap: `URI:CHK:${fields.join(':')}`, tails }
  }

  #tail(share: number, crypttext: Buffer, blocks: Buffer, shares: Buffer, extension: Buffer): Buffer {
    const { layout, length } = this.#plan
    const { total } = this.#shape
    const start = layout.plaintextHashes
    const tail = Buffer.alloc(length - start)
    crypttext.copy(tail, layout.crypttextHashes - start)
    blocks.copy(tail, layout.blockHashes - start)
    const leaf = widthOf(total) - 1 + share
    const chain = [...besides(total, share), leaf].sort((a, b) => a - b)
    for (const [i, node] of chain.entries()) {
      const at = layout.shareHashes - start + i * LINK_SIZE
      tail.writeUInt16BE(node, at)
      nodeOf(shares, node).copy(tail, at + 2)
    }
    const at = layout.extension - start
    if (layout.version === 1) tail.writeUInt32BE(extension.length, at)
    else tail.writeBigUInt64BE(BigInt(extension.length), at)
    extension.copy(tail, at + lengthSize[layout.version])
    return tail
  }
}
