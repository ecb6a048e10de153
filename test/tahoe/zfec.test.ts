// Erasure coding: known rows of the matrix, any blocks give all, and both ways of counting agree.

import test from 'ava'
import fc from 'fast-check'
import { plain, simd } from '../../src/tahoe/format/addmul.ts'
import { decode, encode, encodingMatrix } from '../../src/tahoe/format/zfec.ts'

test('the matrix is that of zfec', t => {
  t.deepEqual([...encodingMatrix(3, 10)[3]!], [15, 8, 6])
  t.deepEqual([...encodingMatrix(7, 14)[7]!], [155, 117, 49, 58, 158, 4, 126])
  t.deepEqual([...encodingMatrix(2, 3)[2]!], [3, 2])
  t.deepEqual([...encodingMatrix(3, 10)[1]!], [0, 1, 0])
})

test('this Node has SIMD', t => {
  t.not(simd(), null)
})

/** Numbers and a length, and some of all blocks in any order. */
const coding = fc
  .tuple(fc.integer({ min: 1, max: 24 }), fc.nat(24), fc.nat(70_000))
  .chain(([needed, more, length]) =>
    fc.record({
      needed: fc.constant(needed),
      total: fc.constant(needed + more),
      length: fc.constant(length),
      seed: fc.nat(255),
      some: fc.shuffledSubarray(
        Array.from({ length: needed + more }, (_, i) => i),
        { minLength: needed, maxLength: needed },
      ),
    }),
  )

const blocksOf = (count: number, length: number, seed: number): Buffer[] =>
  Array.from({ length: count }, (_, i) => {
    const block = Buffer.alloc(length)
    for (let at = 0; at < length; at++) block[at] = (at * 31 + i * 17 + seed + (at >> 8)) & 255
    return block
  })

test('any `needed` blocks give back the first ones, with SIMD and without, and both make the same', t => {
  fc.assert(
    fc.property(coding, ({ needed, total, length, seed, some }) => {
      const blocks = blocksOf(needed, length, seed)
      const all = encode(blocks, total, simd()!)
      t.is(Buffer.concat(all).compare(Buffer.concat(encode(blocks, total, plain))), 0)
      const given = new Map(some.map(number => [number, all[number]!]))
      for (const how of [simd()!, plain]) {
        const back = decode(given, needed, total, how)
        t.is(Buffer.concat(back).compare(Buffer.concat(blocks)), 0)
      }
    }),
    { numRuns: 60 },
  )
})

test('256 shares, of which 256, 100 or 1 are needed', t => {
  for (const needed of [256, 100, 1]) {
    const blocks = blocksOf(needed, 100, needed)
    const all = encode(blocks, 256)
    const last = new Map(all.slice(256 - needed).map((block, i) => [256 - needed + i, block]))
    t.deepEqual(Buffer.concat(decode(last, needed, 256)), Buffer.concat(blocks))
  }
})
