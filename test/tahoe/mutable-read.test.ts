// Reading long mutable files: by segment, only what is asked for, and what happens when somebody
// writes meanwhile.

import test from 'ava'
import fc from 'fast-check'
import { permuted } from '../../src/tahoe/native/order.ts'
import type { StorageServer } from '../../src/tahoe/storage/server.ts'
import { plaintext } from '../support/golden-mutables.ts'
import { collected, everything, filesOver, plain, serversOf } from '../support/mutable-world.ts'

const SEGMENT = 131_073 // of three shares
const three = { needed: 3, happy: 1, total: 5 }

/** Counts the bytes that are read. */
function counting(server: StorageServer, counter: { bytes: number }): StorageServer {
  return {
    ...server,
    read: async (...args) => {
      const bytes = await server.read(...args)
      counter.bytes += bytes.length
      return bytes
    },
  }
}

test('any range of a long file is read, in pieces of a segment, and of the shares little more than that', async t => {
  const counter = { bytes: 0 }
  const servers = serversOf(5).map(server => counting(plain(server), counter))
  const content = plaintext('long', 20 * SEGMENT + 77)
  const { cap } = await filesOver(servers, three).create('MDMF', content)
  await fc.assert(
    fc.asyncProperty(
      fc.nat(content.length + 10),
      fc.nat(3 * SEGMENT),
      fc.boolean(),
      async (start, size, cold) => {
        const files = filesOver(servers)
        if (!cold) await files.stat(cap)
        counter.bytes = 0
        const chunks: Buffer[] = []
        for await (const chunk of files.read(cap.readonly(), { start, end: start + size })) {
          t.true(chunk.length <= SEGMENT)
          chunks.push(chunk)
        }
        t.is(Buffer.concat(chunks).compare(content.subarray(start, start + size)), 0)
        t.true(counter.bytes < size + 2 * SEGMENT + 30_000, `${counter.bytes} for ${size}`)
      },
    ),
    { numRuns: 40 },
  )
})

test('what was checked once is not fetched again while the version is the same', async t => {
  const counter = { bytes: 0 }
  const servers = serversOf(1).map(server => counting(plain(server), counter))
  const writer = filesOver(servers)
  const { cap } = await writer.create('MDMF', plaintext('twice', 3_000_000))
  const files = filesOver(servers)
  const range = { start: 1_000_000, end: 1_000_001 }
  await collected(files.read(cap, range))
  const first = counter.bytes
  await collected(files.read(cap, range))
  t.true(counter.bytes - first < first - 2000)
  const small = (await writer.create('SSK', plaintext('small', 50_000))).cap
  await collected(files.read(small, everything))
  counter.bytes = 0
  await collected(files.read(small, { start: 7, end: 9 }))
  t.is(counter.bytes, 4000)
})

for (const version of [true, false])
  test(`a file that is replaced while it is read ends with ESTALE, and no share is called damaged${version ? ' (at a version)' : ''}`, async t => {
    const servers = serversOf(5)
    const files = filesOver(servers, three)
    const content = plaintext('replaced', 6 * SEGMENT)
    const { cap } = await files.create('MDMF', content)
    const reader = filesOver(servers)
    const options = version ? await reader.stat(cap) : {}
    const chunks = reader.read(cap, everything, options)
    t.is((await chunks.next()).value!.compare(content.subarray(0, SEGMENT)), 0)
    await files.modify(cap, old => Buffer.from(old.map(byte => byte ^ 1)))
    await t.throwsAsync(
      async () => {
        let at = SEGMENT
        for await (const chunk of chunks) {
          t.is(chunk.compare(content.subarray(at, at + chunk.length)), 0)
          at += chunk.length
        }
      },
      { code: 'ESTALE' },
    )
    for (const server of servers) t.deepEqual(server.advised, [])
  })

test('whoever gives up hears EAGAIN at once, and the servers are not asked on', async t => {
  const [server] = serversOf(1)
  const files = filesOver([server!])
  const { cap } = await files.create('SSK', Buffer.from('x'))
  const end = new AbortController()
  server!.trouble = () => end.abort()
  await t.throwsAsync(filesOver([server!]).stat(cap, { signal: AbortSignal.abort() }), { code: 'EAGAIN' })
  await t.throwsAsync(
    files.modify(cap, () => null, { signal: end.signal }),
    { code: 'EAGAIN' },
  )
  await t.throwsAsync(collected(files.read(cap, everything, { signal: end.signal })), { code: 'EAGAIN' })
})

test('each storage index has the servers in an order of its own, the same for all who ask', t => {
  const servers = serversOf(5)
  const names = (index: string, of: readonly StorageServer[]) => permuted(of, index).map(({ name }) => name)
  const one = names('aaaaaaaaaaaaaaaaaaaaaaaaaa', servers)
  t.deepEqual(names('aaaaaaaaaaaaaaaaaaaaaaaaaa', servers.toReversed()), one)
  t.deepEqual([...one].sort(), servers.map(({ name }) => name).sort())
  t.notDeepEqual(names('mmmmmmmmmmmmmmmmmmmmmmmmme', servers), one)
})
