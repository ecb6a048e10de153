// XDR by its bytes (RFC 4506), and its bounds.

import test from 'ava'
import fc from 'fast-check'
import { nfs_fh3, sattr3, wcc_data } from '../../src/nfs/types.ts'
import * as xdr from '../../src/nfs/xdr.ts'
import { decode, encode, noAttrs } from './conformance/world.ts'

const hex = <T>(codec: xdr.Codec<T>, value: T): string => encode(codec, value).toString('hex')
const from = <T>(codec: xdr.Codec<T>, bytes: string): T => decode(codec, Buffer.from(bytes, 'hex'))
const garbage = { instanceOf: xdr.Garbage }

test('numbers are big-endian', t => {
  t.is(hex(xdr.uint32, 0xfedc_ba98), 'fedcba98')
  t.is(hex(xdr.uint64, 0xfedc_ba98_7654_3210n), 'fedcba9876543210')
  t.is(hex(xdr.size64, 2 ** 53 - 1), '001fffffffffffff')
  t.is(from(xdr.uint64, 'ffffffffffffffff'), 2n ** 64n - 1n)
  t.is(from(xdr.size64, '001fffffffffffff'), Number.MAX_SAFE_INTEGER)
})

test('a size that is no safe integer reads as Infinity, and is never written', t => {
  t.is(from(xdr.size64, '0020000000000000'), Number.POSITIVE_INFINITY)
  t.is(from(xdr.size64, 'ffffffffffffffff'), Number.POSITIVE_INFINITY)
  for (const n of [2 ** 53, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])
    t.throws(() => hex(xdr.size64, n), { instanceOf: RangeError })
})

test('the file of RFC 4506 §7.2 is the bytes it prints', t => {
  const filetype = xdr.union(xdr.enumeration({ TEXT: 0, DATA: 1, EXEC: 2 }), {
    TEXT: xdr.nothing,
    DATA: xdr.ascii(255),
    EXEC: xdr.ascii(255),
  })
  const file = xdr.struct({
    filename: xdr.ascii(255),
    type: filetype,
    owner: xdr.ascii(32),
    data: xdr.opaque(65_535),
  })
  const sillyprog = {
    filename: 'sillyprog',
    type: { is: 'EXEC' as const, value: 'lisp' },
    owner: 'john',
    data: Buffer.from('(quit)'),
  }
  const bytes =
    '00000009' +
    '73696c6c7970726f67000000' +
    '00000002' +
    '00000004' +
    '6c697370' +
    '00000004' +
    '6a6f686e' +
    '00000006' +
    '28717569742900' +
    '00'
  t.is(hex(file, sillyprog), bytes)
  t.deepEqual(from(file, bytes), sillyprog)
})

test('an opaque is padded to four bytes, and its bound holds before anything is taken', t => {
  t.is(hex(xdr.opaque(9), Buffer.from('abcde')), '00000005' + '6162636465000000')
  t.throws(() => from(xdr.opaque(4), '00000005' + '6162636465000000'), garbage)
  t.throws(() => from(xdr.opaque(2 ** 32), 'ffffffff'), garbage)
  t.throws(() => from(xdr.opaque(9), '00000005' + '6162636465'), garbage)
  t.throws(() => from(nfs_fh3, '00000041' + '00'.repeat(68)), garbage)
})

test('a reader never leaves its record, though the buffer goes on', t => {
  const buffer = Buffer.from('0000000861626364' + '65666768', 'hex')
  t.throws(() => xdr.opaque(64).read(new xdr.Reader(buffer, 0, 8)), garbage)
  t.throws(() => new xdr.Reader(buffer, 8, 8).uint32(), garbage)
  t.throws(() => new xdr.Reader(buffer, 0, 6).uint64(), garbage)
})

test('what is read is a view of the record', t => {
  const record = Buffer.from('00000004' + '61626364', 'hex')
  const bytes = xdr.opaque(4).read(new xdr.Reader(record))
  t.is(bytes.buffer, record.buffer)
  t.is(bytes.byteOffset, record.byteOffset + 4)
})

test('what is written in bulk is sent where it lies', t => {
  const data = Buffer.alloc(100_000, 7)
  const w = new xdr.Writer()
  xdr.pieces(2 ** 20).write(w, [data.subarray(0, 50_000), data.subarray(50_000)])
  const buffers = w.buffers()
  t.is(w.length, 100_004)
  t.is(
    buffers.filter(buffer => buffer.buffer === data.buffer).reduce((sum, { length }) => sum + length, 0),
    100_000,
  )
})

test('arrays and lists have their bounds, and booleans two values', t => {
  t.is(hex(xdr.array(xdr.uint32, 2), [1, 2]), '000000020000000100000002')
  t.throws(() => from(xdr.array(xdr.uint32, 2), '00000003' + '00'.repeat(12)), garbage)
  t.throws(() => from(xdr.array(xdr.uint32, 2 ** 32), 'ffffffff'), garbage)
  t.is(hex(xdr.list(xdr.uint32, 2), [5, 6]), '00000001000000050000000100000006' + '00000000')
  t.throws(() => from(xdr.list(xdr.uint32, 1), '00000001000000050000000100000006' + '00000000'), garbage)
  t.throws(() => from(xdr.bool, '00000002'), garbage)
  t.throws(() => from(xdr.enumeration({ A: 0 }), 'ffffffff'), garbage)
})

test('a list of a hundred thousand is read without recursion', t => {
  const all = Array.from({ length: 100_000 }, (_, i) => i)
  t.is(from(xdr.list(xdr.uint32, 100_000), hex(xdr.list(xdr.uint32, 100_000), all)).length, 100_000)
})

test('sattr3 and wcc_data are the bytes of RFC 1813', t => {
  const some = {
    ...noAttrs,
    mode: 0o644,
    size: 2,
    mtime: { is: 'SET_TO_CLIENT_TIME' as const, value: { seconds: 3, nseconds: 4 } },
  }
  t.is(
    hex(sattr3, some),
    '00000001000001a4' +
      '00000000' +
      '00000000' +
      '000000010000000000000002' +
      '00000000' +
      '000000020000000300000004',
  )
  t.is(hex(wcc_data, { before: null, after: null }), '0000000000000000')
})

test('a writer keeps every byte in order however much is written in whatever pieces', t => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 2000 }), { maxLength: 40 }), chunks => {
      const w = new xdr.Writer(16)
      for (const chunk of chunks) {
        w.uint32(chunk.length)
        w.put(chunk)
      }
      const r = new xdr.Reader(Buffer.concat(w.buffers()))
      t.is(r.end, w.length)
      for (const chunk of chunks) t.deepEqual(Uint8Array.from(r.take(r.uint32())), chunk)
    }),
  )
})
