// A folder of share files on a real disk.

import { randomBytes } from 'node:crypto'
import { cpSync, existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { decode } from '../../src/tahoe/format/base32.ts'
import { disk, type ShareDisk } from '../../src/tahoe/storage/disk.ts'
import { parseImmutableLeases } from '../../src/tahoe/storage/immutable-container.ts'
import { LEASE_SECONDS } from '../../src/tahoe/storage/lease.ts'
import { LocalServer } from '../../src/tahoe/storage/local.ts'
import { MUTABLE_HEADER, parseMutableHeader } from '../../src/tahoe/storage/mutable-container.ts'
import { folder } from '../support/places.ts'
import { files, opened } from '../support/storage-folder.ts'
import { anIndex, conforms, leases, secrets, store, write } from './storage-conformance.ts'

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
