// Writes to a folder of share files: several at once, without room, and on a disk that fails.

import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import test from 'ava'
import { disk } from '../../src/tahoe/storage/disk.ts'
import { LocalServer } from '../../src/tahoe/storage/local.ts'
import { folder } from '../support/places.ts'
import { but, fails, files, opened } from '../support/storage-folder.ts'
import { anIndex, everything, leases, secrets, store, write } from './storage-conformance.ts'

test('a share that is not whole is not closed', async t => {
  const { server, dir } = await opened(t)
  const index = anIndex()
  const { writers } = await server.allocate(index, [0, 1, 2, 3], 10, leases())
  await writers.get(0)!.write(0, [Buffer.from('01234')])
  await writers.get(0)!.write(6, [Buffer.from('6789')])
  await t.throwsAsync(writers.get(0)!.close(), { code: 'EINVAL', message: /9 of its 10 bytes/ })
  await t.throwsAsync(writers.get(1)!.write(5, [Buffer.from('567890')]), { code: 'EINVAL' })
  await t.throwsAsync(writers.get(1)!.write(-1, [Buffer.from('x')]), { code: 'EINVAL' })
  await writers.get(2)!.write(6, [Buffer.from('6789')])
  await writers.get(2)!.write(0, [Buffer.from('012')])
  await writers.get(2)!.write(2, [Buffer.from('23'), Buffer.from('45')])
  await writers.get(2)!.close()
  await writers.get(2)!.close()
  t.is((await server.read('immutable', index, 2, 0, 10)).toString(), '0123456789')
  await writers.get(3)!.abort()
  await t.throwsAsync(writers.get(3)!.write(0, [Buffer.from('x')]), { code: 'EINVAL' })
  await t.throwsAsync(writers.get(3)!.close(), { code: 'EINVAL' })
  await server.close()
  t.is(files(dir).length, 3)
})

test('an empty share has its header and its lease', async t => {
  const { server, path } = await opened(t)
  const index = anIndex()
  const { writers } = await server.allocate(index, [0], 0, leases())
  await writers.get(0)!.close()
  t.is(statSync(path(index, 0)).size, 84)
  t.is((await server.read('immutable', index, 0, 0, 10)).length, 0)
})

test('of two who store the same share at once both succeed', async t => {
  const { server, dir } = await opened(t)
  const index = anIndex()
  await Promise.all([1, 2, 3].map(() => store(server, index, 0, Buffer.from('the same'))))
  t.is((await server.read('immutable', index, 0, 0, 10)).toString(), 'the same')
  t.is(files(dir).length, 3)
})

test('shares come and go in one slot at once', async t => {
  const { server } = await opened(t)
  const index = anIndex()
  for (let i = 0; i < 20; i++)
    await Promise.all([
      store(server, index, 0, Buffer.from('zero')).then(() => server.remove(index, 0)),
      store(server, index, 1, Buffer.from('one')).then(() => server.remove(index, 1)),
      store(server, index, 2, Buffer.from('two')).then(() => server.remove(index, 2)),
    ])
  t.deepEqual(await server.list('immutable', index), new Set())
})

test('who reads a mutable share while it is replaced reads the one or the other', async t => {
  const { server } = await opened(t)
  const index = anIndex()
  const mine = secrets()
  const change = (i: number) =>
    server.readTestWrite(index, mine, new Map([[0, write({ 0: String(i).repeat(50_000) })]]), [])
  await change(0)
  let writing = true
  const reading = (async () => {
    while (writing) {
      const bytes = await server.read('mutable', index, 0, 0, 50_000)
      t.is(new Set(bytes).size, 1)
    }
  })()
  for (let i = 1; i < 10; i++) {
    await change(i)
    t.is((await server.read('mutable', index, 0, 0, 1)).toString(), String(i))
  }
  writing = false
  await reading
})

