// Mutable shares that Tahoe made are read, and made again byte for byte but for the signature.

import { createPrivateKey } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import test from 'ava'
import { encode } from '../../src/tahoe/format/base32.ts'
import { packMdmf } from '../../src/tahoe/format/mdmf.ts'
import { nodeOf, PartialTree, rootOf, widthOf } from '../../src/tahoe/format/merkle.ts'
import { packSdmf } from '../../src/tahoe/format/sdmf.ts'
import {
  blockHash,
  blockSpan,
  contentSize,
  decodeSegment,
  type Header,
  type PackedVersion,
  parseChain,
  type Span,
  segmentsOf,
} from '../../src/tahoe/format/ssk.ts'
import { parseHeader } from '../../src/tahoe/format/ssk-header.ts'
import {
  fingerprintOf,
  readKeyOf,
  SALT_SIZE,
  signed,
  signingKey,
  storageIndexOf,
} from '../../src/tahoe/format/ssk-keys.ts'
import { fieldsOf, goldens, keyOf, plaintext, sharesOf } from '../support/golden-mutables.ts'

const cut = (share: Buffer, { start, end }: Span) => share.subarray(start, end)

/** All `size`-element subsets of these. */
function subsets<T>(of: readonly T[], size: number): T[][] {
  if (size === 0) return [[]]
  return of.flatMap((first, i) => subsets(of.slice(i + 1), size - 1).map(rest => [first, ...rest]))
}

/** The content, from these shares alone. */
function contentOf(shares: Map<number, Buffer>, header: Header, readKey: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let segment = 0; segment < segmentsOf(header); segment++) {
    const blocks = new Map<number, Buffer>()
    let salt = header.salt
    for (const [number, share] of shares) {
      const block = cut(share, blockSpan(parseHeader(share), segment))
      salt = header.salt ?? block.subarray(0, SALT_SIZE)
      blocks.set(number, header.salt ? block : block.subarray(SALT_SIZE))
    }
    parts.push(decodeSegment(header, readKey, salt!, blocks, contentSize(header, segment)))
  }
  return Buffer.concat(parts)
}

test('every golden share is signed, its hashes lead to the root, and any three give the content', async t => {
  for (const { cap, storage_index: index, seq, seed, length, listing } of goldens) {
    const { writeKey, fingerprint } = fieldsOf(cap)
    const readKey = readKeyOf(writeKey)
    t.is(storageIndexOf(readKey), index)
    const shares = sharesOf(index)
    for (const [number, share] of shares) {
      const header = parseHeader(share)
      const { spans, rootHash } = header
      const publicDer = cut(share, spans.publicKey)
      t.deepEqual(fingerprintOf(publicDer), fingerprint)
      t.true(await signed(publicDer, header.signed, cut(share, spans.signature)))
      t.false(await signed(publicDer, header.checkstring, cut(share, spans.signature)))
      if (seq !== undefined) t.is(header.seqnum, seq)
      if (length !== undefined) t.is(header.size, length)
      const tree = cut(share, spans.blockHashes)
      const chain = parseChain(cut(share, spans.shareHashes))
      new PartialTree(header.total, rootHash).prove(number, rootOf(tree), node => chain.get(node))
      for (let segment = 0; segment < segmentsOf(header); segment++) {
        const leaf = nodeOf(tree, widthOf(segmentsOf(header)) - 1 + segment)
        t.deepEqual(blockHash(cut(share, blockSpan(header, segment))), leaf)
      }
    }
    const header = parseHeader(shares.values().next().value!)
    t.is(header.needed, 3)
    for (const three of subsets([...shares], 3)) {
      const content = contentOf(new Map(three), header, readKey)
      if (seed !== undefined) t.deepEqual(content, plaintext(seed, length!))
      for (const name of Object.keys(listing?.[1].children ?? {}))
        t.true(content.includes(`${Buffer.byteLength(name)}:${name},`))
    }
  }
  t.true(goldens.length >= 11)
})

/** A share whose pieces are put in their places, over what was there. */
function laid(version: PackedVersion, number: number, over: Buffer): Buffer {
  const { writes, length } = version.shares[number]!
  const share = Buffer.alloc(length)
  over.copy(share)
  for (const { offset, data } of writes) share.set(data, offset)
  return share
}

test('the same key, salts and content make the same shares as Tahoe did, but for the signature', async t => {
  for (const golden of goldens) {
    const key = keyOf(golden)
    const shares = sharesOf(golden.storage_index)
    const any = shares.values().next().value!
    const header = parseHeader(any)
    const { seqnum, needed, total, salt, format } = header
    const content = contentOf(new Map([...shares].slice(0, 3)), header, key.readKey)
    const saltOf = (segment: number) => cut(any, blockSpan(header, segment)).subarray(0, SALT_SIZE)
    const version = { key, seqnum, needed, total, content }
    const packed = await (format === 'SDMF' ? packSdmf(version, salt!) : packMdmf(version, saltOf))
    t.is(packed.shares.length, total)
    for (const [number, share] of shares) {
      const made = laid(packed, number, Buffer.alloc(0))
      const { signature, publicKey } = parseHeader(made).spans
      t.true(await signed(cut(made, publicKey), parseHeader(made).signed, cut(made, signature)))
      cut(share, signature).copy(made, signature.start)
      t.is(made.compare(share), 0, `${golden.kind} ${golden.seed}, share ${number}`)
    }
  }
})

type Vector = { kind: string; expected: string; rsaKeyDer?: string }
// Tahoe's own; they are under its licence, so they do not come with this project.
const published = process.env['TAHOE_VECTORS'] ?? ''
const withVectors = existsSync(published) ? test : test.skip
const reason = existsSync(published) ? '' : ' (TAHOE_VECTORS does not name vectors.json)'

withVectors(`the keys of the published vectors give their caps${reason}`, t => {
  const { vectors } = JSON.parse(readFileSync(published, 'utf8')) as { vectors: Vector[] }
  let compared = 0
  for (const { kind, expected, rsaKeyDer } of vectors) {
    if (rsaKeyDer === undefined) continue
    const pkcs1 = createPrivateKey({ key: Buffer.from(rsaKeyDer, 'base64'), format: 'der', type: 'pkcs1' })
    const key = signingKey(pkcs1.export({ type: 'pkcs8', format: 'der' }))
    const word = kind === 'sdmf' ? 'SSK' : 'MDMF'
    t.is(`URI:${word}:${encode(key.writeKey)}:${encode(key.fingerprint)}`, expected)
    compared++
  }
  t.is(compared, 240)
})
