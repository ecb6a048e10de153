// Crashes of a folder of shares: the machine dies at each call of its disk in turn, and the next
// process finds the old or the new, whole, and what was acknowledged.

import { randomBytes } from 'node:crypto'
import test, { type ExecutionContext } from 'ava'
import { LocalServer } from '../../src/tahoe/storage/local.ts'
import type { PreparedWrite, TestWrite } from '../../src/tahoe/storage/server.ts'
import { ForgetfulDisk, type Loss } from '../support/forgetful-disk.ts'
import { anIndex, leases, secrets, store, write } from './storage-conformance.ts'

const losses: readonly Loss[] = ['all', 'none', ...Array.from({ length: 3 }, (_, some) => ({ some }))]

const noReserve = { share: 0, most: 0 }

const open = (disk: ForgetfulDisk, dir = '/node'): Promise<LocalServer> =>
  LocalServer.open({ dir, disk, reserve: noReserve })

type Crash = {
  /** Where the servers are. */
  dirs?: readonly string[]
  /** What is there before, and acknowledged. */
  before(servers: readonly LocalServer[]): Promise<void>
  /** What is cut short at each of its steps. `acknowledged` is called once something must not be lost. */
  act(servers: readonly LocalServer[], acknowledged: () => void): Promise<void>
  /** What the next process finds; it may also decide on what was left. Gives what it found, to be compared. */
  after(t: ExecutionContext, servers: readonly LocalServer[], acknowledged: boolean): Promise<string>
  /** All that may be found. */
  found: readonly string[]
}

/** Dies at every step, and at every step of the process that comes after that. */
async function crashes(t: ExecutionContext, crash: Crash): Promise<void> {
  const { dirs = ['/node'] } = crash
  const found = new Set<string>()
  for (const loss of losses) {
    for (let step = 0, through = false; !through; step++) {
      const disk = new ForgetfulDisk()
      let servers = await Promise.all(dirs.map(dir => open(disk, dir)))
      await crash.before(servers)
      let acknowledged = false
      disk.last = disk.steps.length + step
      const ended = await crash.act(servers, () => (acknowledged = !disk.isDead)).catch((err: unknown) => err)
      through = !disk.isDead
      if (through) t.is(ended, undefined)
      for (let again = 0; ; again++) {
        disk.isDead = true
        for (const server of servers) await server.close()
        disk.revive(loss)
        servers = await Promise.all(dirs.map(dir => open(disk, dir)))
        const now = await crash.after(t, servers, acknowledged)
        t.true(
          crash.found.includes(now),
          `found ${now} after ${step} steps, having lost ${JSON.stringify(loss)}`,
        )
        if (acknowledged) t.is(now, crash.found.at(-1)!, `lost after ${step} steps`)
        found.add(now)
        if (again === 1) break // what was found once is found again
      }
      if (step > 200) throw new Error('it never ends')
    }
  }
  t.deepEqual([...found].sort(), [...crash.found].sort())
}

/** All mutable shares of an index, as text. */
async function shares(server: LocalServer, index: string): Promise<string> {
  const all: string[] = []
  for (const share of await server.list('mutable', index)) {
    const bytes = await server.read('mutable', index, share, 0, 4 << 20)
    all.push(`${share}:${bytes.length > 100 ? `${bytes.subarray(0, 3)}+${bytes.length}` : bytes}`)
  }
  return all.join(' ')
}

test('closing an immutable share', async t => {
  const index = anIndex()
  const bytes = randomBytes(5000)
  await crashes(t, {
    async before() {},
    async act([server], acknowledged) {
      const { writers } = await server!.allocate(index, [3], bytes.length, leases())
      await writers.get(3)!.write(0, [bytes.subarray(0, 2000)])
      await writers.get(3)!.write(2000, [bytes.subarray(2000)])
      await writers.get(3)!.close()
      acknowledged()
    },
    async after(t, [server]) {
      const there = await server!.list('immutable', index)
      if (there.size === 0) return 'nothing'
      t.deepEqual(await server!.read('immutable', index, 3, 0, 6000), bytes)
      return 'the share'
    },
    found: ['nothing', 'the share'],
  })
})

test('closing the second share of a slot keeps the first', async t => {
  const index = anIndex()
  await crashes(t, {
    before: ([server]) => store(server!, index, 0, Buffer.from('first')),
    async act([server], acknowledged) {
      await store(server!, index, 1, Buffer.from('second'))
      acknowledged()
    },
    after: async (_, [server]) => [...(await server!.list('immutable', index))].join(),
    found: ['0', '0,1'],
  })
})

