// Mutable shares of our own making: any numbers and sizes, damaged headers, and updates in place.

import test from 'ava'
import fc from 'fast-check'
import { MDMF_SEGMENT, packMdmf, packUpdate } from '../../src/tahoe/format/mdmf.ts'
import { nodeOf, PartialTree, rootOf } from '../../src/tahoe/format/merkle.ts'
import { packSdmf } from '../../src/tahoe/format/sdmf.ts'
import {
  blockHash,
  blockSpan,
  contentSize,
  decodeSegment,
  lengthOf,
  Malformed,
  type PackedVersion,
  parseChain,
  type Span,
  segmentsOf,
} from '../../src/tahoe/format/ssk.ts'
import { parseHeader } from '../../src/tahoe/format/ssk-header.ts'
import {
  generateKey,
  openPrivateKey,
  SALT_SIZE,
  type SigningKey,
  signed,
  signingKey,
} from '../../src/tahoe/format/ssk-keys.ts'
import { goldenKeys, plaintext } from '../support/golden-mutables.ts'

const [key, other] = goldenKeys() as [SigningKey, SigningKey]
const cut = (share: Buffer, { start, end }: Span) => share.subarray(start, end)

/** The shares after the writes, on top of what they were. */
function written(version: PackedVersion, old: readonly Buffer[] = []): Buffer[] {
  return version.shares.map(({ writes, length }, number) => {
    const share = Buffer.alloc(Math.max(length, old[number]?.length ?? 0))
    old[number]?.copy(share)
    for (const { offset, data } of writes) share.set(data, offset)
    return share.subarray(0, length)
  })
}

/** The content from these shares, with every hash checked on the way. */
async function contentOf(shares: ReadonlyMap<number, Buffer>): Promise<Buffer> {
  const [first] = [...shares.values()]
  const header = parseHeader(first!)
  if (
    !(await signed(cut(first!, header.spans.publicKey), header.signed, cut(first!, header.spans.signature)))
  )
    throw new Error('not signed')
  const top = new PartialTree(header.total, header.rootHash)
  const parts: Buffer[] = []
  for (let segment = 0; segment < segmentsOf(header); segment++) {
    const blocks = new Map<number, Buffer>()
    let salt = header.salt
    for (const [number, share] of shares) {
      const { spans } = parseHeader(share)
      const tree = cut(share, spans.blockHashes)
      const chain = parseChain(cut(share, spans.shareHashes))
      top.prove(number, rootOf(tree), node => chain.get(node))
      const block = cut(share, blockSpan(parseHeader(share), segment))
      const partial = new PartialTree(segmentsOf(header), rootOf(tree))
      partial.prove(segment, blockHash(block), node => nodeOf(tree, node))
      salt = header.salt ?? block.subarray(0, SALT_SIZE)
      blocks.set(number, header.salt ? block : block.subarray(SALT_SIZE))
    }
    parts.push(decodeSegment(header, key.readKey, salt!, blocks, contentSize(header, segment)))
  }
  return Buffer.concat(parts)
}

const numbers = fc
  .oneof(
    fc.tuple(fc.integer({ min: 1, max: 12 }), fc.nat(12)),
    fc.constantFrom([1, 254] as const, [255, 0] as const, [100, 155] as const, [254, 1] as const),
  )
  .map(([needed, more]) => ({ needed, total: needed + more }))

test('any content in any numbers of shares comes back from any that are enough', async t => {
  await fc.assert(
    fc.asyncProperty(
      numbers,
      fc.constantFrom('SDMF' as const, 'MDMF' as const),
      fc.constantFrom(0, 1, -1, 2, 1000, MDMF_SEGMENT),
      fc.integer({ min: -1, max: 1 }),
      fc.infiniteStream(fc.nat()),
      async ({ needed, total }, format, around, by, random) => {
        const size = Math.max(0, around === -1 ? needed + by : around + by)
        const content = plaintext('any', size)
        const version = { key, seqnum: 2 ** 40 + 1, needed, total, content }
        const packed = await (format === 'SDMF' ? packSdmf(version) : packMdmf(version))
        const shares = written(packed)
        const order = shares.map((share, number) => ({ share, number, at: random.next().value! }))
        order.sort((a, b) => a.at - b.at)
        const some = new Map(order.slice(0, needed).map(({ share, number }) => [number, share]))
        t.is((await contentOf(some)).compare(content), 0)
        for (const share of some.values()) {
          const header = parseHeader(share)
          t.is(header.format, format)
          t.is(header.seqnum, 2 ** 40 + 1)
          t.deepEqual(header.checkstring, packed.checkstring)
          t.is(Math.max(...Object.values(header.spans).map(({ end }) => end)), share.length)
        }
      },
    ),
    { numRuns: 60 },
  )
})

