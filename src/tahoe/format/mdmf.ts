// The share of a medium mutable file (MDMF): header, private key, share hash chain, signature and
// public key in rooms of fixed size, then the blocks, each with its salt before it, and the block
// hash tree. So a segment can be replaced where it lies. Numbers are big-endian.

import { randomBytes } from 'node:crypto'
import { HASH_SIZE, merkleTree, nodeOf, nodesOf, rootOf, widthOf } from './merkle.ts'
import type { NewVersion } from './sdmf.ts'
import {
  blockHash,
  blocksSize,
  type Cut,
  checkCut,
  checkSpans,
  contentSize,
  encodeSegment,
  type Header,
  Malformed,
  nextMultiple,
  type PackedVersion,
  packChain,
  readCut,
  readU64,
  type SharePieces,
  type Spans,
  segmentsOf,
  shareTree,
  writeCut,
  writeU64,
} from './ssk.ts'
import { SALT_SIZE, type SigningKey } from './ssk-keys.ts'

export const MDMF_VERSION = 1
export const MDMF_SEGMENT = 131_072
// u8 version, u64 seqnum, root hash; u8 needed, u8 total, u64 segment size, u64 size; 8 × u64 offsets
const CHECKSTRING_SIZE = 41
const SIGNED_SIZE = 59
export const MDMF_HEADER_SIZE = 123
/** After the rooms of private key (1220), share hash chain (272), signature (260) and public key (292). */
const DATA_AT = 2167

/** The header of a share, from its first bytes. Throws Malformed. */
export function parseMdmf(prefix: Buffer): Header {
  if (prefix.length < MDMF_HEADER_SIZE) throw new Malformed('it ends within its header')
  const cut = readCut(prefix, 41)
  const seqnum = readU64(prefix, 1)
  checkCut(cut, seqnum)
  const offset = (i: number) => readU64(prefix, SIGNED_SIZE + i * 8)
  const spans: Spans = {
    privateKey: { start: offset(0), end: offset(1) },
    shareHashes: { start: offset(1), end: offset(2) },
    signature: { start: offset(2), end: offset(3) },
    publicKey: { start: offset(3), end: offset(4) },
    blocks: { start: offset(5), end: offset(6) },
    blockHashes: { start: offset(6), end: offset(7) },
  }
  checkSpans(cut, spans, MDMF_HEADER_SIZE, SALT_SIZE)
  const signed = Buffer.from(prefix.subarray(0, SIGNED_SIZE))
  return {
    ...cut,
    format: 'MDMF',
    seqnum,
    rootHash: signed.subarray(9, 41),
    salt: null,
    signed,
    checkstring: signed.subarray(0, CHECKSTRING_SIZE),
    spans,
  }
}

/** All shares of a version. A segment's salt is random unless a test gives it. */
export async function packMdmf(
  version: NewVersion,
  saltOf = (_segment: number): Buffer => randomBytes(SALT_SIZE),
): Promise<PackedVersion> {
  const { key, seqnum, needed, total, content } = version
  const cut: Cut = { needed, total, segmentSize: nextMultiple(MDMF_SEGMENT, needed), size: content.length }
  checkCut(cut, seqnum)
  const segments = segmentsOf(cut)
  const treeAt = DATA_AT + blocksSize(cut, SALT_SIZE)
  const length = treeAt + nodesOf(segments) * HASH_SIZE
  const data = Array.from({ length: total }, () => Buffer.allocUnsafe(length))
  const leaves: Buffer[][] = data.map(() => [])
  let at = DATA_AT
  for (let segment = 0; segment < segments; segment++) {
    const start = segment * cut.segmentSize
    const salt = saltOf(segment)
    const blocks = encodeSegment(cut, key.readKey, salt, content.subarray(start, start + cut.segmentSize))
    for (const [share, block] of blocks.entries()) {
      data[share]!.set(salt, at)
      data[share]!.set(block, at + SALT_SIZE)
      leaves[share]!.push(blockHash(data[share]!.subarray(at, at + SALT_SIZE + block.length)))
    }
    at += SALT_SIZE + blocks[0]!.length
  }
  const { fronts, ...rest } = await packFronts(cut, seqnum, key, leaves.map(merkleTree))
  const shares = data.map((bytes, share): SharePieces => {
    const { front, tree } = fronts[share]!
    bytes.fill(0, front.length, DATA_AT)
    bytes.set(front)
    bytes.set(tree, treeAt)
    return { writes: [{ offset: 0, data: bytes }], length }
  })
  return { seqnum, cut, shares, ...rest }
}