test('there is no room for what would not leave the reserve, nor for what was promised', async t => {
  const MIB = 1 << 20
  const space = async () => ({ total: 1000 * MIB, free: 30 * MIB })
  const { server } = await opened(t, { disk: but({ space }) })
  t.is((await server.version()).free, 10 * MIB)
  const index = anIndex()
  const { writers } = await server.allocate(index, [0, 1, 2, 3], 4 * MIB, leases())
  t.deepEqual([...writers.keys()], [0, 1])
  await t.throwsAsync(server.allocate(index, [2], 4 * MIB, leases()), { code: 'ENOSPC' })
  await writers.get(0)!.abort()
  t.deepEqual([...(await server.allocate(index, [2], 4 * MIB, leases())).writers.keys()], [2])
  const mine = secrets()
  const large = new Map([[0, write({ 0: Buffer.alloc(17 * MIB) })]])
  await t.throwsAsync(server.readTestWrite(anIndex(), mine, large, []), { code: 'ENOSPC' })
  t.true((await server.readTestWrite(anIndex(), mine, new Map([[0, write({ 0: 'small' })]]), [])).done)
})

for (const code of ['ENOSPC', 'EDQUOT'])
  test(`${code} of the disk while writing is ENOSPC, and leaves nothing behind`, async t => {
    let full = false
    const { server, dir } = await opened(t, {
      disk: but({}, path => full && path.includes('incoming') && fails(code)),
    })
    const [index, slot] = [anIndex(), anIndex()]
    const mine = secrets()
    await server.readTestWrite(slot, mine, new Map([[0, write({ 0: 'old' })]]), [])
    const { writers } = await server.allocate(index, [0], 10, leases())
    await writers.get(0)!.write(0, [Buffer.from('01234')])
    full = true
    await t.throwsAsync(writers.get(0)!.write(5, [Buffer.from('56789')]), { code: 'ENOSPC' })
    await t.throwsAsync(writers.get(0)!.close(), { code: 'EINVAL' })
    await t.throwsAsync(server.readTestWrite(slot, mine, new Map([[0, write({ 0: 'new' })]]), []), {
      code: 'ENOSPC',
    })
    t.is((await server.read('mutable', slot, 0, 0, 10)).toString(), 'old')
    t.is(files(dir).length, 3)
    full = false
    await store(server, index, 0, Buffer.from('fits'))
  })

test('a sync that fails acknowledges nothing', async t => {
  let broken = false
  const { server, dir } = await opened(t, { disk: but({}, undefined, () => broken && fails('EIO')) })
  const [index, slot] = [anIndex(), anIndex()]
  const mine = secrets()
  await server.readTestWrite(
    slot,
    mine,
    new Map([
      [0, write({ 0: 'old' })],
      [1, write({ 0: 'old' })],
    ]),
    [],
  )
  broken = true
  await t.throwsAsync(store(server, index, 0, Buffer.from('lost')), { code: 'EIO' })
  for (const shares of [[0], [0, 1]]) {
    const changes = new Map(shares.map(share => [share, write({ 0: 'new' })]))
    await t.throwsAsync(server.readTestWrite(slot, mine, changes, []), { code: 'EIO' })
    await t.throwsAsync(server.prepare(slot, mine, changes, []), { code: 'EIO' })
  }
  broken = false
  t.deepEqual(await server.list('immutable', index), new Set())
  const { data } = await server.readTestWrite(slot, mine, new Map(), everything)
  t.deepEqual(
    [...data.values()].map(([bytes]) => String(bytes)),
    ['old', 'old'],
  )
  t.deepEqual(
    files(dir).filter(name => /incoming|prepared/.test(name)),
    [],
  )
})

test('a share that an earlier process put there has a durable name before it counts as had', async t => {
  const index = anIndex()
  const synced: string[] = []
  const first = await opened(t)
  await store(first.server, index, 0, Buffer.from('content'))
  await first.server.close()
  const syncDir = async (dir: string) => {
    synced.push(dir)
    await disk.syncDir(dir)
  }
  const { server, path } = await opened(t, { disk: but({ syncDir }) }, first.dir)
  t.deepEqual((await server.allocate(index, [0], 7, leases())).have, new Set([0]))
  const slot = dirname(path(index, 0))
  t.true(synced.includes(slot) && synced.includes(dirname(slot)))
})

