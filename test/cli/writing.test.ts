// What is written through the program over a real Tahoe node, and how it gets there: shown
// while it waits, published on request, and judged by what the node itself has.

import { execFile, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import test from 'ava'
import { ACCESS, SETATTR } from '../../src/nfs/proc/attributes.ts'
import { COMMIT, WRITE } from '../../src/nfs/proc/data.ts'
import { CREATE, MKDIR } from '../../src/nfs/proc/making.ts'
import { REMOVE, RENAME } from '../../src/nfs/proc/names.ts'
import { at, type NfsClient, noAttrs } from '../nfs/conformance/world.ts'
import { needs } from '../support/needs.ts'
import { onTahoe, sharedTahoe, whyNoTahoe } from '../support/tahoe.ts'
import { bytesAt, statusOf, tahoeWorld } from './tahoe-world.ts'
import { client, refused } from './world.ts'

const run = promisify(execFile)
/** Writes the same again and again, so that a file is never quiet, and goes only when it is told to. */
function restless(nfs: NfsClient, file: Uint8Array, data: Uint8Array | string): () => Promise<void> {
  let over = false
  const writing = (async () => {
    for (; !over; await sleep(200)) await nfs.write(file, 0, data)
  })()
  return () => {
    over = true
    return writing
  }
}

const tree = { hello: 'hello\n', sub: { inner: 'inside' } }

onTahoe(
  test,
  'what is written waits, is shown, and with flush --wait is on the grid, byte for byte',
  async (t, node) => {
    const { user, root, grid } = await tahoeWorld(t, node, tree)
    const served = await user.serve(...grid)
    const nfs = await client(t, served.port)
    const content = randomBytes(300_000)
    const file = await nfs.create(await nfs.lookup(await nfs.root(), 'sub'), 'letter.txt')
    const calm = restless(nfs, file, content)
    const { pending } = await statusOf(user)
    t.like(pending, { files: 1, bytes: 300_000 })
    const [item] = pending.items
    t.like(item, {
      path: '/sub/letter.txt',
      state: 'open',
      bytes: 300_000,
      sent: 0,
      error: null,
      retryAt: null,
    })
    t.is(item!.since, pending.oldest!)
    t.true(Math.abs(Date.now() - Date.parse(item!.since)) < 60_000)
    t.regex(
      (await user.run(['status'])).out,
      /\n {2}waiting {2}1 change, 293 KiB, the oldest for \d+ s\n {11}\/sub\/letter\.txt: open, 293 KiB, for \d+ s\n/,
    )
    t.is(await bytesAt(node, root, '/sub/letter.txt'), null)
    const flushed = await user.run(['flush', '--wait'])
    t.deepEqual(flushed, { code: 0, out: 'what waited is on the grid\n', err: '' })
    t.deepEqual(await bytesAt(node, root, '/sub/letter.txt'), content)
    await calm()
    t.is((await user.run(['flush', '--wait'])).code, 0)
    const after = await statusOf(user)
    t.like(after.pending, { files: 0, bytes: 0, oldest: null })
    t.deepEqual(after.conflicts, [])
    t.deepEqual(await user.run(['flush', '--wait']), { code: 0, out: 'nothing waits\n', err: '' })
    t.deepEqual(await user.run(['flush']), { code: 0, out: 'nothing waits\n', err: '' })
    t.is(await served.end(), 0)
    t.is(served.said.err, '')
  },
)

onTahoe(
  test,
  'a path is flushed and nothing else; one that is not there, or in no mount, is refused',
  async (t, node) => {
    const { user, root, grid } = await tahoeWorld(t, node, tree)
    const served = await user.serve(...grid)
    const { state } = await statusOf(user)
    const nfs = await client(t, served.port)
    const top = await nfs.root()
    const other = await nfs.create(top, 'other')
    const calm = restless(nfs, other, 'never quiet')
    const file = await nfs.create(await nfs.mkdir(top, 'new'), 'żółw 龜')
    await nfs.write(file, 0, 'slow and steady')
    const flushed = await user.run(['flush', '--wait', 'new/żółw 龜', '--state', state])
    t.is(flushed.code, 0, flushed.err)
    t.regex(flushed.out, /^what waited at \/new\/żółw 龜 is on the grid\n$/)
    t.is(String(await bytesAt(node, root, '/new/żółw 龜')), 'slow and steady')
    t.is(await bytesAt(node, root, '/other'), null)
    const outside = await user.run(['flush', user.path('mnt')])
    refused(t, outside, 1, /mnt is in no mount that a server of yours serves/)
    for (const [path, ...wait] of [
      ['nowhere'],
      ['/sub/nowhere/else', '--wait'],
      ['/hello/below a file'],
      [`/${'x'.repeat(300)}`, '--wait'],
    ])
      refused(
        t,
        await user.run(['flush', path!, '--state', state, ...wait]),
        1,
        /^tahoe-nfs: nothing is at \/\S[^\n]* in what is served$/m,
      )
    await calm()
    t.is(await served.end(), 0) // the last while publishes what waits
    t.is(String(await bytesAt(node, root, '/other')), 'never quiet')
  },
)

onTahoe(
  test,
  'with --read-only every change is refused, though the root could be written',
  async (t, node) => {
    const { user, root, grid } = await tahoeWorld(t, node, tree)
    const served = await user.serve(...grid, '--read-only')
    const nfs = await client(t, served.port)
    const top = await nfs.root()
    const hello = await nfs.lookup(top, 'hello')
    const how = { is: 'GUARDED' as const, value: noAttrs }
    const data = Buffer.from('x')
    const statuses = [
      await nfs.status(CREATE, { where: at(top, 'new'), how }),
      await nfs.status(MKDIR, { where: at(top, 'new'), attributes: noAttrs }),
      await nfs.status(WRITE, { file: hello, offset: 0, count: 1, stable: 'UNSTABLE', data }),
      await nfs.status(SETATTR, {
        object: hello,
        new_attributes: { ...noAttrs, size: 0 },
        guard: null,
      }),
      await nfs.status(REMOVE, { object: at(top, 'hello') }),
      await nfs.status(RENAME, { from: at(top, 'hello'), to: at(top, 'bye') }),
    ]
    t.deepEqual(statuses, Array(6).fill('NFS3ERR_ROFS'))
    const { access } = await nfs.ok(ACCESS, { object: top, access: 0x3f })
    t.is(access & ~0x23, 0) // READ, LOOKUP and EXECUTE at most
    t.is(String(await nfs.read(hello)), 'hello\n')
    t.is(await served.end(), 0)
    t.is(String(await bytesAt(node, root, '/hello')), 'hello\n')
  },
)

onTahoe(
  test,
  'with --fsync grid COMMIT returns once the node has the file, and a synchronous WRITE too',
  async (t, node) => {
    const { user, root, grid } = await tahoeWorld(t, node, tree)
    const served = await user.serve(...grid, '--fsync', 'grid')
    const nfs = await client(t, served.port)
    const content = randomBytes(50_000)
    const dir = await nfs.mkdir(await nfs.root(), 'deep')
    const file = await nfs.create(dir, 'down')
    await nfs.write(file, 0, content)
    t.is(await bytesAt(node, root, '/deep/down'), null)
    await nfs.ok(COMMIT, { file, offset: 0, count: 0 })
    t.deepEqual(await bytesAt(node, root, '/deep/down'), content)
    const { committed } = await nfs.write(file, content.length, 'and more', 'FILE_SYNC')
    t.is(committed, 'FILE_SYNC')
    t.deepEqual(await bytesAt(node, root, '/deep/down'), Buffer.concat([content, Buffer.from('and more')]))
    t.is(await served.end(), 0)
  },
)

onTahoe(
  test,
  'what was changed here and on the grid is told by flush and by status, and both are there',
  async (t, node) => {
    const { user, root, grid } = await tahoeWorld(t, node, tree)
    const served = await user.serve(...grid)
    const nfs = await client(t, served.port)
    const hello = await nfs.lookup(await nfs.root(), 'hello')
    await fetch(`${node.url}uri/${encodeURIComponent(root.uri())}/hello`, { method: 'PUT', body: 'theirs' })
    const calm = restless(nfs, hello, 'mine')
    const flushed = await user.run(['flush', '--wait'])
    t.is(flushed.code, 0, flushed.err)
    const told = /^\/hello and (\/hello \(conflict .*\)): was changed here and on the grid.* \(.* UTC\)$/m
    t.regex(flushed.out, told)
    const [, copy] = told.exec(flushed.out)!
    await calm()
    t.is((await user.run(['flush', '--wait'])).code, 0)
    const { conflicts } = await statusOf(user)
    t.deepEqual(
      conflicts.map(({ path, copy }) => [path, copy]),
      [['/hello', copy!]],
    )
    t.regex((await user.run(['status'])).out, /\n {2}conflict \/hello and \/hello \(conflict /)
    t.is(String(await bytesAt(node, root, '/hello')), 'theirs')
    t.is(String(await bytesAt(node, root, copy!)), 'mineo\n')
    t.is(await served.end(), 0)
  },
)

const tools = ['nfs-cp', 'nfs-cat'].every(tool => spawnSync(tool).error === undefined)
const withLibnfs = needs(whyNoTahoe() === null && tools, 'a Tahoe-LAFS node, and libnfs-utils')

withLibnfs('what libnfs copies in, the node has after flush --wait, and libnfs reads back', async t => {
  t.timeout(120_000)
  const node = await sharedTahoe()
  const { user, root, grid } = await tahoeWorld(t, node, tree)
  const { port, end } = await user.serve(...grid, '--uid', String(process.getuid!()))
  const url = (path: string) => `nfs://127.0.0.1/${path}?nfsport=${port}&mountport=${port}&version=3`
  // A file of the root needs "//name": libnfs mounts a file's parent by its path.
  for (const [path, size] of Object.entries({ 'sub/empty': 0, 'sub/one': 1, '/big': 5_000_001 })) {
    const content = randomBytes(size)
    await writeFile(user.path('local'), content)
    await run('nfs-cp', [user.path('local'), url(path)])
    t.is((await user.run(['flush', '--wait'])).code, 0)
    t.deepEqual(await bytesAt(node, root, resolve('/', path)), content, path)
    const { stdout } = await run('nfs-cat', [url(path)], { encoding: 'buffer', maxBuffer: 2 ** 26 })
    t.deepEqual(stdout, content, path)
  }
  t.is(await end(), 0)
})
