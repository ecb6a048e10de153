// Random changes to mutable shares and immutable ones, compared with plain buffers, with restarts in between.

import test from 'ava'
import fc from 'fast-check'
import { encode } from '../../src/tahoe/format/base32.ts'
import { LocalServer } from '../../src/tahoe/storage/local.ts'
import { Ranges } from '../../src/tahoe/storage/ranges.ts'
import type { StorageServer, TestWrite } from '../../src/tahoe/storage/server.ts'
import { ForgetfulDisk } from '../support/forgetful-disk.ts'
import { leases, secrets } from './storage-conformance.ts'

/** What a share becomes, or null where it goes. */
function changed(old: Buffer, { writes, newLength }: TestWrite): Buffer | null {
  let bytes = old
  for (const { offset, data } of writes) {
    if (data.length === 0) continue
    const grown = Buffer.alloc(Math.max(bytes.length, offset + data.length))
    bytes.copy(grown)
    grown.set(data, offset)
    bytes = grown
  }
  if (newLength === 0) return null
  return newLength === null ? bytes : bytes.subarray(0, newLength)
}

const MIB = 1 << 20
/** Around the end of a small share, and around where one is no longer put together in memory. */
const place = fc.oneof(fc.nat(40), fc.integer({ min: MIB - 900, max: MIB + 100 }))

const change = fc.record({
  tests: fc.constant([]),
  writes: fc.array(
    fc.record({ offset: place, data: fc.uint8Array({ maxLength: 30 }).map(each => Buffer.from(each)) }),
    {
      maxLength: 3,
    },
  ),
  newLength: fc.option(place),
}) satisfies fc.Arbitrary<TestWrite>

const step = fc.oneof(
  { weight: 6, arbitrary: fc.dictionary(fc.constantFrom('0', '1', '2'), change, { minKeys: 1 }) },
  { weight: 1, arbitrary: fc.constantFrom('restart', 'lease', 'power' as const) },
)

test('whatever is written to a slot, its shares are what plain buffers would be', async t => {
  const index = encode(Buffer.alloc(16, 1))
  const mine = secrets()
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.boolean(), async (steps, prepares) => {
      const disk = new ForgetfulDisk()
      let server = await LocalServer.open({ dir: '/node', disk })
      const model = new Map<number, Buffer>()
      for (const each of steps) {
        if (each === 'lease') await server.addLease(index, leases())
        else if (typeof each === 'string') {
          await server.close()
          if (each === 'power') disk.revive('all')
          server = await LocalServer.open({ dir: '/node', disk })
        } else {
          const changes = new Map(Object.entries(each).map(([share, to]) => [Number(share), to]))
          if (prepares) await (await server.prepare(index, mine, changes, [])).prepared!.commit()
          else await server.readTestWrite(index, mine, changes, [])
          for (const [share, to] of changes) {
            const bytes = changed(model.get(share) ?? Buffer.alloc(0), to)
            if (bytes) model.set(share, bytes)
            else model.delete(share)
          }
        }
        await same(server, index, model)
      }
      await server.close()
    }),
    { numRuns: 60 },
  )
  t.pass()
})

async function same(server: StorageServer, index: string, model: ReadonlyMap<number, Buffer>): Promise<void> {
  const there = await server.list('mutable', index)
  if ([...there].join() !== [...model.keys()].sort().join())
    throw new Error(`there are the shares ${[...there]}`)
  for (const [share, bytes] of model)
    if (!(await server.read('mutable', index, share, 0, 4 * MIB)).equals(bytes))
      throw new Error(`share ${share} differs`)
}

test('an immutable share may be written in any order, and is what was written', async t => {
  const index = encode(Buffer.alloc(16, 2))
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 199 }), { maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(
      cuts,
      fc.infiniteStream(fc.nat()),
      fc.uint8Array({ minLength: 200, maxLength: 200 }),
      async (at, order, bytes) => {
        const server = await LocalServer.open({ dir: '/node', disk: new ForgetfulDisk() })
        const edges = [0, ...at.sort((a, b) => a - b), 200]
        const pieces = edges.slice(1).map((end, i) => ({ start: edges[i]!, end, rank: order.next().value }))
        const writer = (await server.allocate(index, [0], 200, leases())).writers.get(0)!
        for (const { start, end } of pieces.sort((a, b) => a.rank - b.rank))
          await writer.write(start, [bytes.subarray(start, end)])
        await writer.close()
        const found = await server.read('immutable', index, 0, 0, 300)
        await server.close()
        return found.equals(bytes)
      },
    ),
    { numRuns: 60 },
  )
  t.pass()
})

test('ranges know every byte that was added', t => {
  const range = fc.tuple(fc.nat(40), fc.nat(40))
  fc.assert(
    fc.property(fc.array(range, { maxLength: 12 }), range, (added, [from, to]) => {
      const ranges = new Ranges()
      const bytes = new Set<number>()
      for (const [start, end] of added) {
        ranges.add(start, end)
        for (let i = start; i < end; i++) bytes.add(i)
      }
      let all = true
      for (let i = from; i < to; i++) all &&= bytes.has(i)
      return ranges.bytes === bytes.size && ranges.has(from, to) === all
    }),
  )
  t.pass()
})
