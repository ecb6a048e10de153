// A folder of share files on a real disk.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cpSync, existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { decode, encode } from '../../src/tahoe/format/base32.ts'
import { disk, type ShareDisk } from '../../src/tahoe/storage/disk.ts'
import { parseImmutableLeases } from '../../src/tahoe/storage/immutable-container.ts'
import { LEASE_SECONDS } from '../../src/tahoe/storage/lease.ts'
import { LocalServer, type LocalServerOptions } from '../../src/tahoe/storage/local.ts'
import { MUTABLE_HEADER, parseMutableHeader } from '../../src/tahoe/storage/mutable-container.ts'
import { folder } from '../support/places.ts'
import { anIndex, conforms, everything, leases, secrets, store, write } from './storage-conformance.ts'

conforms('a folder', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tahoe-nfs-test-'))
  const server = await LocalServer.open({ dir })
  return {
    server,
    async close() {
      await server.close()
      await rm(dir, { recursive: true })
    },
  }
})

type World = { dir: string; server: LocalServer; path(index: string, share: number): string }

async function opened(
  t: ExecutionContext,
  more: Partial<LocalServerOptions> = {},
  inside?: string,
): Promise<World> {
  const dir = inside ?? (await folder(t))
  const server = await LocalServer.open({ dir, ...more })
  t.teardown(() => server.close())
  const path = (index: string, share: number) =>
    join(dir, 'storage', 'shares', index.slice(0, 2), index, String(share))
  return { dir, server, path }
}

/** The names of all files below a folder. */
const files = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter(each => each.isFile())
    .map(each => join(each.parentPath, each.name).slice(dir.length + 1))
    .sort()

test('a folder is laid out as a node has it, for its owner alone', async t => {
  const inside = join(await folder(t), 'deep', 'node')
  const { server, path } = await opened(t, {}, inside)
  const index = anIndex()
  const { writers } = await server.allocate(index, [0, 1], 4, leases())
  await writers.get(0)!.write(0, [Buffer.from('half')])
  t.true(existsSync(join(inside, 'storage/shares/incoming', index.slice(0, 2), index, '0')))
  await writers.get(0)!.close()
  await writers.get(1)!.write(0, [Buffer.from('ha')])
  await writers.get(1)!.abort()
  t.deepEqual(files(inside), [
    'my_nodeid',
    `storage/shares/${index.slice(0, 2)}/${index}/0`,
    'storage/tahoe-nfs.lock',
  ])
  for (const name of files(inside)) t.is(statSync(join(inside, name)).mode & 0o777, 0o600, name)
  for (const name of ['', 'storage', 'storage/shares', `storage/shares/${index.slice(0, 2)}/${index}`])
    t.is(statSync(join(inside, name)).mode & 0o777, 0o700, name)
  t.is(statSync(path(index, 0)).size, 12 + 4 + 72)
})

test('the id is made once, and kept', async t => {
  const dir = await folder(t)
  const first = await LocalServer.open({ dir })
  await first.close()
  t.deepEqual(decode(readFileSync(join(dir, 'my_nodeid'), 'latin1').trim()), first.id)
  const { server } = await opened(t, {}, dir)
  t.deepEqual(server.id, first.id)
  await server.close()
  await t.throwsAsync(LocalServer.open({ dir, id: randomBytes(20) }), { code: 'EINVAL' })
  writeFileSync(join(dir, 'my_nodeid'), 'nonsense\n')
  await t.throwsAsync(LocalServer.open({ dir }), { code: 'EIO', message: /my_nodeid is damaged/ })
  t.is(readFileSync(join(dir, 'my_nodeid'), 'latin1'), 'nonsense\n')
})

const golden = join(import.meta.dirname, '../fixtures/tahoe-golden')

test('the shares of a real node are all found, read, and changed by whoever has the write enabler', async t => {
  const dir = await folder(t)
  await mkdir(join(dir, 'storage'))
  cpSync(join(golden, 'shares'), join(dir, 'storage/shares'), { recursive: true })
  const { server, path } = await opened(t, { id: decode('pz5vwfdrtxa5cmh3i3k2rtnd25knf4ju')! }, dir)
  let found = 0
  for await (const { index, shares } of server.slots())
    for (const [share, { kind, bytes }] of shares) {
      const file = readFileSync(path(index, share))
      t.is(bytes, file.length)
      const at = kind === 'mutable' ? 468 : 12
      const data = await server.read(kind as 'mutable', index, share, 0, 1 << 20)
      t.deepEqual(data, file.subarray(at, at + data.length))
      t.is(file.length, at + data.length + (kind === 'mutable' ? 4 : 72))
      found += 1
    }
  t.is(found, 75)

  const index = 'sek2ns2cvc3zcfxuk2cru3ppa4'
  const { writeEnabler, places } = headerOf(path(index, 3))
  const changes = new Map([[3, write({ 1: 'changed' })]])
  await t.throwsAsync(server.readTestWrite(index, secrets(), changes, []), { code: 'EACCES' })
  const before = readFileSync(path(index, 3))
  t.true((await server.readTestWrite(index, { ...leases(), writeEnabler }, changes, [])).done)
  const after = readFileSync(path(index, 3))
  t.is(after.length, before.length)
  t.is(
    after.subarray(468, 477).toString('latin1'),
    `${before.toString('latin1', 468, 469)}changed${before.toString('latin1', 476, 477)}`,
  )
  t.deepEqual(headerOf(path(index, 3)).places[0], places[0])
})

