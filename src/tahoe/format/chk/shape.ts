// How an immutable file is cut: into segments, each of them into `needed` blocks, of which
// `total` are made, one for each share. And where in a share everything lies.
// docs/specifications/file-encoding.rst; the layout of a share is immutable/layout.py's.

import { HASH_SIZE, nodesOf } from '../merkle.ts'

/** What clients since Tahoe 1.19 cut files into, in bytes; it is part of the key, and so of the cap. */
export const MAX_SEGMENT = 1 << 20

export type Shape = {
  /** Bytes of the file; more than 0. */
  readonly size: number
  readonly needed: number
  readonly total: number
  /** Bytes of every segment but the last, a multiple of `needed`. */
  readonly segmentSize: number
  readonly segments: number
  /** Bytes of the last segment, and of each of its blocks. */
  readonly tailSize: number
  readonly tailBlock: number
  /** Bytes of every block of another segment. */
  readonly blockSize: number
}

const upTo = (size: number, multiple: number): number => Math.ceil(size / multiple) * multiple

/** The shape of a file that is cut into segments of at most `max` bytes. */
export const shapeOf = (size: number, needed: number, total: number, max = MAX_SEGMENT): Shape =>
  cutInto(size, needed, total, upTo(Math.min(max, size), needed))

/** The shape of a file whose segments are as long as that. */
export function cutInto(size: number, needed: number, total: number, segmentSize: number): Shape {
  const segments = Math.ceil(size / segmentSize)
  const tailSize = size - (segments - 1) * segmentSize
  return {
    size,
    needed,
    total,
    segmentSize,
    segments,
    tailSize,
    tailBlock: Math.ceil(tailSize / needed),
    blockSize: segmentSize / needed,
  }
}

/** Bytes of a segment, and of each of its blocks. */
export const segmentLength = (shape: Shape, segment: number): number =>
  segment === shape.segments - 1 ? shape.tailSize : shape.segmentSize
export const blockLength = (shape: Shape, segment: number): number =>
  segment === shape.segments - 1 ? shape.tailBlock : shape.blockSize

/** Where the parts of a share begin. Version 2 has room for offsets beyond 4 GiB. */
export type Layout = {
  readonly version: 1 | 2
  readonly data: number
  /** Hashes that nobody makes any more: as many zeros. */
  readonly plaintextHashes: number
  readonly crypttextHashes: number
  readonly blockHashes: number
  readonly shareHashes: number
  readonly extension: number
}

const headerSize = { 1: 0x24, 2: 0x44 } as const
export const MAX_HEADER = headerSize[2]

/** Bytes of what says how long the URI extension is. */
export const lengthSize = { 1: 4, 2: 8 } as const

/** Bytes of one entry of the share hash chain: the number of a node, and its hash. */
export const LINK_SIZE = 2 + HASH_SIZE

/** Bytes of all blocks of one share. */
export const dataSize = (shape: Shape): number => (shape.segments - 1) * shape.blockSize + shape.tailBlock

/** The layout of a new share, with a chain of so many hashes. */
export function layoutOf(shape: Shape, links: number, version?: 1 | 2): Layout {
  const tree = nodesOf(shape.segments) * HASH_SIZE
  const lay = (version: 1 | 2): Layout => {
    const data = headerSize[version]
    const plaintextHashes = data + dataSize(shape)
    return {
      version,
      data,
      plaintextHashes,
      crypttextHashes: plaintextHashes + tree,
      blockHashes: plaintextHashes + 2 * tree,
      shareHashes: plaintextHashes + 3 * tree,
      extension: plaintextHashes + 3 * tree + links * LINK_SIZE,
    }
  }
  if (version !== undefined) return lay(version)
  const first = lay(1)
  return first.extension < 2 ** 32 ? first : lay(2)
}

export function writeHeader(layout: Layout, shape: Shape): Buffer {
  const { version, data, plaintextHashes, crypttextHashes, blockHashes, shareHashes, extension } = layout
  const fields = [shape.blockSize, dataSize(shape)]
  const offsets = [data, plaintextHashes, crypttextHashes, blockHashes, shareHashes, extension]
  const header = Buffer.alloc(headerSize[version])
  header.writeUInt32BE(version)
  for (const [i, value] of [...fields, ...offsets].entries()) {
    if (version === 1) header.writeUInt32BE(value, 4 + 4 * i)
    else header.writeBigUInt64BE(BigInt(value), 4 + 8 * i)
  }
  return header
}

/** The layout that the first bytes of a share tell; null where they make no sense. */
export function readHeader(bytes: Buffer): Layout | null {
  const version = bytes.length >= headerSize[1] ? bytes.readUInt32BE() : 0
  if (version !== 1 && version !== 2) return null
  if (bytes.length < headerSize[version]) return null
  const offset = (i: number): number =>
    version === 1 ? bytes.readUInt32BE(4 + 4 * i) : Number(bytes.readBigUInt64BE(4 + 8 * i))
  const [data, plaintextHashes, crypttextHashes, blockHashes, shareHashes, extension] = [
    2, 3, 4, 5, 6, 7,
  ].map(offset) as [number, number, number, number, number, number]
  const inOrder = [data, plaintextHashes, crypttextHashes, blockHashes, shareHashes, extension]
  if (!inOrder.every((value, i) => Number.isSafeInteger(value) && value >= (inOrder[i - 1] ?? 0))) return null
  return { version, data, plaintextHashes, crypttextHashes, blockHashes, shareHashes, extension }
}
