// What both kinds of mutable file have in common (docs/specifications/mutable.rst): the header of
// a share, where its fields lie, how content becomes segments, and segments blocks, one in each
// share. SDMF has one segment; MDMF has many, each with a salt of its own.

import { TaggedHash } from './hash.ts'
import { besides, HASH_SIZE, merkleTree, nodeOf, nodesOf, rootOf } from './merkle.ts'
import { SALT_SIZE, sealSegment } from './ssk-keys.ts'
import { decode, encode } from './zfec.ts'

/** A share that is not what its format says. */
export class Malformed extends Error {}

/** Bytes of a share, from `start` up to before `end`. */
export type Span = { readonly start: number; readonly end: number }

/** Shares that a mutable file can have: its header has a byte for the number. */
export const MAX_MUTABLE_SHARES = 255
/** The longest segment that is read, in bytes. Tahoe's own are 128 KiB in MDMF; an SDMF file is one. */
export const MAX_SEGMENT = 0x1000_0000
/** The longest block hash tree that is read, in bytes: of 8 GiB in segments of 128 KiB. */
const MAX_TREE = 0x40_0000
/** Keys and signatures of up to 4096 bits fit. */
const MAX_KEY_FIELD = 4096
const CHAIN_ENTRY = 2 + HASH_SIZE

/** How content is cut up, and into how many shares. */
export type Cut = {
  readonly needed: number
  readonly total: number
  /** Bytes of each segment but the last; a multiple of `needed`. */
  readonly segmentSize: number
  /** Bytes of the content. */
  readonly size: number
}

export type Header = Cut & {
  readonly format: 'SDMF' | 'MDMF'
  readonly seqnum: number
  /** Of the tree over the roots of all shares' block hash trees. */
  readonly rootHash: Buffer
  /** SDMF's one salt; in MDMF each block has its segment's before it. */
  readonly salt: Buffer | null
  /** The bytes that are signed: all of the above. */
  readonly signed: Buffer
  /** The first of them, which servers are asked to compare before a share is replaced. */
  readonly checkstring: Buffer
  readonly spans: Spans
}

/** Where the fields of one share lie. This part is not signed: each share has its own. */
export type Spans = {
  readonly publicKey: Span
  readonly signature: Span
  readonly shareHashes: Span
  readonly blockHashes: Span
  readonly blocks: Span
  readonly privateKey: Span
}

export const lengthOf = (span: Span): number => span.end - span.start

export const nextMultiple = (size: number, of: number): number => Math.ceil(size / of) * of

export const segmentsOf = ({ size, segmentSize }: Cut): number =>
  size === 0 ? 0 : Math.ceil(size / segmentSize)

/** Bytes of content in a segment. */
export const contentSize = (cut: Cut, segment: number): number =>
  Math.min(cut.segmentSize, cut.size - segment * cut.segmentSize)

/** Bytes of a segment's block in each share, without a salt. */
export const blockSize = (cut: Cut, segment: number): number =>
  Math.ceil(contentSize(cut, segment) / cut.needed)

/** Bytes of all blocks in a share, each with `before` bytes before it. */
export function blocksSize(cut: Cut, before: number): number {
  const segments = segmentsOf(cut)
  if (segments === 0) return 0
  return (segments - 1) * (before + cut.segmentSize / cut.needed) + before + blockSize(cut, segments - 1)
}

/** Where a segment's block lies, in MDMF with its salt before it: that is what its hash is of. */
export function blockSpan(header: Header, segment: number): Span {
  const before = header.salt ? 0 : SALT_SIZE
  const start = header.spans.blocks.start + segment * (before + header.segmentSize / header.needed)
  return { start, end: start + before + blockSize(header, segment) }
}

/** How a file is cut, as both layouts write it from `at` on: u8 needed, u8 total, u64 segment size, u64 size. */
export const readCut = (bytes: Buffer, at: number): Cut => ({
  needed: bytes[at]!,
  total: bytes[at + 1]!,
  segmentSize: readU64(bytes, at + 2),
  size: readU64(bytes, at + 10),
})

export function writeCut(bytes: Buffer, { needed, total, segmentSize, size }: Cut, at: number): void {
  bytes[at] = needed
  bytes[at + 1] = total
  writeU64(bytes, segmentSize, at + 2)
  writeU64(bytes, size, at + 10)
}

/** Throws Malformed unless these numbers can be those of a file, and nothing in them is too large to try. */
export function checkCut(cut: Cut, seqnum: number): void {
  const { needed, total, segmentSize, size } = cut
  if (needed < 1 || needed > total) throw new Malformed(`${needed} of ${total} shares`)
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(seqnum))
    throw new Malformed('a number is too large')
  if (segmentSize > MAX_SEGMENT) throw new Malformed(`a segment of ${segmentSize} bytes`)
  if (segmentSize % needed !== 0) throw new Malformed(`a segment of ${segmentSize} bytes in ${needed} shares`)
  if (size > 0 && segmentSize === 0) throw new Malformed('content without segments')
  if (segmentsOf(cut) > MAX_TREE / HASH_SIZE / 2) throw new Malformed(`${segmentsOf(cut)} segments`)
}