const headerOf = (path: string) => {
  const bytes = readFileSync(path)
  return parseMutableHeader(bytes.subarray(0, MUTABLE_HEADER), bytes.length, path)
}

test('leases last 31 days, are renewed by their secret, and added by another', async t => {
  let now = 1_800_000_000_000
  const { server, path } = await opened(t, { now: () => now })
  const index = anIndex()
  const mine = leases()
  const end = () => Math.floor(now / 1000) + LEASE_SECONDS
  const store = async () => {
    const { writers } = await server.allocate(index, [0], 3, mine)
    await writers.get(0)?.write(0, [Buffer.from('abc')])
    await writers.get(0)?.close()
  }
  const ends = () => parseImmutableLeases(readFileSync(path(index, 0)).subarray(15)).map(each => each.expires)
  await store()
  t.deepEqual(ends(), [end()])
  now += 3_600_000
  t.true(await server.addLease(index, mine))
  t.deepEqual(ends(), [end() - 3600], 'an hour more is not worth a write')
  now += 10 * 86_400_000
  await store()
  t.deepEqual(ends(), [end()], 'one who stores it again renews it')
  await server.addLease(index, leases())
  t.deepEqual(ends(), [end(), end()])
  t.is((await server.read('immutable', index, 0, 0, 10)).toString(), 'abc')

  const slot = anIndex()
  const change = { ...secrets(), ...mine }
  await server.readTestWrite(slot, change, new Map([[0, write({ 0: 'abc' })]]), [])
  const others = Array.from({ length: 5 }, leases)
  for (const each of others) await server.addLease(slot, each)
  now += 5 * 86_400_000
  await server.addLease(slot, mine)
  await server.addLease(slot, others[4]!)
  await server.readTestWrite(slot, { ...change, ...others[1]! }, new Map([[0, write({ 3: 'd' })]]), [])
  const bytes = readFileSync(path(slot, 0))
  t.is(bytes.length, 468 + 4 + 4 + 2 * 92)
  const five = 5 * 86_400
  t.deepEqual(
    headerOf(path(slot, 0)).places.map(each => end() - each!.expires),
    [0, five, 0, five],
  )
  t.deepEqual(
    [476, 476 + 92].map(at => end() - bytes.readUInt32BE(at + 4)),
    [five, 0],
  )
  t.is((await server.read('mutable', slot, 0, 0, 10)).toString(), 'abcd')
})

test('names and numbers that are none are EINVAL before they are a path', async t => {
  const { server, dir } = await opened(t)
  const index = anIndex()
  const many = { ...secrets(), renew: Buffer.alloc(31) }
  for (const bad of [
    '',
    '../../../../../etc/passwd0',
    'a'.repeat(25),
    'A'.repeat(26),
    `${'a'.repeat(25)}b`,
    7 as never,
  ]) {
    await t.throwsAsync(server.list('mutable', bad), { code: 'EINVAL' })
    await t.throwsAsync(server.read('immutable', bad, 0, 0, 1), { code: 'EINVAL' })
    await t.throwsAsync(server.allocate(bad, [0], 1, leases()), { code: 'EINVAL' })
    await t.throwsAsync(server.readTestWrite(bad, secrets(), new Map(), []), { code: 'EINVAL' })
    await t.throwsAsync(server.addLease(bad, leases()), { code: 'EINVAL' })
    await t.throwsAsync(server.adviseCorrupt('mutable', bad, 0, ''), { code: 'EINVAL' })
    await t.throwsAsync(server.remove(bad, 0), { code: 'EINVAL' })
  }
  for (const share of [-1, 256, 1.5, Number.NaN, '../x' as never]) {
    await t.throwsAsync(server.read('immutable', index, share, 0, 1), { code: 'EINVAL' })
    await t.throwsAsync(server.allocate(index, [share], 1, leases()), { code: 'EINVAL' })
    await t.throwsAsync(server.readTestWrite(index, secrets(), new Map([[share, write({})]]), []), {
      code: 'EINVAL',
    })
  }
  for (const size of [-1, 1.5, Number.NaN, 2 ** 60])
    await t.throwsAsync(server.allocate(index, [0], size, leases()), { code: 'EINVAL' })
  for (const change of [
    write({}, { newLength: -1 }),
    { ...write({}), writes: [{ offset: -1, data: Buffer.from('x') }] },
  ])
    await t.throwsAsync(server.readTestWrite(index, secrets(), new Map([[0, change]]), []), {
      code: 'EINVAL',
    })
  await t.throwsAsync(server.readTestWrite(index, many, new Map(), []), { code: 'EINVAL' })
  await t.throwsAsync(server.readTestWrite(index, secrets(), new Map([[0, write({ [2 ** 52]: 'x' })]]), []), {
    code: 'EFBIG',
  })
  t.deepEqual(files(dir), ['my_nodeid', 'storage/tahoe-nfs.lock'])
})

