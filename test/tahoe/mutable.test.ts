// Mutable files over one server and over many: made, read, changed, lost in part, and written by
// several at once.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { parseCap } from '../../src/tahoe/cap.ts'
import type { Shares } from '../../src/tahoe/native/mutable/mutable.ts'
import { LocalServer } from '../../src/tahoe/storage/local.ts'
import type { StorageServer } from '../../src/tahoe/storage/server.ts'
import { collected, everything, filesOver, serversOf } from '../support/mutable-world.ts'

const source = (bytes: Buffer) => ({
  size: bytes.length,
  open: async function* () {
    yield bytes
  },
})

type World = (t: ExecutionContext, count: number) => Promise<readonly StorageServer[]>

const worlds: Record<string, World> = {
  'in memory': async (_t, count) => serversOf(count),
  'in folders': async (t, count) => {
    const dir = mkdtempSync(join(tmpdir(), 'mutable-'))
    const opened = Array.from({ length: count }, (_, i) => LocalServer.open({ dir: join(dir, `disk${i}`) }))
    const servers = await Promise.all(opened)
    t.teardown(async () => {
      for (const server of servers) await server.close()
      rmSync(dir, { recursive: true, force: true })
    })
    return servers
  },
}

const settings = [
  { count: 1, needed: 1, total: 1 },
  { count: 1, needed: 2, total: 4 },
  { count: 3, needed: 2, total: 4 },
]

for (const kind of ['SSK', 'MDMF'] as const)
  for (const [where, open] of Object.entries(worlds))
    for (const { count, needed, total } of settings)
      test(`${kind}, ${needed} of ${total} on ${count} ${where}: what is made is read, changed and overwritten, and a reader hears of it`, t =>
        lives(t, kind, open, count, { needed, happy: 1, total }))

async function lives(
  t: ExecutionContext,
  kind: 'SSK' | 'MDMF',
  open: World,
  count: number,
  shares: Shares,
): Promise<void> {
  const servers = await open(t, count)
  const writer = filesOver(servers, shares)
  const reader = filesOver(servers)
  const { cap } = await writer.create(kind, Buffer.from('one'))
  t.is(cap.kind, kind)
  const read = async () => (await collected(reader.read(cap.readonly(), everything))).toString()
  t.is(await read(), 'one')
  const first = await reader.stat(cap.readonly())
  t.is(first.size, 3)
  const now = await writer.modify(cap, old => Buffer.concat([old, Buffer.from(' two')]))
  t.is(now.toString(), 'one two')
  t.is(await read(), 'one two')
  t.is((await collected(reader.read(cap, { start: 2, end: 5 }))).toString(), 'e t')
  await t.throwsAsync(collected(reader.read(cap, everything, { version: first.version })), {
    code: 'ESTALE',
  })
  await t.throwsAsync(writer.overwrite(cap, source(Buffer.from('no')), { expected: first.version }), {
    code: 'ESTALE',
  })
  const { version } = await reader.stat(cap)
  const third = await writer.overwrite(cap, source(Buffer.alloc(0)), { expected: version })
  t.is(third.size, 0)
  t.deepEqual(await reader.stat(cap), third)
  t.is(await read(), '')
  // Another process changes what nobody has told it of.
  t.is((await reader.modify(cap, () => Buffer.from('four'))).toString(), 'four')
  t.is((await writer.modify(cap, old => Buffer.concat([old, Buffer.from('!')]))).toString(), 'four!')
  t.is(await read(), 'four!')
}

test('what a cap does not allow is refused, without asking anybody', async t => {
  const [server] = serversOf(1)
  const files = filesOver([server!])
  const { cap } = await files.create('SSK', Buffer.from('x'))
  server!.calls = []
  await t.throwsAsync(
    files.modify(cap.readonly(), () => null),
    { code: 'EROFS' },
  )
  await t.throwsAsync(files.overwrite(cap.readonly(), source(Buffer.alloc(1)), { expected: '' }), {
    code: 'EROFS',
  })
  await t.throwsAsync(collected(files.read(cap.verify()!, everything)), { code: 'EINVAL' })
  await t.throwsAsync(files.stat(parseCap('URI:LIT:te')), { code: 'EINVAL' })
  t.deepEqual(server!.calls, [])
})