export type Update = {
  readonly key: SigningKey
  readonly seqnum: number
  /** Of the version that is there; all shares have the same but for where fields lie. */
  readonly old: Header
  /** The old block hash trees of all shares, by number, checked. */
  readonly trees: readonly Buffer[]
  /** Bytes of the new content; not fewer than of the old. */
  readonly size: number
  /** New content of whole segments: all that change, and all from the old last one on where it grows. */
  readonly segments: ReadonlyMap<number, Uint8Array>
}

/** What must be written to shares of the old version, which all lie as packMdmf makes them, to make them those of the new. */
export async function packUpdate(
  update: Update,
  saltOf = (_segment: number): Buffer => randomBytes(SALT_SIZE),
): Promise<PackedVersion> {
  const { key, seqnum, old, trees, size, segments } = update
  const cut: Cut = { needed: old.needed, total: old.total, segmentSize: old.segmentSize, size }
  checkCut(cut, seqnum)
  if (old.spans.blocks.start !== DATA_AT || size < old.size)
    throw new Malformed('it cannot be updated in place')
  const leaves = trees.map(tree => leavesOf(tree, segmentsOf(old)))
  const pieces: { offset: number; data: Uint8Array }[][] = trees.map(() => [])
  for (const [segment, content] of segments) {
    if (content.length !== contentSize(cut, segment)) throw new Malformed(`segment ${segment} is not whole`)
    const salt = saltOf(segment)
    const offset = DATA_AT + segment * (SALT_SIZE + cut.segmentSize / cut.needed)
    for (const [share, block] of encodeSegment(cut, key.readKey, salt, content).entries()) {
      pieces[share]!.push({ offset, data: Buffer.concat([salt, block]) })
      leaves[share]![segment] = blockHash(salt, block)
    }
  }
  const whole = leaves.every(each => each.length === segmentsOf(cut) && !each.includes(undefined as never))
  const lastGrows = size > old.size && old.size % cut.segmentSize !== 0
  if (!whole || (lastGrows && !segments.has(segmentsOf(old) - 1))) throw new Malformed('a segment is missing')
  const { fronts, ...rest } = await packFronts(cut, seqnum, key, leaves.map(merkleTree))
  const treeAt = DATA_AT + blocksSize(cut, SALT_SIZE)
  const shares = pieces.map((writes, share): SharePieces => {
    const { front, tree } = fronts[share]!
    const ends = [
      { offset: 0, data: front },
      { offset: treeAt, data: tree },
    ]
    return { writes: [...ends, ...writes], length: treeAt + tree.length }
  })
  return { seqnum, cut, shares, ...rest }
}

const leavesOf = (tree: Buffer, segments: number): Buffer[] =>
  Array.from({ length: segments }, (_, i) => nodeOf(tree, widthOf(segments) - 1 + i))

/** What lies before the blocks of each share, and the tree behind them. */
async function packFronts(
  cut: Cut,
  seqnum: number,
  key: SigningKey,
  trees: readonly Buffer[],
): Promise<{
  rootHash: Buffer
  signed: Buffer
  checkstring: Buffer
  fronts: { front: Buffer; tree: Buffer }[]
}> {
  const top = shareTree(trees)
  const rootHash = rootOf(top)
  const signed = Buffer.allocUnsafe(SIGNED_SIZE)
  signed[0] = MDMF_VERSION
  writeU64(signed, seqnum, 1)
  signed.set(rootHash, 9)
  writeCut(signed, cut, 41)
  const signature = await key.sign(signed)
  const treeAt = DATA_AT + blocksSize(cut, SALT_SIZE)
  const fronts = trees.map((tree, share) => {
    const parts = [key.sealed, packChain(top, cut.total, share), signature, key.publicDer]
    const offsets = Buffer.allocUnsafe(MDMF_HEADER_SIZE - SIGNED_SIZE)
    let at = MDMF_HEADER_SIZE
    for (const [i, part] of parts.entries()) {
      writeU64(offsets, at, i * 8)
      at += part.length
    }
    if (at > DATA_AT) throw new Malformed('the keys are too long')
    const rest = [at, DATA_AT, treeAt, treeAt + tree.length]
    for (const [i, offset] of rest.entries()) writeU64(offsets, offset, (parts.length + i) * 8)
    return { front: Buffer.concat([signed, offsets, ...parts], at), tree }
  })
  return { rootHash, signed, checkstring: signed.subarray(0, CHECKSTRING_SIZE), fronts }
}