test('what is not called by a number is no share', async t => {
  const { server, path } = await opened(t)
  const index = anIndex()
  await store(server, index, 1, Buffer.from('one'))
  for (const name of ['0.new', '01', '256', '-1', 'x', '.2']) writeFileSync(path(index, name as never), 'x')
  t.deepEqual(await server.list('immutable', index), new Set([1]))
})

test('a damaged share is EIO, and is named', async t => {
  const { server, path, dir } = await opened(t)
  const [immutable, mutable] = [anIndex(), anIndex()]
  await store(server, immutable, 0, randomBytes(100))
  const mine = secrets()
  await server.readTestWrite(mutable, mine, new Map([[0, write({ 0: 'mutable' })]]), [])
  await server.close()
  truncateSync(path(immutable, 0), 100)
  truncateSync(path(mutable, 0), 471)
  const next = await opened(t, {}, dir)
  await t.throwsAsync(next.server.read('immutable', immutable, 0, 0, 1), {
    code: 'EIO',
    message: new RegExp(immutable),
  })
  await t.throwsAsync(next.server.read('mutable', mutable, 0, 0, 1), {
    code: 'EIO',
    message: new RegExp(mutable),
  })
  await t.throwsAsync(next.server.readTestWrite(mutable, mine, new Map([[1, write({})]]), []), {
    code: 'EIO',
  })
  await t.throwsAsync(next.server.addLease(immutable, leases()), { code: 'EIO' })
  const kinds: string[] = []
  for await (const { shares } of next.server.slots()) for (const { kind } of shares.values()) kinds.push(kind)
  t.deepEqual(kinds, ['damaged', 'damaged'])
  await store(next.server, immutable, 0, Buffer.from('stored again'))
  t.is((await next.server.read('immutable', immutable, 0, 0, 100)).toString(), 'stored again')
  t.true(await next.server.remove(mutable, 0))
  t.false(await next.server.remove(mutable, 0))
  t.true((await next.server.readTestWrite(mutable, mine, new Map([[0, write({ 0: 'anew' })]]), [])).done)
})

test('a share of the other kind is not read as this one', async t => {
  const { server } = await opened(t)
  const index = anIndex()
  await store(server, index, 0, Buffer.from('immutable'))
  await t.throwsAsync(server.read('mutable', index, 0, 0, 1), { code: 'EIO', message: /is not mutable/ })
  await t.throwsAsync(server.readTestWrite(index, secrets(), new Map([[1, write({ 0: 'x' })]]), []), {
    code: 'EIO',
  })
})

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

/** This disk, with some of its calls replaced, and those of its files heard before. */
const but = (more: Partial<ShareDisk>, onWrite?: (path: string) => void, onSync?: () => void): ShareDisk => ({
  ...disk,
  async open(path, how) {
    const file = await disk.open(path, how)
    return {
      size: () => file.size(),
      read: (into, position) => file.read(into, position),
      truncate: size => file.truncate(size),
      close: () => file.close(),
      async write(parts, position) {
        onWrite?.(path)
        await file.write(parts, position)
      },
      async sync() {
        onSync?.()
        await file.sync()
      },
    }
  },
  ...more,
})

const fails = (code: string) => {
  throw Object.assign(new Error(`${code}: as the test wants it`), { code })
}

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
  const large = new Map([[0, write({ 0: Buffer.alloc(4 * MIB) })]])
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

test('a warm read is one read of the disk', async t => {
  let calls = 0
  const counting: ShareDisk = {
    ...disk,
    async open(path, how) {
      calls += 1
      const file = await disk.open(path, how)
      return {
        size() {
          calls += 1
          return file.size()
        },
        read(into, position) {
          calls += 1
          return file.read(into, position)
        },
        write: (parts, position) => file.write(parts, position),
        truncate: size => file.truncate(size),
        sync: () => file.sync(),
        close: () => file.close(),
      }
    },
  }
  const { server } = await opened(t, { disk: counting })
  const index = anIndex()
  await store(server, index, 0, randomBytes(1000))
  calls = 0
  await server.read('immutable', index, 0, 0, 100)
  t.is(calls, 4) // open, fstat, the header, the bytes
  calls = 0
  for (let i = 0; i < 10; i++) await server.read('immutable', index, 0, i * 100, i * 100 + 100)
  t.is(calls, 10)
})

