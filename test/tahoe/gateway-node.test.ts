// The grid over a real Tahoe-LAFS node: reading, uploading, listing.

import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { litCap, parseCap } from '../../src/tahoe/cap.ts'
import { gateway } from '../../src/tahoe/gateway/gateway.ts'
import type { Grid } from '../../src/tahoe/grid.ts'
import {
  corruptShares,
  fresh,
  loseShares,
  makeTree,
  onTahoe,
  put,
  type SharedNode,
  web,
} from '../support/tahoe.ts'
import { bytesOf, drain, sourceOf } from '../support/tahoe-bytes.ts'

const all = { start: 0, end: Number.POSITIVE_INFINITY }
const MIB = 1 << 20

function real(
  title: string,
  body: (t: ExecutionContext, world: { node: SharedNode; grid: Grid }) => Promise<void>,
): void {
  onTahoe(test, title, async (t, node) => {
    const grid = gateway(node.url)
    t.teardown(() => grid.close())
    await body(t, { node, grid })
  })
}

real('what is uploaded is read back whole and in any range, across segments', async (t, { grid }) => {
  const bytes = fresh(2 * MIB + 12_345)
  const cap = await grid.upload(sourceOf(bytes))
  t.is(cap.kind, 'CHK')
  t.is(cap.size, bytes.length)
  t.deepEqual(await bytesOf(grid.read(cap, all)), bytes)
  const ranges = [
    [0, 1],
    [MIB - 1, MIB + 1],
    [MIB, 2 * MIB],
    [bytes.length - 1, bytes.length],
    [1_500_000, 9e9],
  ] as const
  for (const [start, end] of ranges) {
    t.true(
      (await bytesOf(grid.read(cap, { start, end }))).equals(bytes.subarray(start, end)),
      `${start}-${end}`,
    )
  }
  for (const start of [bytes.length, bytes.length + 5]) {
    t.is((await bytesOf(grid.read(cap, { start, end: start + 10 }))).length, 0)
  }
})

real(
  'the same bytes give the cap that the node itself gives, small ones included',
  async (t, { node, grid }) => {
    for (const size of [0, 1, 55, 56, 1000]) {
      const bytes = fresh(size)
      t.is((await grid.upload(sourceOf(bytes))).uri(), (await put(node, bytes)).uri())
    }
  },
)

real('twelve uploads of equal new content all succeed', async (t, { grid }) => {
  const bytes = fresh(200_000)
  const caps = await Promise.all(Array.from({ length: 12 }, () => grid.upload(sourceOf(Buffer.from(bytes)))))
  t.is(new Set(caps.map(cap => cap.uri())).size, 1)
  t.deepEqual(await bytesOf(grid.read(caps[0]!, all)), bytes)
})

real(
  'a file whose shares are gone is EAGAIN, never ENOENT; and is there again when they are',
  async (t, { node, grid }) => {
    const bytes = fresh(5000)
    const cap = await put(node, bytes)
    await loseShares(node, cap)
    const { got, err } = await drain(grid.read(cap, all))
    t.is(got.length, 0)
    t.is((err as { code?: string }).code, 'EAGAIN')
    t.false(String(err).includes(cap.uri().split(':')[2]!))
    await grid.upload(sourceOf(bytes))
    t.deepEqual(await bytesOf(grid.read(cap, all)), bytes)
  },
)

real(
  'a segment corrupted in the grid ends the read before it, with nothing of the error text',
  async (t, { node, grid }) => {
    const bytes = fresh(3 * MIB)
    const cap = await put(node, bytes)
    const SHARE_HEADER = 36
    await corruptShares(node, cap, SHARE_HEADER + MIB + 5)
    const { got, err } = await drain(grid.read(cap, all))
    t.is(got.length, MIB, 'what was held back was the text')
    t.true(bytes.subarray(0, got.length).equals(got))
    t.is((err as { code?: string }).code, 'EAGAIN')
    const first = await bytesOf(grid.read(cap, { start: 0, end: MIB }))
    t.true(first.equals(bytes.subarray(0, MIB)), 'the good segment alone can be read')
  },
)

