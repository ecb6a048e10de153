import test, { type ExecutionContext } from 'ava'
import { litCap } from '../../src/tahoe/cap.ts'
import type { Metadata } from '../../src/tahoe/grid.ts'
import { capMark, edgeAttrs } from '../../src/vfs/tree/edge.ts'
import { onlyAsked, opened } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'
import { make } from './walk.ts'

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

/** What stands beside `f`, and beside `g` once it is called so, after each kind of publishing. */
async function published(t: ExecutionContext, before: Metadata): Promise<Record<string, Metadata>> {
  const grid = new TinyGrid()
  const root = grid.directory({ f: [grid.file('content'), before] })
  const fs = await opened(t, grid, root, { tempo: onlyAsked })
  const { id } = await fs.lookup(fs.root, 'f')
  const found: Record<string, Metadata> = {}
  const publish = async (what: string, name: string) => {
    await fs.flush(null)
    const { cap, metadata } = grid.children(root).get(name)!
    t.is((metadata['tahoe-nfs'] as Metadata)['of'], capMark(cap))
    found[what] = metadata
  }
  await fs.setattr(id, { mode: 0o600, mtime: 1_500_000_000_000_000_007n })
  await publish('mode', 'f')
  await fs.write(id, 0, Buffer.from('other'), 'stable')
  await publish('content', 'f')
  await fs.rename(fs.root, 'f', fs.root, 'g')
  await publish('name', 'g')
  await make(fs, fs.root, 'new', 'new')
  await fs.rename(fs.root, 'new', fs.root, 'g')
  await publish('replaced', 'g')
  return found
}

test('what others left beside a name stays with the file, whatever of it is published', async t => {
  const theirs = { note: { deep: [1, 'x', null] }, 'no-such': 0.5, flag: false }
  const { replaced, ...kept } = await published(t, { ...theirs, ctime: 7, mtime: 3, ...linked })
  for (const [what, { mtime, tahoe, 'tahoe-nfs': ours, ...rest }] of Object.entries(kept)) {
    t.deepEqual(rest, { ...theirs, ctime: 7 }, what)
    t.is(String(mtime), /^\d+/.exec((ours as { mtime: string }).mtime)![0], what)
    t.notDeepEqual(tahoe, linked.tahoe, what) // the grid's own
  }
  t.is(kept['mode']!['mtime'], 1_500_000_000)
  t.deepEqual(Object.keys(replaced!).sort(), ['mtime', 'tahoe', 'tahoe-nfs'])
})

test('of a key of ours uid and gid stay, and what is not known goes: `of` would vouch for it', async t => {
  const { replaced, ...kept } = await published(t, ours({ uid: 7, gid: 8, type: 'fifo', later: 'x' }))
  for (const [what, metadata] of Object.entries(kept)) {
    const { uid, gid, ...others } = metadata['tahoe-nfs'] as Metadata
    t.deepEqual([uid, gid], [7, 8], what)
    t.deepEqual(Object.keys(others).sort(), ['mode', 'mtime', 'of', 'v'], what)
  }
  t.deepEqual(Object.keys(replaced!['tahoe-nfs'] as Metadata).sort(), ['mode', 'mtime', 'of', 'v'])
})

test('a key of ours of another version gives way to ours when its name is published', async t => {
  const { mode } = await published(t, ours({ v: 2, extra: true }))
  const { v, extra } = mode!['tahoe-nfs'] as Metadata
  t.deepEqual([v, extra], [1, undefined])
})