test('what could not be prepared to the end is no longer there, and keeps nobody from the slot', async t => {
  let broken = false
  const { server, dir } = await opened(t, {
    disk: but({
      syncDir: async path => {
        if (
          broken &&
          path.endsWith('prepared') &&
          files(dir).some(name => /prepared\/[a-z2-7]+\/0$/.test(name))
        ) {
          broken = false
          fails('EIO')
        }
        await disk.syncDir(path)
      },
    }),
  })
  const slot = anIndex()
  const mine = secrets()
  const change = (text: string) => new Map([[0, write({ 0: text })]])
  await server.readTestWrite(slot, mine, change('old'), [])
  broken = true
  await t.throwsAsync(server.prepare(slot, mine, change('lost'), []), { code: 'EIO' })
  t.false(broken)
  const { prepared } = await server.prepare(slot, mine, change('new'), [])
  await prepared!.commit()
  const { data } = await server.readTestWrite(slot, mine, new Map(), everything)
  t.is(String(data.get(0)), 'new')
  await server.close()
  const again = await LocalServer.open({ dir })
  t.deepEqual(await again.left(), [])
  await again.close()
})

test('a commit that failed may be asked for again, and is the choice', async t => {
  let broken = false
  const { server } = await opened(t, {
    disk: but({
      rename: (from, to) => (broken && !from.includes('.part') ? fails('EIO') : disk.rename(from, to)),
    }),
  })
  const slot = anIndex()
  const mine = secrets()
  for (const shares of [[0], [0, 1]]) {
    const change = (text: string) => new Map(shares.map(share => [share, write({ 0: text })]))
    await server.readTestWrite(slot, mine, change('old'), [])
    const { prepared } = await server.prepare(slot, mine, change('new'), [])
    broken = true
    await t.throwsAsync(prepared!.commit(), { code: 'EIO' })
    await t.throwsAsync(prepared!.abort(), { code: 'EINVAL' })
    await t.throwsAsync(server.readTestWrite(slot, mine, change('no'), []), { code: 'EAGAIN' })
    broken = false
    const [, , next] = await Promise.all([
      prepared!.commit(),
      prepared!.commit(),
      server.readTestWrite(slot, mine, change('end'), everything),
    ])
    t.deepEqual(
      [...next.data.values()].map(([bytes]) => String(bytes)),
      shares.map(() => 'new'),
    )
    t.deepEqual(await server.left(), [])
  }
})

test('an abort that failed is made up for before the next write to the slot', async t => {
  let broken = false
  const rename = (from: string, to: string) =>
    broken && to.endsWith('.part') ? fails('EIO') : disk.rename(from, to)
  const { server } = await opened(t, { disk: but({ rename }) })
  const slot = anIndex()
  const mine = secrets()
  const change = (text: string) => new Map([[0, write({ 0: text })]])
  await server.readTestWrite(slot, mine, change('old'), [])
  const { prepared } = await server.prepare(slot, mine, change('no'), [])
  broken = true
  await t.throwsAsync(prepared!.abort(), { code: 'EIO' })
  await t.throwsAsync(server.readTestWrite(slot, mine, change('new'), []), { code: 'EIO' })
  broken = false
  const { done, data } = await server.readTestWrite(slot, mine, change('new'), everything)
  t.true(done)
  t.is(String(data.get(0)), 'old')
  t.deepEqual(await server.left(), [])
})

test('a sync that fails while more is written is not forgotten', async t => {
  let next = ''
  const { server, dir } = await opened(t, {
    disk: but({}, undefined, () => {
      const now = next
      next = ''
      if (now !== '') fails(now)
    }),
  })
  const index = anIndex()
  const MIB = 1 << 20
  const { writers } = await server.allocate(index, [0], 40 * MIB, leases())
  next = 'EIO'
  for (let i = 0; i < 5; i++) await writers.get(0)!.write(i * 8 * MIB, [Buffer.alloc(8 * MIB)])
  await t.throwsAsync(writers.get(0)!.close(), { code: 'EIO' })
  t.deepEqual(await server.list('immutable', index), new Set())
  t.is(files(dir).length, 2)
})

