// The share of a small mutable file (SDMF): header, public key, signature, share hash chain,
// block hash tree of one node, the block, and the private key. Numbers are big-endian.

import { randomBytes } from 'node:crypto'
import { HASH_SIZE, merkleTree, rootOf } from './merkle.ts'
import {
  blockHash,
  type Cut,
  checkCut,
  checkSpans,
  encodeSegment,
  type Header,
  Malformed,
  nextMultiple,
  type PackedVersion,
  packChain,
  readCut,
  readU64,
  type Spans,
  shareTree,
  writeCut,
  writeU64,
} from './ssk.ts'
import { SALT_SIZE, type SigningKey } from './ssk-keys.ts'

export const SDMF_VERSION = 0
// u8 version, u64 seqnum, root hash, salt; u8 needed, u8 total, u64 segment size, u64 size; 4 × u32 and 2 × u64 offsets
const CHECKSTRING_SIZE = 57
const SIGNED_SIZE = 75
export const SDMF_HEADER_SIZE = 107

/** The header of a share, from its first bytes. Throws Malformed. */
export function parseSdmf(prefix: Buffer): Header {
  if (prefix.length < SDMF_HEADER_SIZE) throw new Malformed('it ends within its header')
  const cut = readCut(prefix, 57)
  const seqnum = readU64(prefix, 1)
  checkCut(cut, seqnum)
  if (cut.segmentSize < cut.size) throw new Malformed('more than one segment')
  const [signature, chain, tree, blocks] = [75, 79, 83, 87].map(at => prefix.readUInt32BE(at)) as [
    number,
    number,
    number,
    number,
  ]
  const privateKey = readU64(prefix, 91)
  const spans: Spans = {
    publicKey: { start: SDMF_HEADER_SIZE, end: signature },
    signature: { start: signature, end: chain },
    shareHashes: { start: chain, end: tree },
    blockHashes: { start: tree, end: blocks },
    blocks: { start: blocks, end: privateKey },
    privateKey: { start: privateKey, end: readU64(prefix, 99) },
  }
  checkSpans(cut, spans, SDMF_HEADER_SIZE, 0)
  const signed = Buffer.from(prefix.subarray(0, SIGNED_SIZE)) // not a view of the whole share
  return {
    ...cut,
    format: 'SDMF',
    seqnum,
    rootHash: signed.subarray(9, 41),
    salt: signed.subarray(41, 57),
    signed,
    checkstring: signed.subarray(0, CHECKSTRING_SIZE),
    spans,
  }
}

export type NewVersion = {
  readonly key: SigningKey
  readonly seqnum: number
  readonly needed: number
  readonly total: number
  readonly content: Uint8Array
}

/** All shares of a version. The salt is random unless a test gives it. */
export async function packSdmf(
  version: NewVersion,
  salt: Buffer = randomBytes(SALT_SIZE),
): Promise<PackedVersion> {
  const { key, seqnum, needed, total, content } = version
  const cut: Cut = { needed, total, segmentSize: nextMultiple(content.length, needed), size: content.length }
  checkCut(cut, seqnum)
  const blocks = encodeSegment(cut, key.readKey, salt, content)
  const blockTrees = blockTreesOf(blocks, needed)
  const tree = shareTree(blockTrees)
  const rootHash = rootOf(tree)

  const signed = Buffer.allocUnsafe(SIGNED_SIZE)
  signed[0] = SDMF_VERSION
  writeU64(signed, seqnum, 1)
  signed.set(rootHash, 9)
  signed.set(salt, 41)
  writeCut(signed, cut, 57)
  const signature = await key.sign(signed)

  const shares = blocks.map((block, share) => {
    const chain = packChain(tree, total, share)
    const offsets = Buffer.allocUnsafe(SDMF_HEADER_SIZE - SIGNED_SIZE)
    let at = SDMF_HEADER_SIZE + key.publicDer.length
    offsets.writeUInt32BE(at, 0)
    offsets.writeUInt32BE((at += signature.length), 4)
    offsets.writeUInt32BE((at += chain.length), 8)
    const blockAt = (at += HASH_SIZE)
    offsets.writeUInt32BE(blockAt, 12)
    const keyAt = blockAt + block.length
    writeU64(offsets, keyAt, 16)
    const length = keyAt + key.sealed.length
    writeU64(offsets, length, 24)
    const parts = [signed, offsets, key.publicDer, signature, chain, blockTrees[share]!, block, key.sealed]
    return { writes: [{ offset: 0, data: Buffer.concat(parts, length) }], length }
  })
  return { seqnum, rootHash, cut, signed, checkstring: signed.subarray(0, CHECKSTRING_SIZE), shares }
}

/** One node for each share; of no content the hash of an empty leaf. */
function blockTreesOf(blocks: readonly Uint8Array[], needed: number): Buffer[] {
  if (blocks[0]!.length === 0) return blocks.map(() => merkleTree([]))
  if (needed > 1) return blocks.map(block => blockHash(block))
  const same = blockHash(blocks[0]!) // each share has all of it
  return blocks.map(() => same)
}
