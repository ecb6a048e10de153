// Record marking: any cutting of the stream gives the same records, and no claim is
// believed before its bytes are there.

import test from 'ava'
import fc from 'fast-check'
import { RecordReader } from '../../src/nfs/record.ts'
import { Garbage } from '../../src/nfs/xdr.ts'
import { recordOf } from '../support/rpc-client.ts'

const garbage = { instanceOf: Garbage }

function drained(reader: RecordReader): Buffer[] {
  const records: Buffer[] = []
  for (let record = reader.next(); record !== null; record = reader.next()) records.push(record)
  return records
}

test('records come out as they went in, however they are cut into fragments and chunks', t => {
  const record = fc.record({
    bytes: fc.uint8Array({ minLength: 1, maxLength: 3000 }),
    fragments: fc.array(fc.nat(700), { maxLength: 6 }),
  })
  fc.assert(
    fc.property(
      fc.array(record, { maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 900 })),
      (records, cuts) => {
        const stream = Buffer.concat(
          records.map(({ bytes, fragments }) => {
            let left = bytes.length
            const fitting = fragments.filter(n => {
              if (n > left) return false
              left -= n
              return true
            })
            return recordOf(Buffer.from(bytes), fitting)
          }),
        )
        const reader = new RecordReader(4096)
        const out: Buffer[] = []
        let at = 0
        for (const cut of [...cuts, stream.length]) {
          reader.push(stream.subarray(at, at + cut))
          at = Math.min(at + cut, stream.length)
          out.push(...drained(reader))
        }
        t.deepEqual(
          out.map(each => each.toString('hex')),
          records.map(each => Buffer.from(each.bytes).toString('hex')),
        )
        t.is(reader.held, 0)
      },
    ),
  )
})

test('a record that lies in one chunk is a view of it', t => {
  const chunk = recordOf(Buffer.from('abcd'))
  const reader = new RecordReader(100)
  reader.push(chunk)
  const record = reader.next()!
  t.is(record.buffer, chunk.buffer)
  t.is(record.toString(), 'abcd')
})

test('a record of exactly the limit passes, one byte more is garbage at its header', t => {
  const reader = new RecordReader(8)
  reader.push(recordOf(Buffer.alloc(8)))
  t.is(reader.next()?.length, 8)
  reader.push(Buffer.from('80000009', 'hex'))
  t.throws(() => reader.next(), garbage)
})

test('fragments are counted together against the limit', t => {
  const reader = new RecordReader(8)
  reader.push(Buffer.from('00000005' + '0102030405' + '80000004', 'hex'))
  t.throws(() => reader.next(), garbage)
})

test('sixteen empty fragments are borne, not seventeen; the next record starts afresh', t => {
  const reader = new RecordReader(100)
  for (let i = 0; i < 2; i++) {
    reader.push(recordOf(Buffer.from('ok'), new Array<number>(16).fill(0)))
    t.is(reader.next()?.toString(), 'ok')
  }
  reader.push(Buffer.alloc(4 * 17))
  t.throws(() => reader.next(), garbage)
})

test('a header’s claim of a mebibyte sets aside no more than 64 KiB before as much has come', t => {
  const claimed = 2 ** 20
  const readers = Array.from({ length: 64 }, () => new RecordReader(claimed))
  const { arrayBuffers } = process.memoryUsage()
  for (const reader of readers) {
    reader.push(Buffer.from('80100000' + 'ff', 'hex'))
    t.is(reader.next(), null)
  }
  const grown = process.memoryUsage().arrayBuffers - arrayBuffers
  t.true(grown <= 64 * 2 ** 16 + 2 ** 20, `${grown}`)
})

test('a mebibyte in fragments of one byte is put together in linear time and space', t => {
  const size = 200_000
  const reader = new RecordReader(2 ** 20)
  const byte = Buffer.from('0000000161', 'hex')
  for (let i = 0; i < size; i++) {
    reader.push(byte)
    t.true(i % 1000 > 0 || reader.next() === null)
  }
  reader.push(Buffer.from('8000000161', 'hex'))
  t.is(reader.next()?.length, size + 1)
})