const mine = secrets()

/** Writes to the slot of an index. */
const changing = (index: string, changes: Record<number, TestWrite>) => (server: LocalServer) =>
  server.readTestWrite(
    index,
    mine,
    new Map(Object.entries(changes).map(([share, change]) => [Number(share), change])),
    [],
  )

async function slotCrashes(
  t: ExecutionContext,
  before: Record<number, TestWrite>,
  change: Record<number, TestWrite>,
  found: readonly string[],
): Promise<void> {
  const index = anIndex()
  await crashes(t, {
    async before([server]) {
      await changing(index, before)(server!)
    },
    async act([server], acknowledged) {
      await changing(index, change)(server!)
      acknowledged()
    },
    after: (_, [server]) => shares(server!, index),
    found,
  })
}

test('the first write to a mutable slot', async t => {
  await slotCrashes(t, {}, { 0: write({ 0: 'new' }) }, ['', '0:new'])
})

test('a write to one mutable share', async t => {
  await slotCrashes(t, { 0: write({ 0: 'old one' }) }, { 0: write({ 4: 'two', 9: '!' }) }, [
    '0:old one',
    '0:old two\0\0!',
  ])
})

test('a write to a large mutable share', async t => {
  const large = Buffer.alloc(1_200_000, 'L')
  await slotCrashes(t, { 0: write({ 0: large }) }, { 0: write({ 0: 'new', 1300000: 'end' }) }, [
    '0:LLL+1200000',
    '0:new+1300003',
  ])
})

test('the removal of the last mutable share of a slot', async t => {
  await slotCrashes(t, { 0: write({ 0: 'old' }) }, { 0: write({}, { newLength: 0 }) }, ['0:old', ''])
})

test('several shares of a slot are changed, made and removed, all or none', async t => {
  await slotCrashes(
    t,
    { 0: write({ 0: 'old' }), 1: write({ 0: 'old' }), 2: write({ 0: 'old' }), 9: write({ 0: 'stays' }) },
    {
      0: write({ 0: 'new' }),
      1: write({}, { newLength: 0 }),
      2: write({ 0: 'new' }),
      3: write({ 0: 'new' }),
    },
    ['0:old 1:old 2:old 9:stays', '9:stays 0:new 2:new 3:new'].map(text => text.split(' ').sort().join(' ')),
  )
})

for (const way of ['together', 'prepared'])
  test(`what was written ${way} is not written again over what came later`, async t => {
    const index = anIndex()
    await crashes(t, {
      async before([server]) {
        await changing(index, { 0: write({ 0: 'a' }), 1: write({ 0: 'a' }) })(server!)
        const together = { 0: write({ 0: 'b' }), 1: write({}, { newLength: 0 }) }
        if (way === 'together') await changing(index, together)(server!)
        else await (await server!.prepare(index, mine, new Map([[0, together[0]]]), [])).prepared!.commit()
        if (way === 'prepared') await server!.remove(index, 1)
      },
      async act([server], acknowledged) {
        await changing(index, { 0: write({ 0: 'c' }) })(server!)
        await changing(index, { 1: write({ 0: 'c' }) })(server!)
        acknowledged()
      },
      async after(t, [server]) {
        t.deepEqual(await server!.left(), [])
        return await shares(server!, index)
      },
      found: ['0:b', '0:c', '0:c 1:c'],
    })
  })

test('all shares of a slot are removed, or none', async t => {
  const gone = write({}, { newLength: 0 })
  await slotCrashes(t, { 0: write({ 0: 'old' }), 1: write({ 0: 'old' }) }, { 0: gone, 1: gone }, [
    '0:old 1:old',
    '',
  ])
})

test('removing a share', async t => {
  const index = anIndex()
  await crashes(t, {
    before: ([server]) => store(server!, index, 0, Buffer.from('old')),
    async act([server], acknowledged) {
      t.true(await server!.remove(index, 0))
      acknowledged()
    },
    after: async (_, [server]) => [...(await server!.list('immutable', index))].join(),
    found: ['0', ''],
  })
})

