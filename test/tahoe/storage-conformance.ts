// What every StorageServer must do, whatever is behind it.

import { randomBytes } from 'node:crypto'
import test, { type ExecutionContext } from 'ava'
import { encode } from '../../src/tahoe/format/base32.ts'
import type {
  LeaseSecrets,
  ReadVector,
  StorageServer,
  TestWrite,
  WriteSecrets,
} from '../../src/tahoe/storage/server.ts'

export type Subject = { readonly server: StorageServer; close(): Promise<void> }

export const anIndex = (): string => encode(randomBytes(16))

export const leases = (): LeaseSecrets => ({ renew: randomBytes(32), cancel: randomBytes(32) })

export const secrets = (): WriteSecrets => ({ ...leases(), writeEnabler: randomBytes(32) })

/** A change: data at offsets, and what else it asks for. */
export const write = (
  writes: Record<number, Uint8Array | string>,
  more: Partial<TestWrite> = {},
): TestWrite => ({
  tests: [],
  writes: Object.entries(writes).map(([offset, data]) => ({
    offset: Number(offset),
    data: Buffer.from(data),
  })),
  newLength: null,
  ...more,
})

/** A test that a share holds `text` at the start, or is absent where that is empty. */
export const expects = (text: string, size = text.length || 1): TestWrite['tests'] => [
  { offset: 0, size, specimen: Buffer.from(text) },
]

export const everything: ReadVector = [{ offset: 0, size: 1 << 20 }]

/** Stores one immutable share. */
export async function store(
  server: StorageServer,
  index: string,
  share: number,
  bytes: Uint8Array,
): Promise<void> {
  const { writers } = await server.allocate(index, [share], bytes.length, leases())
  const writer = writers.get(share)!
  await writer.write(0, [bytes])
  await writer.close()
}

const text = async (server: StorageServer, index: string, share: number): Promise<string> =>
  (await server.read('mutable', index, share, 0, 1 << 20)).toString()