test('a change that was decided and could not be ended is ended before the next', async t => {
  let broken = false
  const { server } = await opened(t, {
    disk: but({ rename: (from, to) => (broken && to.endsWith('/1') ? fails('EIO') : disk.rename(from, to)) }),
  })
  const slot = anIndex()
  const mine = secrets()
  const both = (text: string) => new Map([0, 1].map(share => [share, write({ 0: text })]))
  await server.readTestWrite(slot, mine, both('old'), [])
  broken = true
  await t.throwsAsync(server.readTestWrite(slot, mine, both('new'), []), { code: 'EIO' })
  await t.throwsAsync(server.readTestWrite(slot, mine, both('newer'), []), { code: 'EIO' })
  broken = false
  const { data } = await server.readTestWrite(slot, mine, new Map(), everything)
  t.deepEqual(
    [...data.values()].map(([bytes]) => String(bytes)),
    ['new', 'new'],
  )
})

test('what is prepared keeps others from the slot until it is decided', async t => {
  const { server, dir } = await opened(t)
  const slot = anIndex()
  const mine = secrets()
  const change = (text: string) => new Map([[0, write({ 0: text })]])
  await server.readTestWrite(slot, mine, change('old'), [])
  const { done, data, prepared } = await server.prepare(slot, mine, change('new'), everything)
  t.true(done)
  t.is(String(data.get(0)![0]), 'old')
  t.is((await server.read('mutable', slot, 0, 0, 10)).toString(), 'old')
  const stop = new AbortController()
  const impatient = server.readTestWrite(slot, mine, change('no'), [], { signal: stop.signal })
  const patient = server.readTestWrite(slot, mine, change('last'), everything)
  stop.abort()
  await t.throwsAsync(impatient, { code: 'EAGAIN' })
  await prepared!.commit()
  await prepared!.commit()
  await prepared!.abort()
  t.is(String((await patient).data.get(0)![0]), 'new')
  t.is((await server.read('mutable', slot, 0, 0, 10)).toString(), 'last')

  const refused = await server.prepare(
    slot,
    mine,
    new Map([[0, write({}, { tests: [{ offset: 0, size: 1, specimen: Buffer.from('x') }] })]]),
    [],
  )
  t.deepEqual([refused.done, refused.prepared], [false, null])
  const taken = await server.prepare(slot, mine, change('back'), [])
  await taken.prepared!.abort()
  await taken.prepared!.abort()
  await t.throwsAsync(taken.prepared!.commit(), { code: 'EINVAL' })
  const nothing = await server.prepare(slot, mine, new Map(), [])
  await nothing.prepared!.commit()
  t.is((await server.read('mutable', slot, 0, 0, 10)).toString(), 'last')
  t.deepEqual(
    files(dir).filter(name => /prepared/.test(name)),
    [],
  )
})

test('what was prepared before a restart waits, and keeps others from the slot', async t => {
  const dir = await folder(t)
  const first = await LocalServer.open({ dir })
  const slot = anIndex()
  const mine = secrets()
  const change = (text: string) => new Map([0, 1].map(share => [share, write({ 0: text })]))
  await first.readTestWrite(slot, mine, change('old'), [])
  await first.prepare(slot, mine, new Map([...change('new'), [1, write({}, { newLength: 0 })]]), [])
  await first.close()
  const { server } = await opened(t, {}, dir)
  await t.throwsAsync(server.readTestWrite(slot, mine, change('no'), []), { code: 'EAGAIN' })
  const left = await server.left()
  t.deepEqual(
    left.map(({ index, share }) => [index, share]),
    [
      [slot, 0],
      [slot, 1],
    ],
  )
  t.is(String(await left[0]!.read(0, 100)), 'new')
  t.is(await left[1]!.read(0, 100), null)
  t.is(left[0]!.write, left[1]!.write)
  t.is((await server.read('mutable', slot, 1, 0, 10)).toString(), 'old')
  await left[0]!.write.commit()
  await left[1]!.write.commit()
  t.deepEqual(await server.left(), [])
  t.deepEqual(await server.list('mutable', slot), new Set([0]))
  t.is((await server.read('mutable', slot, 0, 0, 10)).toString(), 'new')
  t.true((await server.readTestWrite(slot, mine, change('newer'), [])).done)
})