/** Throws Malformed unless the fields have the sizes that the header asks for, and begin at or after its end. */
export function checkSpans(cut: Cut, spans: Spans, headerSize: number, before: number): void {
  for (const [name, { start, end }] of Object.entries(spans))
    if (start < headerSize || end < start || !Number.isSafeInteger(end))
      throw new Malformed(`${name} from ${start} to ${end}`)
  for (const name of ['publicKey', 'signature', 'privateKey'] as const)
    if (lengthOf(spans[name]) > MAX_KEY_FIELD)
      throw new Malformed(`${lengthOf(spans[name])} bytes of ${name}`)
  const chain = lengthOf(spans.shareHashes)
  if (chain % CHAIN_ENTRY !== 0 || chain > 16 * CHAIN_ENTRY)
    throw new Malformed(`${chain} bytes of share hashes`)
  const tree = lengthOf(spans.blockHashes)
  if (tree !== nodesOf(segmentsOf(cut)) * HASH_SIZE) throw new Malformed(`${tree} bytes of block hashes`)
  const blocks = lengthOf(spans.blocks)
  if (blocks !== blocksSize(cut, before)) throw new Malformed(`${blocks} bytes of blocks`)
}

/** The hash of a block; in MDMF of its salt and it. */
export function blockHash(...parts: readonly Uint8Array[]): Buffer {
  const hash = new TaggedHash('allmydata_encoded_subshare_v1')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** A segment's content as one block for each share. */
export function encodeSegment(
  cut: Cut,
  readKey: Uint8Array,
  salt: Uint8Array,
  content: Uint8Array,
): Uint8Array[] {
  const size = Math.ceil(content.length / cut.needed)
  let sealed = sealSegment(salt, readKey, content)
  if (sealed.length < size * cut.needed) {
    const padded = Buffer.alloc(size * cut.needed)
    padded.set(sealed)
    sealed = padded
  }
  const first = Array.from({ length: cut.needed }, (_, i) => sealed.subarray(i * size, (i + 1) * size))
  return encode(first, cut.total)
}

/** The content of a segment of `size` bytes, from `needed` of its blocks, which were checked before. */
export function decodeSegment(
  cut: Cut,
  readKey: Uint8Array,
  salt: Uint8Array,
  blocks: ReadonlyMap<number, Uint8Array>,
  size: number,
): Buffer {
  const first = decode(blocks, cut.needed, cut.total)
  const sealed = first.length === 1 ? first[0]! : Buffer.concat(first)
  return sealSegment(salt, readKey, sealed.subarray(0, size))
}

/** The share hash tree over the block hash trees of all shares. */
export const shareTree = (blockTrees: readonly Buffer[]): Buffer => merkleTree(blockTrees.map(rootOf))

/** The hashes that lead from a share's block hash tree up to the root, as they lie in it: without its own. */
export function packChain(tree: Buffer, total: number, share: number): Buffer {
  const nodes = besides(total, share).sort((a, b) => a - b)
  const chain = Buffer.allocUnsafe(nodes.length * CHAIN_ENTRY)
  for (const [i, node] of nodes.entries()) {
    chain.writeUInt16BE(node, i * CHAIN_ENTRY)
    chain.set(nodeOf(tree, node), i * CHAIN_ENTRY + 2)
  }
  return chain
}

/** Node numbers and their hashes. */
export function parseChain(chain: Buffer): Map<number, Buffer> {
  const hashes = new Map<number, Buffer>()
  for (let at = 0; at + CHAIN_ENTRY <= chain.length; at += CHAIN_ENTRY)
    hashes.set(chain.readUInt16BE(at), chain.subarray(at + 2, at + CHAIN_ENTRY))
  return hashes
}

/** A share to write: pieces, and the length it has then. What lies between the pieces does not matter. */
export type SharePieces = {
  readonly writes: readonly { readonly offset: number; readonly data: Uint8Array }[]
  readonly length: number
}

/** A version of a file, ready to be written. */
export type PackedVersion = {
  readonly seqnum: number
  readonly rootHash: Buffer
  readonly cut: Cut
  readonly signed: Buffer
  readonly checkstring: Buffer
  /** By number, all of them. */
  readonly shares: readonly SharePieces[]
}

/** A u64 as a number; beyond 2^53 it is not a safe integer, and checkCut and checkSpans refuse those. */
export const readU64 = (bytes: Buffer, at: number): number =>
  bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4)

export function writeU64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at)
  bytes.writeUInt32BE(value % 2 ** 32, at + 4)
}