export function conforms(name: string, open: () => Promise<Subject>): void {
  const spec = (title: string, body: (t: ExecutionContext, server: StorageServer) => Promise<void>) =>
    test(`${name}: ${title}`, async t => {
      const subject = await open()
      t.teardown(() => subject.close())
      await body(t, subject.server)
    })

  spec('it has an id of 20 bytes, a name, and room', async (t, server) => {
    t.is(server.id.length, 20)
    t.not(server.name, '')
    const { free, maxImmutable, maxMutable } = await server.version()
    t.true(free > 0 && maxImmutable > 0 && maxMutable > 0)
  })

  spec('an index that it never saw has no shares, and reading one is ENOENT', async (t, server) => {
    const index = anIndex()
    for (const kind of ['immutable', 'mutable'] as const) {
      t.deepEqual(await server.list(kind, index), new Set())
      await t.throwsAsync(server.read(kind, index, 0, 0, 10), { code: 'ENOENT' })
    }
    t.false(await server.addLease(index, leases()))
  })

  spec('an immutable share is written in pieces, and is there once it is closed', async (t, server) => {
    const index = anIndex()
    const bytes = randomBytes(300_000)
    const { have, writers } = await server.allocate(index, [3, 7], bytes.length, leases())
    t.deepEqual(have, new Set())
    t.deepEqual([...writers.keys()], [3, 7])
    const writer = writers.get(3)!
    await writer.write(0, [bytes.subarray(0, 10), bytes.subarray(10, 100_000)])
    t.deepEqual(await server.list('immutable', index), new Set())
    await t.throwsAsync(server.read('immutable', index, 3, 0, 10), { code: 'ENOENT' })
    await writer.write(100_000, [bytes.subarray(100_000)])
    await writer.close()
    await writer.abort()
    t.deepEqual(await server.list('immutable', index), new Set([3]))
    t.deepEqual(await server.read('immutable', index, 3, 0, bytes.length), bytes)
    t.deepEqual(await server.read('immutable', index, 3, 99_990, 100_010), bytes.subarray(99_990, 100_010))
    await writers.get(7)!.abort()
    t.deepEqual(await server.list('immutable', index), new Set([3]))
  })

  spec('a read past the end of a share gives what there is', async (t, server) => {
    const index = anIndex()
    await store(server, index, 0, Buffer.from('0123456789'))
    t.is((await server.read('immutable', index, 0, 8, 100)).toString(), '89')
    t.is((await server.read('immutable', index, 0, 10, 20)).length, 0)
    t.is((await server.read('immutable', index, 0, 500, 600)).length, 0)
    await t.throwsAsync(server.read('immutable', index, 1, 0, 1), { code: 'ENOENT' })
  })

  spec('what it has it does not take again', async (t, server) => {
    const index = anIndex()
    await store(server, index, 1, Buffer.from('here'))
    const { have, writers } = await server.allocate(index, [0, 1, 2], 4, leases())
    t.deepEqual(have, new Set([1]))
    t.deepEqual([...writers.keys()], [0, 2])
    for (const writer of writers.values()) await writer.abort()
  })

  spec('an aborted share may be stored again', async (t, server) => {
    const index = anIndex()
    const { writers } = await server.allocate(index, [0], 4, leases())
    await writers.get(0)!.write(0, [Buffer.from('no')])
    await writers.get(0)!.abort()
    await store(server, index, 0, Buffer.from('last'))
    t.is((await server.read('immutable', index, 0, 0, 10)).toString(), 'last')
  })

  spec('a mutable slot is made by its first write, and changed by the next', async (t, server) => {
    const index = anIndex()
    const mine = secrets()
    const first = await server.readTestWrite(
      index,
      mine,
      new Map([
        [0, write({ 0: 'zero' }, { tests: expects('') })],
        [5, write({ 0: 'five' }, { tests: expects('') })],
      ]),
      everything,
    )
    t.deepEqual(first, { done: true, data: new Map() })
    t.deepEqual(await server.list('mutable', index), new Set([0, 5]))
    const second = await server.readTestWrite(index, mine, new Map([[5, write({ 2: 'xyz' })]]), everything)
    t.true(second.done)
    t.deepEqual(
      [...second.data].map(([share, [bytes]]) => [share, String(bytes)]),
      [
        [0, 'zero'],
        [5, 'five'],
      ],
    )
    t.is(await text(server, index, 5), 'fixyz')
    t.is(await text(server, index, 0), 'zero')
  })

  spec('one test that does not hold, and nothing is written anywhere', async (t, server) => {
    const index = anIndex()
    const mine = secrets()
    await server.readTestWrite(index, mine, new Map([[0, write({ 0: 'old' })]]), [])
    const changes = new Map([
      [0, write({ 0: 'new' }, { tests: expects('old') })],
      [1, write({ 0: 'new' }, { tests: expects('old') })],
    ])
    const { done, data } = await server.readTestWrite(index, mine, changes, everything)
    t.false(done)
    t.deepEqual(
      [...data].map(([share, [bytes]]) => [share, String(bytes)]),
      [[0, 'old']],
    )
    t.is(await text(server, index, 0), 'old')
    t.deepEqual(await server.list('mutable', index), new Set([0]))
  })

  spec('a test looks at no more bytes than it says', async (t, server) => {
    const index = anIndex()
    const mine = secrets()
    await server.readTestWrite(index, mine, new Map([[0, write({ 0: 'abcdef' })]]), [])
    for (const [tests, done] of [
      [expects('abc'), true],
      [expects('abc', 4), false],
      [expects('abcdef', 100), true],
      [[{ offset: 4, size: 10, specimen: Buffer.from('ef') }], true],
      [[{ offset: 6, size: 1, specimen: Buffer.alloc(0) }], true],
      [[...expects('abc'), { offset: 3, size: 1, specimen: Buffer.from('x') }], false],
    ] as const)
      t.is((await server.readTestWrite(index, mine, new Map([[0, write({}, { tests })]]), [])).done, done)
  })

  spec('a wrong write enabler is EACCES, and writes nothing', async (t, server) => {
    const index = anIndex()
    const mine = secrets()
    await server.readTestWrite(index, mine, new Map([[0, write({ 0: 'mine' })]]), [])
    const theirs = { ...mine, writeEnabler: randomBytes(32) }
    for (const share of [0, 1])
      await t.throwsAsync(
        server.readTestWrite(index, theirs, new Map([[share, write({ 0: 'theirs' })]]), []),
        {
          code: 'EACCES',
        },
      )
    t.deepEqual(await server.list('mutable', index), new Set([0]))
    t.is(await text(server, index, 0), 'mine')
  })

  spec('a write past the end leaves zeros, a new length cuts, and zero removes', async (t, server) => {
    const index = anIndex()
    const mine = secrets()
    const change = async (it: TestWrite) =>
      t.true((await server.readTestWrite(index, mine, new Map([[4, it]]), [])).done)
    await change(write({ 0: 'abcdef', 8: 'i' }))
    t.is(await text(server, index, 4), 'abcdef\0\0i')
    await change(write({ 1: 'B' }, { newLength: 3 }))
    t.is(await text(server, index, 4), 'aBc')
    await change(write({ 5: 'f' }))
    t.is(await text(server, index, 4), 'aBc\0\0f')
    await change(write({ 0: 'never seen' }, { newLength: 0 }))
    t.deepEqual(await server.list('mutable', index), new Set())
    await t.throwsAsync(server.read('mutable', index, 4, 0, 1), { code: 'ENOENT' })
  })

  spec('writes of one change come one after the other', async (t, server) => {
    const index = anIndex()
    const mine = secrets()
    const writes = ['aaaa', 'bb'].map(data => ({ offset: 0, data: Buffer.from(data) }))
    await server.readTestWrite(index, mine, new Map([[0, { tests: [], writes, newLength: null }]]), [])
    t.is(await text(server, index, 0), 'bbaa')
  })

  spec('of two who expect the same, one is done', async (t, server) => {
    const index = anIndex()
    const mine = secrets()
    const change = (data: string) => new Map([[0, write({ 0: data }, { tests: expects('') })]])
    const both = await Promise.all(
      ['one', 'two'].map(data => server.readTestWrite(index, mine, change(data), [])),
    )
    t.deepEqual(both.map(({ done }) => done).sort(), [false, true])
    t.is(await text(server, index, 0), both[0]!.done ? 'one' : 'two')
  })

  spec('a lease may be added to whatever there is', async (t, server) => {
    const [immutable, mutable] = [anIndex(), anIndex()]
    await store(server, immutable, 0, Buffer.from('kept'))
    await server.readTestWrite(mutable, secrets(), new Map([[0, write({ 0: 'kept' })]]), [])
    for (let i = 0; i < 6; i++)
      for (const index of [immutable, mutable]) t.true(await server.addLease(index, leases()))
    t.is((await server.read('immutable', immutable, 0, 0, 10)).toString(), 'kept')
    t.is(await text(server, mutable, 0), 'kept')
  })

  spec('a report of damage needs a share', async (t, server) => {
    const index = anIndex()
    await store(server, index, 0, Buffer.from('damaged'))
    await server.adviseCorrupt('immutable', index, 0, 'a hash does not match')
    await t.throwsAsync(server.adviseCorrupt('immutable', index, 1, 'nothing'), { code: 'ENOENT' })
  })

  spec('one who gave up before gets EAGAIN', async (t, server) => {
    const signal = AbortSignal.abort()
    await t.throwsAsync(server.list('mutable', anIndex(), { signal }), { code: 'EAGAIN' })
    await t.throwsAsync(server.read('mutable', anIndex(), 0, 0, 1, { signal }), { code: 'EAGAIN' })
  })
}