real(
  'a corrupt last segment shorter than the error text is not taken for data',
  async (t, { node, grid }) => {
    for (const extra of [1, 5, 23, 24]) {
      const bytes = fresh(MIB + extra)
      const cap = await put(node, bytes)
      await corruptShares(node, cap, 36 + MIB)
      const path = `/uri/${encodeURIComponent(cap.uri())}`
      const raw = Buffer.from(await (await fetch(node.url.replace(/\/$/, '') + path)).arrayBuffer())
      t.is(
        raw.subarray(MIB).toString(),
        'problem during download\n'.slice(0, extra),
        'so the node answers, at full length',
      )
      const { got, err } = await drain(grid.read(cap, all))
      t.true(got.length <= MIB && bytes.subarray(0, got.length).equals(got))
      t.is((err as { code?: string }).code, 'EAGAIN')
    }
  },
)

real('leaving a read early leaves the node free for others', async (t, { grid }) => {
  const bytes = fresh(8 * MIB)
  const cap = await grid.upload(sourceOf(bytes))
  for (let i = 0; i < 40; i++) {
    for await (const chunk of grid.read(cap, all)) {
      t.true(chunk.equals(bytes.subarray(0, chunk.length)))
      break
    }
  }
  const sum = createHash('sha256')
  for await (const chunk of grid.read(cap, all)) sum.update(chunk)
  t.is(sum.digest('hex'), createHash('sha256').update(bytes).digest('hex'))
})

const odd = [
  '',
  'a/b',
  '.',
  '..',
  'nul\0',
  'new\nline',
  ' blanks ',
  '%2e',
  'x?y#z',
  'é',
  '猫',
  '\u{1f408}',
  'a'.repeat(300),
  '__proto__',
  '7',
]

real('names that no path could carry are listed and unlinked like others', async (t, { grid }) => {
  const child = { cap: litCap(Buffer.from('x')), metadata: {} }
  const dir = await grid.mkdir()
  const sets = odd.map(name => ({ op: 'set', name, child, expect: null }) as const)
  const { outcomes, listing } = await grid.edit(dir, sets)
  t.deepEqual(
    outcomes,
    odd.map(() => ({ done: true }) as const),
  )
  t.deepEqual([...listing.children.keys()].sort(), [...odd].sort())
  const made = await grid.mkdir(new Map(odd.map(name => [name, child])))
  t.deepEqual([...(await grid.list(made)).children.keys()].sort(), [...odd].sort())
  const after = await grid.edit(
    dir,
    odd.map(name => ({ op: 'unlink', name, expect: child.cap }) as const),
  )
  t.deepEqual(
    after.outcomes,
    odd.map(() => ({ done: true }) as const),
  )
  t.is(after.listing.children.size, 0)
})

real('a name given in another normal form is the same name', async (t, { grid }) => {
  const child = { cap: litCap(Buffer.from('x')), metadata: {} }
  const dir = await grid.mkdir()
  const set = await grid.edit(dir, [{ op: 'set', name: 'e\u0301', child, expect: null }])
  t.deepEqual([...set.listing.children.keys()], ['\u00e9'])
  const unlinked = await grid.edit(dir, [{ op: 'unlink', name: 'e\u0301', expect: child.cap }])
  t.deepEqual(unlinked.outcomes, [{ done: true }])
})

real('the metadata of others comes through a listing and a new link untouched', async (t, { node, grid }) => {
  const cap = await put(node, fresh(100))
  const metadata = {
    posix: { mode: 420, mtime_ns: '1234567890123456789' },
    deep: [1, [2, { x: null }]],
    ключ: true,
  }
  const dir = await grid.mkdir(new Map([['a', { cap, metadata }]]))
  const child = (await grid.list(dir)).children.get('a')!
  t.deepEqual(child.metadata, metadata)
  const { listing } = await grid.edit(dir, [{ op: 'set', name: 'b', child, expect: null }])
  const { tahoe, ...rest } = listing.children.get('b')!.metadata
  t.deepEqual(rest, metadata)
  t.truthy(tahoe, 'the node adds its own times')
})

real('whole numbers beyond 2^53 in metadata survive a new link', async (t, { node, grid }) => {
  const uri = (await put(node, fresh(100))).uri()
  const dir = await grid.mkdir()
  const text = `{"a":["filenode",{"ro_uri":"${uri}","metadata":{"ns":1234567890123456789}}]}`
  await web(node, 'POST', `/uri/${encodeURIComponent(dir.uri())}?t=set_children`, Buffer.from(text))
  const child = (await grid.list(dir)).children.get('a')!
  await grid.edit(dir, [{ op: 'set', name: 'b', child, expect: null }])
  const json = await web(node, 'GET', `/uri/${encodeURIComponent(dir.uri())}?t=json`)
  t.is(json.match(/1234567890123456789/g)?.length, 2)
})