test('a header says where everything lies within bounds, or is refused', async t => {
  const content = plaintext('bounds', 300_000)
  const version = { key, seqnum: 1, needed: 3, total: 10, content }
  const heads = [await packSdmf(version), await packMdmf(version)].map(packed =>
    written(packed)[4]!.subarray(0, 4000),
  )
  let refused = 0
  fc.assert(
    fc.property(
      fc.constantFrom(...heads),
      fc.array(fc.tuple(fc.nat(122), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      fc.nat(130),
      (head, changes, length) => {
        const bad = Buffer.from(head)
        for (const [at, value] of changes) bad[at] = value
        for (const prefix of [bad, bad.subarray(0, length)])
          try {
            const header = parseHeader(prefix)
            for (const span of Object.values(header.spans)) {
              t.true(span.start >= 107 && Number.isSafeInteger(span.end))
              t.true(lengthOf(span) >= 0 && lengthOf(span) < 2 ** 33)
            }
            for (let segment = 0; segment < segmentsOf(header); segment += 1000)
              t.true(blockSpan(header, segment).end <= header.spans.blocks.end)
          } catch (err) {
            t.true(err instanceof Malformed)
            refused++
          }
      },
    ),
    { numRuns: 2000 },
  )
  t.true(refused > 500)
})

test('an update in place makes what a new version would be, whatever it touches and how far it grows', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom([1, 1] as const, [1, 3] as const, [3, 5] as const),
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: -1, max: 1 }),
      fc.oneof(fc.constant(0), fc.constant(1), fc.nat(5 * MDMF_SEGMENT)),
      fc.array(fc.nat(5), { maxLength: 3 }),
      async ([needed, total], segments, by, grows, touches) => {
        const segmentSize = Math.ceil(MDMF_SEGMENT / needed) * needed
        const before = plaintext('before', segments * segmentSize + by)
        const first = await packMdmf({ key, seqnum: 1, needed, total, content: before })
        const shares = written(first)
        const old = parseHeader(shares[0]!)

        const after = Buffer.concat([before, plaintext('more', grows)])
        const last = segmentsOf(old) - 1
        const all = Math.ceil(after.length / segmentSize)
        const touched = new Set(touches.filter(segment => segment < all))
        if (grows > 0) for (let segment = last; segment < all; segment++) touched.add(segment)
        for (const segment of touched) after[segment * segmentSize]! ^= 1
        const update = {
          key,
          seqnum: 2,
          old,
          trees: shares.map(share => cut(share, parseHeader(share).spans.blockHashes)),
          size: after.length,
          segments: new Map(
            [...touched].map(segment => [
              segment,
              after.subarray(segment * segmentSize, (segment + 1) * segmentSize),
            ]),
          ),
        }
        const changed = await packUpdate(update)
        const now = written(changed, shares)
        t.is((await contentOf(new Map([...now.entries()].slice(-needed)))).compare(after), 0)
        const bytes = changed.shares[0]!.writes.reduce((sum, { data }) => sum + data.length, 0)
        t.true(bytes <= touched.size * (segmentSize / needed + 16) + 4000)

        // The same salts give the same bytes as a new version, but for the signature.
        const saltOf = (segment: number) =>
          cut(now[0]!, blockSpan(parseHeader(now[0]!), segment)).subarray(0, 16)
        const whole = written(await packMdmf({ key, seqnum: 2, needed, total, content: after }, saltOf))
        for (const [number, share] of whole.entries()) {
          const { signature } = parseHeader(share).spans
          cut(now[number]!, signature).copy(share, signature.start)
          t.is(share.compare(now[number]!), 0)
        }
        const missing = { ...update, size: after.length + 2 * segmentSize }
        await t.throwsAsync(packUpdate(missing), { instanceOf: Malformed })
      },
    ),
    { numRuns: 25 },
  )
})

test('a private key is opened by the write key of its cap, and by nothing else', async t => {
  const made = await generateKey()
  const opened = openPrivateKey(made.writeKey, made.fingerprint, made.sealed)
  t.deepEqual(opened?.privateDer, made.privateDer)
  t.deepEqual(signingKey(made.privateDer).publicDer, made.publicDer)
  t.is(openPrivateKey(other.writeKey, made.fingerprint, made.sealed), null)
  t.is(openPrivateKey(made.writeKey, other.fingerprint, made.sealed), null)
  const damaged = Buffer.from(made.sealed)
  damaged[700]! ^= 1
  t.is(openPrivateKey(made.writeKey, made.fingerprint, damaged), null)
  const bytes = Buffer.from('to be signed')
  const signature = await made.sign(bytes)
  t.true(await signed(made.publicDer, bytes, signature))
  t.false(await signed(other.publicDer, bytes, signature))
  t.false(await signed(Buffer.from('no key'), bytes, signature))
})