test('adding leases leaves the data as it is', async t => {
  const [immutable, mutable] = [anIndex(), anIndex()]
  await crashes(t, {
    async before([server]) {
      await store(server!, immutable, 0, Buffer.alloc(2000, 'kept'))
      await changing(mutable, { 0: write({ 0: 'kept' }) })(server!)
    },
    async act([server], acknowledged) {
      for (let i = 0; i < 2; i++) {
        await server!.addLease(immutable, leases())
        await server!.addLease(mutable, leases())
      }
      acknowledged()
    },
    async after(_, [server]) {
      await server!.addLease(immutable, leases()) // over what the crash may have left
      const bytes = await server!.read('immutable', immutable, 0, 0, 3000)
      t.deepEqual(bytes, Buffer.alloc(2000, 'kept'))
      return await shares(server!, mutable)
    },
    found: ['0:kept'],
  })
})

/** As a grid does it that needs three of four shares: forward where enough of the new is there. */
async function decide(servers: readonly LocalServer[], index: string): Promise<void> {
  const writes = new Set<PreparedWrite>()
  let fresh = 0
  for (const server of servers) {
    fresh += (await shares(server, index)).split('new').length - 1
    for (const { share, read, write } of await server.left()) {
      if ((await read(0, 100))?.toString() === 'new') fresh += 1
      if (share >= 0) writes.add(write)
    }
  }
  for (const write of writes) await (fresh >= 3 ? write.commit() : write.abort())
}

test('one version over two folders is prepared on both, then committed', async t => {
  const index = anIndex()
  const old = { 0: write({ 0: 'old' }), 1: write({ 0: 'old' }) }
  const changes = new Map([0, 1].map(share => [share, write({ 0: 'new' })]))
  await crashes(t, {
    dirs: ['/one', '/two'],
    async before(servers) {
      for (const server of servers) await changing(index, old)(server)
    },
    async act(servers, acknowledged) {
      const prepared = await Promise.all(servers.map(server => server.prepare(index, mine, changes, [])))
      for (const server of servers) t.is(await shares(server, index), '0:old 1:old')
      acknowledged() // the choice is made, and holds
      for (const each of prepared) await each.prepared!.commit()
    },
    async after(t, servers) {
      await decide(servers, index)
      const [one, two] = await Promise.all(servers.map(server => shares(server, index)))
      t.is(one, two)
      for (const server of servers) t.deepEqual(await server.left(), [])
      return one!
    },
    found: ['0:old 1:old', '0:new 1:new'],
  })
})

test('what was prepared and is aborted leaves the old, whenever that ends', async t => {
  const index = anIndex()
  const changes = new Map([
    [0, write({}, { newLength: 0 })],
    [1, write({ 0: 'new' })],
  ])
  await crashes(t, {
    async before([server]) {
      await changing(index, { 0: write({ 0: 'old' }) })(server!)
    },
    async act([server]) {
      const { prepared } = await server!.prepare(index, mine, changes, [])
      await prepared!.abort()
    },
    async after(_, [server]) {
      await decide([server!], index)
      return await shares(server!, index)
    },
    found: ['0:old'],
  })
})

test('a process that dies while it ends what was decided leaves that to the next', async t => {
  const index = anIndex()
  const changes = { 0: write({ 0: 'new' }), 1: write({}, { newLength: 0 }), 2: write({ 0: 'new' }) }
  for (const loss of losses)
    for (let first = 0, through = false; !through; first++)
      for (let second = 0, opened = false; !opened; second++) {
        const disk = new ForgetfulDisk()
        const server = await open(disk)
        await changing(index, { 0: write({ 0: 'old' }), 1: write({ 0: 'old' }), 2: write({ 0: 'old' }) })(
          server,
        )
        disk.last = disk.steps.length + first
        await changing(index, changes)(server).catch(() => {})
        through = !disk.isDead
        disk.isDead = true
        await server.close()
        disk.revive(loss)
        disk.last = second
        const next = await open(disk).catch(() => null)
        opened = !disk.isDead
        disk.isDead = true
        await next?.close()
        disk.revive(loss)
        const last = await open(disk)
        const found = await shares(last, index)
        t.true(
          ['0:old 1:old 2:old', '0:new 2:new'].includes(found),
          `${found} after ${first} and ${second} steps`,
        )
        await last.close()
      }
})

test('the folder itself is made, and keeps the id that it was given', async t => {
  for (const loss of losses)
    for (let step = 0, through = false; !through; step++) {
      const disk = new ForgetfulDisk()
      disk.last = step
      const server = await open(disk).catch(() => null)
      through = !disk.isDead
      disk.isDead = true
      await server?.close()
      disk.revive(loss)
      const next = await open(disk)
      if (server) t.deepEqual(next.id, server.id)
      await store(next, anIndex(), 0, Buffer.from('works'))
      await next.close()
    }
})