test('more shares than may stay open are read all the same', async t => {
  const { server } = await opened(t)
  const all = Array.from({ length: 300 }, anIndex)
  for (const index of all) await store(server, index, 0, Buffer.from(index))
  for (let round = 0; round < 2; round++) {
    const found = await Promise.all(all.map(index => server.read('immutable', index, 0, 0, 100)))
    t.deepEqual(found.map(String), all)
  }
  if (existsSync('/proc/self/fd')) t.true(readdirSync('/proc/self/fd').length < 350)
})

test('reports of damage are as a node writes them', async t => {
  const { server, dir } = await opened(t, { now: () => 1_800_000_000_000 })
  const index = anIndex()
  await store(server, index, 5, Buffer.from('x'))
  await server.adviseCorrupt('immutable', index, 5, 'hash mismatch')
  await server.adviseCorrupt('immutable', index, 5, 'said twice within a second')
  const name = `2027-01-15T080000Z--${index}-5`
  const advisories = join(dir, 'storage/corruption-advisories')
  t.deepEqual(readdirSync(advisories), [name])
  t.is(
    readFileSync(join(advisories, name), 'utf8'),
    `report: Share Corruption\ntype: immutable\nstorage_index: ${index}\nshare_number: 5\n\nhash mismatch\n\n`,
  )
})

test('what an earlier process had not closed is gone', async t => {
  const dir = await folder(t)
  const incoming = join(dir, 'storage/shares/incoming/aa', 'a'.repeat(26))
  await mkdir(incoming, { recursive: true })
  writeFileSync(join(incoming, '0'), 'half')
  const { server } = await opened(t, {}, dir)
  t.deepEqual(files(dir), ['my_nodeid', 'storage/tahoe-nfs.lock'])
  for await (const slot of server.slots()) t.fail(slot.index)
})

test('after close everything is refused', async t => {
  const { server } = await opened(t)
  const index = anIndex()
  const { writers } = await server.allocate(index, [0], 4, leases())
  await writers.get(0)!.write(0, [Buffer.from('1234')])
  await server.close()
  await t.throwsAsync(server.list('mutable', index), { code: 'EIO', message: /is closed/ })
  await t.throwsAsync(writers.get(0)!.close(), { code: 'EINVAL' })
})

const child = join(import.meta.dirname, '../support/storage-child.ts')

test('a second owner is refused, until the first is killed', async t => {
  const dir = await folder(t)
  const first = spawn(process.execPath, [child, dir], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => first.kill('SIGKILL'))
  await new Promise(resolve => first.stdout.once('data', resolve))
  await t.throwsAsync(LocalServer.open({ dir }), { code: 'EACCES', message: /in use by another process/ })
  const gone = new Promise(resolve => first.once('exit', resolve))
  first.kill('SIGKILL')
  await gone
  const { server } = await opened(t, {}, dir)
  await t.throwsAsync(LocalServer.open({ dir }), { code: 'EACCES' })
  await server.list('mutable', anIndex())
})

test('what a process acknowledged before it was killed is there', async t => {
  const dir = await folder(t)
  const slot = encode(Buffer.alloc(16, 255))
  for (let round = 0; round < 3; round++) {
    const process_ = spawn(process.execPath, [child, dir, 'work'], { stdio: ['pipe', 'pipe', 'inherit'] })
    t.teardown(() => process_.kill('SIGKILL'))
    let said = ''
    const enough = new Promise<void>(resolve => {
      process_.stdout.on('data', (chunk: Buffer) => {
        said += chunk
        if (said.split('\n').length > 20 + 7 * round) resolve()
      })
    })
    const gone = new Promise(resolve => process_.once('exit', resolve))
    await enough
    process_.kill('SIGKILL')
    await gone
    const last = Number(said.split('\n').at(-2))
    const server = await LocalServer.open({ dir })
    for (let i = 0; i <= last; i++) {
      const bytes = await server.read('immutable', encode(Buffer.alloc(16, i)), 0, 0, 1 << 20)
      t.deepEqual(bytes, Buffer.alloc(50_000, i))
    }
    const [zero, one] = await Promise.all([0, 1].map(share => server.read('mutable', slot, share, 0, 8)))
    t.deepEqual(zero, one)
    t.true(Number(zero) >= last)
    for await (const { index } of server.slots()) await server.remove(index, 0)
    await server.remove(slot, 1)
    await server.close()
  }
})
