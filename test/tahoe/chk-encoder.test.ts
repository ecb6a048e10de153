// Immutable files as Tahoe makes them: the same content, secret and shape give the same cap, and
// the same share, byte for byte.

import { existsSync, readFileSync } from 'node:fs'
import test from 'ava'
import { ChkEncoder, planOf } from '../../src/tahoe/format/chk/encoder.ts'
import { KEY_SIZE, keyHasher } from '../../src/tahoe/format/chk/hashes.ts'
import { type Shape, segmentLength, shapeOf } from '../../src/tahoe/format/chk/shape.ts'
import { golden, goldenContent, goldenNode, goldenShare } from '../support/golden.ts'

/** The cap of a content, and its shares whole. */
function encode(content: Buffer, convergence: Buffer, shape: Shape): { cap: string; shares: Buffer[] } {
  const key = keyHasher(convergence, shape).update(content).digest(KEY_SIZE)
  const plan = planOf(shape)
  const encoder = new ChkEncoder(key, shape)
  const parts: Uint8Array[][] = Array.from({ length: shape.total }, () => [plan.header])
  for (let i = 0, at = 0; i < shape.segments; at += segmentLength(shape, i++)) {
    const blocks = encoder.segment(content.subarray(at, at + segmentLength(shape, i)))
    for (const [share, block] of blocks.entries()) parts[share]!.push(block)
  }
  const { cap, tails } = encoder.finish()
  return { cap, shares: parts.map((each, share) => Buffer.concat([...each, tails[share]!])) }
}

test('every file that a Tahoe node made is made again: its cap, and each of its shares', t => {
  const files = golden.filter(({ kind }) => kind === 'CHK')
  t.is(files.length, 5)
  for (const file of files) {
    const shape = shapeOf(file.length!, 3, 10)
    const { cap, shares } = encode(goldenContent(file), goldenNode.convergence, shape)
    t.is(cap, file.cap)
    for (const share of file.shares!) {
      t.deepEqual(shares[share], goldenShare(file.storage_index!, share))
      t.is(shares[share]!.length, planOf(shape).length)
    }
  }
})

type Vector = {
  kind: string
  convergence: string
  seed: string
  length: number
  needed: number
  total: number
  segmentSize: number
  expected: string
}
const vectors = process.env['TAHOE_VECTORS']
const published = vectors && existsSync(vectors) ? test : test.skip

published('all published immutable caps are ours too (TAHOE_VECTORS)', t => {
  const all = (JSON.parse(readFileSync(vectors!, 'utf8')) as { vectors: Vector[] }).vectors
  const chk = all.filter(({ kind }) => kind === 'chk')
  t.is(chk.length, 120)
  for (const { convergence, seed, length, needed, total, segmentSize, expected } of chk) {
    const content = Buffer.alloc(length, Buffer.from(seed, 'base64'))
    const shape = shapeOf(length, needed, total, segmentSize)
    const { cap } = encode(content, Buffer.from(convergence, 'base64'), shape)
    t.is(cap, expected)
  }
})
