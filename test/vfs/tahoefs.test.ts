// The file system over a real Tahoe-LAFS node: what every file system must do, and what
// the grid does meanwhile.

import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type Cap, parseCap } from '../../src/tahoe/cap.ts'
import { gateway } from '../../src/tahoe/gateway/gateway.ts'
import type { Tahoefs } from '../../src/vfs/tahoefs.ts'
import { folder, hasty, namesIn, openAt, settled, textOf } from '../support/places.ts'
import {
  fresh,
  loseShares,
  makeTree,
  onTahoe,
  put,
  type SharedNode,
  startTahoe,
  web,
  whyNoTahoe,
} from '../support/tahoe.ts'

type World = { node: SharedNode; open: (root: Cap, more?: Parameters<typeof openAt>[3]) => Promise<Tahoefs> }

function real(title: string, body: (t: ExecutionContext, world: World) => Promise<void>): void {
  onTahoe(test, title, async (t, node) => {
    const dir = await folder(t)
    const grid = gateway(node.url)
    let last: Tahoefs | null = null
    const open: World['open'] = async (root, more) => {
      await last?.close()
      last = await openAt(dir, grid, root, more)
      return last
    }
    t.teardown(async () => {
      await last?.close()
      await grid.close()
    })
    await body(t, { node, open })
  })
}

const never = { ttl: 0 } as const

/** Somebody else's change: the name leads to other content from now on. */
const replace = (node: SharedNode, dir: Cap, name: string, bytes: Uint8Array) =>
  web(node, 'PUT', `/uri/${encodeURIComponent(dir.uri())}/${encodeURIComponent(name)}`, bytes)

const bytesOf = async (fs: Tahoefs, id: bigint, size: number) =>
  Buffer.concat((await fs.read(id, 0, size)).data)

real(
  'a file that changes on the grid keeps its id and shows its new size and bytes',
  async (t, { node, open }) => {
    const root = await makeTree(node, { 'a.txt': fresh(1000), 'same.txt': 'same' })
    const fs = await open(root, never)
    const [a, same] = [await fs.lookup(fs.root, 'a.txt'), await fs.lookup(fs.root, 'same.txt')]
    const top = await fs.getattr(fs.root)
    const bytes = fresh(2_500_000)
    await replace(node, root, 'a.txt', bytes)
    const now = await fs.getattr(a.id)
    t.deepEqual([now.id, now.size], [a.id, bytes.length])
    t.true(now.ctime > a.ctime && now.mtime !== a.mtime)
    t.true((await bytesOf(fs, a.id, bytes.length)).equals(bytes))
    t.deepEqual(await fs.lookup(fs.root, 'same.txt'), same)
    t.true((await fs.getattr(fs.root)).mtime > top.mtime)
  },
)

real('what comes and goes on the grid comes and goes here', async (t, { node, open }) => {
  const root = await makeTree(node, { stays: 'x', goes: 'y' })
  const fs = await open(root, never)
  const goes = await fs.lookup(fs.root, 'goes')
  await replace(node, root, 'comes', Buffer.from('z'))
  await web(node, 'DELETE', `/uri/${encodeURIComponent(root.uri())}/goes`)
  t.deepEqual((await namesIn(fs, fs.root)).sort(), ['comes', 'stays'])
  await t.throwsAsync(fs.getattr(goes.id), { code: 'ESTALE' })
  await t.throwsAsync(fs.lookup(fs.root, 'goes'), { code: 'ENOENT' })
})

for (const format of ['SDMF', 'MDMF']) {
  real(
    `${format} files are read by version: other bytes under the same cap are seen`,
    async (t, { node, open }) => {
      const [one, two] = [fresh(1_500_000), fresh(1_500_000)]
      const cap = await put(node, one, `?format=${format}`)
      const root = await makeTree(node, { m: cap })
      const fs = await open(root, never)
      const before = await fs.lookup(fs.root, 'm')
      t.is(before.size, one.length)
      t.true((await bytesOf(fs, before.id, one.length)).equals(one))
      await web(node, 'PUT', `/uri/${encodeURIComponent(cap.uri())}`, two)
      t.true((await bytesOf(fs, before.id, two.length)).equals(two))
      const after = await fs.getattr(before.id)
      t.is(after.id, before.id)
      t.true(after.mtime > before.mtime && after.ctime > before.ctime)
    },
  )
}

real('children that this Tahoe does not know spoil nothing', async (t, { node, open }) => {
  const known = await put(node, Buffer.from('good'))
  const children = {
    future: ['unknown', { rw_uri: 'URI:FUTURE:write', ro_uri: 'ro.URI:FUTURE-RO:read', metadata: {} }],
    good: ['filenode', { ro_uri: known.uri(), metadata: {} }],
  }
  const root = parseCap(
    (await web(node, 'POST', '/uri?t=mkdir-with-children', JSON.stringify(children))).trim(),
  )
  for (let run = 0; run < 2; run++) {
    const fs = await open(root, never)
    t.deepEqual((await namesIn(fs, fs.root)).sort(), ['future', 'good'])
    t.is(await textOf(fs, (await fs.lookup(fs.root, 'good')).id), 'good')
    await t.throwsAsync(fs.read((await fs.lookup(fs.root, 'future')).id, 0, 1), { code: 'EACCES' })
  }
})

