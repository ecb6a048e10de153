import test from 'ava'
import { litCap } from '../../src/tahoe/cap.ts'
import { capMark, edgeAttrs } from '../../src/vfs/tree/edge.ts'
import { TinyGrid } from '../support/tiny-grid.ts'

const grid = new TinyGrid()
const cap = grid.file('content')
const ours = (more: object = {}) => ({
  'tahoe-nfs': { v: 1, of: capMark(cap), mode: 0o640, mtime: '1600000000.123456789', ...more },
})
const linked = { tahoe: { linkcrtime: 1700000000.5, linkmotime: 1700000000.5 } }

test('our key gives mode and mtime to the nanosecond while it speaks of this very cap', t => {
  t.deepEqual(edgeAttrs({ cap, metadata: ours() }), {
    kind: 'file',
    mode: 0o640,
    mtime: 1600000000123456789n,
    ctime: null,
  })
})

test('our key is not believed for another cap, another version of it, or out of shape', t => {
  const other = grid.file('other content')
  t.is(edgeAttrs({ cap: other, metadata: ours() }).mode, null)
  t.is(edgeAttrs({ cap, metadata: ours({ v: 2 }) }).mode, null)
  for (const odd of [null, 7, 'x', [1], true])
    t.is(edgeAttrs({ cap, metadata: { 'tahoe-nfs': odd } }).mode, null)
})

test('our key speaks of the object: a read cap and a write cap of it have one mark', t => {
  const write = grid.mutable('m')
  t.is(capMark(write), capMark(write.readonly()))
  t.regex(capMark(write), /^[0-9a-f]{16}$/)
})

test('a symlink is a small immutable file that our key calls one, and nothing else', t => {
  const kind = (of: typeof cap, type: unknown = 'symlink') =>
    edgeAttrs({ cap: of, metadata: { 'tahoe-nfs': { v: 1, of: capMark(of), type } } }).kind
  t.is(kind(cap), 'symlink')
  t.is(kind(litCap(Buffer.from('target'))), 'symlink')
  t.is(kind(cap, 'fifo'), 'file')
  t.is(kind(grid.mutable('m')), 'file')
  t.is(kind(cap.verify()!), 'file')
  t.is(kind(grid.file(Buffer.alloc(4096))), 'symlink')
  t.is(kind(grid.file(Buffer.alloc(4097))), 'file')
  t.is(kind(grid.directory()), 'directory')
})

test('a foreign mtime holds while the link was set once; afterwards linkmotime does', t => {
  const once = { mtime: 1500000000, tahoe: { linkcrtime: 1700000000, linkmotime: 1700000000.0005 } }
  t.is(edgeAttrs({ cap, metadata: once }).mtime, 1500000000000000000n)
  const again = { mtime: 1500000000, tahoe: { linkcrtime: 1700000000, linkmotime: 1700000001 } }
  t.is(edgeAttrs({ cap, metadata: again }).mtime, 1700000001000000000n)
  t.is(edgeAttrs({ cap, metadata: { mtime: 1500000000 } }).mtime, 1500000000000000000n)
  t.deepEqual(edgeAttrs({ cap, metadata: {} }), { kind: 'file', mode: null, mtime: null, ctime: null })
})

test('numbers that cannot be times or modes are as if they were not there', t => {
  for (const mtime of [-1, 2 ** 32, 1e300, Number.NaN, Infinity, '5', null, {}, [], true])
    t.is(edgeAttrs({ cap, metadata: { ...linked, mtime } }).mtime, 1700000000500000000n)
  for (const mtime of [
    '',
    '1',
    '1.5',
    '-1.000000000',
    '99999999999.000000000',
    '4294967296.000000000',
    5,
    null,
  ])
    t.is(
      edgeAttrs({ cap, metadata: { ...linked, ...ours({ mtime }) } }).mtime,
      1700000000500000000n,
      String(mtime),
    )
  for (const mode of [1.5, '7', null, {}, Number.NaN])
    t.is(edgeAttrs({ cap, metadata: ours({ mode }) }).mode, null)
  t.is(edgeAttrs({ cap, metadata: ours({ mode: 0o120777 }) }).mode, 0o777)
  t.is(edgeAttrs({ cap, metadata: ours({ mode: -1 }) }).mode, 0o7777)
  for (const tahoe of [null, 3, 'x', [], { linkmotime: 'x', linkcrtime: {} }])
    t.is(edgeAttrs({ cap, metadata: { tahoe } }).ctime, null)
})
