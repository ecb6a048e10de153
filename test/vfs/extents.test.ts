// Extents against a plain array of bytes: whatever is written and cut, each byte is where it was put last.

import test from 'ava'
import fc from 'fast-check'
import { type Extent, Extents, endOf } from '../../src/vfs/write/extents.ts'
import { RECORD, STRIDE, sealedSize } from '../../src/vfs/write/record.ts'
import type { Run, Segment } from '../../src/vfs/write/segment.ts'

const segment = { id: 1 } as Segment

/** Runs one after the other in one segment, as staging gives them. */
function appender(): (plain: number) => Run {
  let [at, record] = [0, 0]
  return plain => {
    const run = { segment, at, record, plain }
    at += sealedSize(plain)
    record += Math.ceil(plain / RECORD)
    return run
  }
}

/** Which byte of the segment a byte of the file is: the record, and where in it. */
const placeOf = (extent: Extent, offset: number): string => {
  const byte = offset - extent.start + extent.skip
  return `${extent.record + Math.floor(byte / RECORD)}:${extent.at + Math.floor(byte / RECORD) * STRIDE}+${byte % RECORD}`
}

const change = fc.oneof(
  fc.record({ start: fc.nat(400_000), length: fc.integer({ min: 1, max: 3 * RECORD }) }),
  fc.record({ start: fc.nat(6).map(n => n * RECORD), length: fc.constantFrom(RECORD, 2 * RECORD) }),
  fc.record({ cut: fc.nat(400_000) }),
)

test('each byte is where it was put last, and what is not staged is nowhere', t => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), changes => {
      const append = appender()
      const model = new Map<number, string>() // every 997th byte, and the ends of all changes
      const watched = new Set<Extent>()
      const extents = new Extents({
        added: extent => void watched.add(extent),
        removed: extent => void watched.delete(extent),
      })
      const marks = new Set<number>()
      for (let at = 0; at < 700_000; at += 997) marks.add(at)
      for (const each of changes)
        if ('start' in each)
          for (const at of [
            each.start - 1,
            each.start,
            each.start + each.length - 1,
            each.start + each.length,
          ])
            marks.add(at)
      let seq = 0
      for (const each of changes) {
        if ('cut' in each) {
          extents.cut(each.cut)
          for (const at of marks) if (at >= each.cut) model.delete(at)
          continue
        }
        const run = append(each.length)
        extents.put(run, each.start, ++seq)
        for (const at of marks) {
          if (at < each.start || at >= each.start + each.length) continue
          model.set(at, placeOf({ ...run, start: each.start, length: each.length, skip: 0, seq }, at))
        }
      }
      for (const at of marks) {
        if (at < 0) continue
        const [piece] = extents.pieces(at, at + 1)
        const place = piece!.extent ? placeOf(piece!.extent, at) : undefined
        if (place !== model.get(at))
          throw new Error(`byte ${at} is at ${place}, and should be at ${model.get(at)}`)
      }
      let end = 0
      for (const extent of extents.all) {
        if (extent.start < end || extent.length <= 0) throw new Error('extents overlap')
        if (extent.skip >= RECORD && extent.plain > RECORD)
          throw new Error('a record that nothing is left of')
        end = endOf(extent)
      }
      if (watched.size !== extents.all.length || extents.all.some(each => !watched.has(each)))
        throw new Error('the watch was told of others')
    }),
    { numRuns: 300 },
  )
  t.pass()
})

test('what is written on and on is one extent, and what is frozen stays apart', t => {
  const append = appender()
  const extents = new Extents({ added: () => {}, removed: () => {} })
  for (let i = 0; i < 4; i++) extents.put(append(RECORD), i * RECORD, i + 1)
  t.is(extents.all.length, 1)
  extents.put(append(RECORD), 4 * RECORD, 5, 4)
  t.is(extents.all.length, 2)
  extents.dropUntil(4)
  t.deepEqual(
    extents.all.map(({ start }) => start),
    [4 * RECORD],
  )
})