real(
  'an immutable directory and a read-only one are read, and nothing in them may change',
  async (t, { node, open }) => {
    const file = await put(node, fresh(100))
    const inside = JSON.stringify({ f: ['filenode', { ro_uri: file.uri(), metadata: {} }] })
    const immutable = parseCap((await web(node, 'POST', '/uri?t=mkdir-immutable', inside)).trim())
    const root = await makeTree(node, { immutable, d: { f: file } })
    const fs = await open(root.readonly(), never)
    t.false((await fs.getattr(fs.root)).writable)
    for (const name of ['immutable', 'd']) {
      const dir = await fs.lookup(fs.root, name)
      t.false(dir.writable)
      t.false((await fs.lookup(dir.id, 'f')).writable)
    }
  },
)

real('a directory whose shares are lost is served as it was last seen', async (t, { node, open }) => {
  const inner = await makeTree(node, { f: 'small' })
  const root = await makeTree(node, { inner })
  let fs = await open(root, { ttl: 0, patience: hasty })
  const { id } = await fs.lookup(fs.root, 'inner')
  const f = await fs.lookup(id, 'f')
  await loseShares(node, inner)
  for (let run = 0; run < 2; run++) {
    t.deepEqual(await fs.lookup(id, 'f'), f)
    await t.throwsAsync(fs.lookup(id, 'g'), { code: 'ENOENT' }) // that listing was complete
    t.is(await textOf(fs, f.id), 'small')
    fs = await open(root, { ttl: 0, patience: hasty })
  }
})

real(
  'a directory whose shares are out of reach before it was seen is an error, and not empty',
  async (t, { node, open }) => {
    const inner = await makeTree(node, { f: 'small' })
    const fs = await open(await makeTree(node, { inner }), { ttl: 0, patience: hasty })
    const { id } = await fs.lookup(fs.root, 'inner')
    await loseShares(node, inner)
    await t.throwsAsync(fs.list(id, 0n), { code: 'EIO' })
    await t.throwsAsync(fs.lookup(id, 'f'), { code: 'EIO' })
  },
)

real('a large file is read whole, in pieces, and again from the cache', async (t, { node, open }) => {
  const bytes = fresh(9_000_001)
  const lost = await put(node, bytes)
  const fs = await open(await makeTree(node, { big: lost }), never)
  const { id } = await fs.lookup(fs.root, 'big')
  for (let round = 0; round < 2; round++) {
    for (let at = 0; at < bytes.length; at += 700_000) {
      const { data, eof } = await fs.read(id, at, 700_000)
      t.true(Buffer.concat(data).equals(bytes.subarray(at, at + 700_000)))
      t.is(eof, at + 700_000 >= bytes.length)
    }
    if (round === 0) await loseShares(node, lost) // what was read once needs no grid
  }
})

if (whyNoTahoe() === null || process.env.CI === 'true') {
  test('real node: when the node is stopped, what was read and listed is still served', async t => {
    t.timeout(120_000)
    const dir = await folder(t)
    const node = await startTahoe(join(dir, 'node'))
    let stopped = false
    t.teardown(() => (stopped ? undefined : node.stop()))
    const bytes = fresh(1_200_000)
    const root = await makeTree(node, { read: bytes, unread: fresh(1000), inner: { 'a name': 'x' } })
    let grid = gateway(node.url)
    let fs = await openAt(dir, grid, root, { ttl: 0, patience: hasty })
    const read = await fs.lookup(fs.root, 'read')
    const inner = await fs.lookup(fs.root, 'inner')
    t.true((await bytesOf(fs, read.id, bytes.length)).equals(bytes))
    t.deepEqual(await namesIn(fs, inner.id), ['a name'])
    await node.stop()
    stopped = true
    for (let run = 0; run < 2; run++) {
      t.deepEqual((await namesIn(fs, fs.root)).sort(), ['inner', 'read', 'unread'])
      t.deepEqual(await namesIn(fs, inner.id), ['a name'])
      t.deepEqual(await fs.lookup(fs.root, 'read'), read)
      t.true((await bytesOf(fs, read.id, bytes.length)).equals(bytes))
      await t.throwsAsync(fs.read((await fs.lookup(fs.root, 'unread')).id, 0, 10), { code: 'EIO' })
      await settled(() => !fs.status().reach.reachable)
      await fs.close()
      await grid.close()
      grid = gateway(node.url)
      fs = await openAt(dir, grid, root, { ttl: 0, patience: hasty })
    }
    await fs.close()
    await grid.close()
  })
}