real(
  'an unknown from the future is listed, and linked under another name with both its halves',
  async (t, { node, grid }) => {
    const text =
      '{"f":["unknown",{"rw_uri":"URI:FUTURE-W:abc","ro_uri":"ro.URI:FUTURE-R:abc","metadata":{}}]}'
    const dir = await grid.mkdir()
    await web(node, 'POST', `/uri/${encodeURIComponent(dir.uri())}?t=set_children`, Buffer.from(text))
    const child = (await grid.list(dir)).children.get('f')!
    t.is(child.cap.type, 'unknown')
    const { outcomes, listing } = await grid.edit(dir, [
      { op: 'set', name: 'g', child, expect: null },
      { op: 'unlink', name: 'f', expect: child.cap },
    ])
    t.deepEqual(outcomes, [{ done: true }, { done: true }])
    const moved = listing.children.get('g')!.cap
    t.is(moved.uri(), 'URI:FUTURE-W:abc')
    t.is(moved.readonly().uri(), 'ro.URI:FUTURE-R:abc')
    t.false(listing.children.has('f'))
  },
)

real(
  'a listing by the write cap gives children that can write, one by the read cap does not',
  async (t, { node, grid }) => {
    const dir = await makeTree(node, { sub: { inner: 'text' }, file: fresh(100) })
    const byWrite = await grid.list(dir)
    t.true(byWrite.writable)
    t.is(byWrite.children.get('sub')!.cap.authority, 'write')
    const byRead = await grid.list(dir.readonly())
    t.false(byRead.writable)
    t.is(byRead.children.get('sub')!.cap.authority, 'read')
    t.true(byRead.children.get('sub')!.cap.same(byWrite.children.get('sub')!.cap))
  },
)

real('immutable and MDMF directories are listed', async (t, { node, grid }) => {
  const cap = await put(node, fresh(100))
  const body = JSON.stringify({ a: ['filenode', { ro_uri: cap.uri(), metadata: {} }] })
  for (const query of ['t=mkdir-immutable', 't=mkdir-with-children&format=MDMF']) {
    const dir = parseCap((await web(node, 'POST', `/uri?${query}`, Buffer.from(body))).trim())
    const { children, writable } = await grid.list(dir)
    t.deepEqual([...children.keys()], ['a'])
    t.is(writable, dir.authority === 'write')
  }
  t.is((await grid.list(parseCap('URI:DIR2-LIT:'))).children.size, 0)
})

real('a directory whose shares are gone is EAGAIN, never empty', async (t, { node, grid }) => {
  const dir = await makeTree(node, { a: 'text' })
  await loseShares(node, dir)
  await t.throwsAsync(grid.list(dir), { code: 'EAGAIN' })
  await t.throwsAsync(grid.list(dir.readonly()), { code: 'EAGAIN' })
})

real('a directory of a thousand names is listed whole', async (t, { grid }) => {
  const names = Array.from({ length: 1000 }, (_, i) => `file ${i}`)
  const child = { cap: litCap(Buffer.from('x')), metadata: {} }
  const dir = await grid.mkdir(new Map(names.map(name => [name, child])))
  t.deepEqual([...(await grid.list(dir)).children.keys()].sort(), [...names].sort())
})

real('health and usage', async (t, { grid }) => {
  t.deepEqual(await grid.health(), { reachable: true, detail: '1 of 1 storage servers connected' })
  await grid.upload(sourceOf(fresh(1000))) // from here on it is known that content does not grow here
  const usage = await grid.usage()
  t.true(usage!.free > 0 && usage!.total >= usage!.free)
})

real('closing the grid ends what is under way', async (t, { node }) => {
  const grid = gateway(node.url)
  const cap = await grid.upload(sourceOf(fresh(8 * MIB)))
  const stream = grid.read(cap, all)[Symbol.asyncIterator]()
  t.true((await stream.next()).value.length > 0)
  await grid.close()
  const rest = (async () => {
    while (!(await stream.next()).done);
  })()
  await t.throwsAsync(rest, { code: 'EAGAIN' })
  await t.throwsAsync(grid.list(await makeTree(node, {})), { code: 'EAGAIN' })
  await sleep(0)
})
