// Frames: what is whole is found again, and nothing else is taken for it.

import test from 'ava'
import { BLOCK } from '../../src/vfs/write/disk.ts'
import { chained, type Frame, framesOf, packFrame } from '../../src/vfs/write/frame.ts'
import { sealedSize } from '../../src/vfs/write/record.ts'
import { noise } from './tree.ts'

const frame = (first: number, after: number, ...plains: readonly number[]): Frame => ({
  first,
  after,
  time: 1_700_000_000_123,
  record: first * 2,
  sealedKey: first === 1 ? noise(60, 'key') : new Uint8Array(),
  writes: plains.map((plain, i) => ({ id: 2n ** 62n + BigInt(i), start: 2 ** 52 + i, plain })),
})

/** A turn as it is written: the frame, and bytes of the size of its records. */
const turnOf = (each: Frame): Buffer => {
  const size = each.writes.reduce((sum, { plain }) => sum + sealedSize(plain), 0)
  return Buffer.concat([packFrame(each), noise(size, `${each.first}`)])
}

const frames = [frame(1, 0, 10, 70_000), frame(3, 2, 1), frame(4, 3, 65_536, 5)]
const turns = frames.map(turnOf)

const bare = (found: readonly Frame[]) =>
  found.map(({ first, after, time, record, sealedKey, writes }) => ({
    ...{ first, after, time, record, writes },
    sealedKey: Buffer.from(sealedKey),
  }))

test('frames are found with all that is in them, and where their records begin', t => {
  const found = framesOf(Buffer.concat(turns))
  t.deepEqual(bare(found.frames), bare(frames))
  t.false(found.torn)
  const [first, second] = found.frames
  t.is(first!.at, packFrame(frames[0]!).length)
  t.is(second!.at, turns[0]!.length + packFrame(frames[1]!).length)
})

test('a turn that begins on the next block is found behind zeros, and zeros at the end are no harm', t => {
  const padded = turns.map(turn => Buffer.concat([turn, Buffer.alloc(BLOCK - (turn.length % BLOCK))]))
  const found = framesOf(Buffer.concat(padded))
  t.deepEqual(bare(found.frames), bare(frames))
  t.false(found.torn)
})

test('wherever a file is cut, the whole frames before are found, and it is said when something is behind them', t => {
  const file = Buffer.concat(turns)
  const ends = [0, packFrame(frames[0]!).length]
  for (const [i, turn] of turns.slice(0, -1).entries())
    ends.push(
      turns.slice(0, i).reduce((sum, { length }) => sum + length, 0) +
        turn.length +
        packFrame(frames[i + 1]!).length,
    )
  for (let cut = 0; cut < file.length; cut += cut < 300 ? 1 : 977) {
    const { frames: found } = framesOf(file.subarray(0, cut))
    t.is(found.length, ends.filter(end => end > 0 && end <= cut).length, `cut at ${cut}`)
  }
  t.true(framesOf(file.subarray(0, turns[0]!.length + 20)).torn)
})

test('a byte that changed in a frame makes it none, and ends the file', t => {
  const size = packFrame(frames[1]!).length
  for (let at = 0; at < size; at++) {
    const file = Buffer.concat(turns)
    file[turns[0]!.length + at]! ^= 0x10
    const { frames: found, torn } = framesOf(file)
    t.is(found.length, 1)
    t.true(torn)
  }
  t.deepEqual(framesOf(noise(1 << 20, 'something else')).frames, [])
  t.deepEqual(framesOf(Buffer.alloc(1 << 20)).frames, [])
})

const numbers = (found: { readonly frames: readonly Frame[]; readonly broken: boolean }) => ({
  numbers: found.frames.map(({ first }) => first),
  broken: found.broken,
})

test('frames follow each other: those that failed are left out, and where one is missing they end', t => {
  t.deepEqual(numbers(chained([])), { numbers: [], broken: false })
  t.deepEqual(numbers(chained(frames)), { numbers: [1, 3, 4], broken: false })
  // What came before the first of them was committed.
  t.deepEqual(numbers(chained(frames.slice(1))), { numbers: [3, 4], broken: false })
  t.deepEqual(numbers(chained([frames[0]!, frames[2]!])), { numbers: [1], broken: true })
  // 3 and 4 failed, and what came then follows 2.
  const [later, last] = [frame(1_048_577, 2, 9), frame(1_048_578, 1_048_577, 9)]
  t.deepEqual(numbers(chained([...frames, later, last])), {
    numbers: [1, 1_048_577, 1_048_578],
    broken: false,
  })
})
