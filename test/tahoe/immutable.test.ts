// Immutable files in folders: stored, lost in part, damaged, and read again; never a wrong byte.

import { createHash, randomBytes } from 'node:crypto'
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { silent } from '../../src/log.ts'
import { type Cap, parseCap } from '../../src/tahoe/cap.ts'
import { Downloads } from '../../src/tahoe/native/immutable/download.ts'
import { Uploads } from '../../src/tahoe/native/immutable/upload.ts'
import { Secrets } from '../../src/tahoe/native/secrets.ts'
import type { StorageServer } from '../../src/tahoe/storage/server.ts'
import { Folders } from '../support/folders.ts'
import { golden, goldenContent, goldenNode, goldenShareFile } from '../support/golden.ts'
import { bytesOf, drain, sourceOf } from '../support/tahoe-bytes.ts'

const MiB = 1 << 20
const secrets = new Secrets(goldenNode.convergence, goldenNode.leaseSecret)

type Client = { uploads: Uploads; downloads: Downloads }

function client(
  t: ExecutionContext,
  servers: readonly StorageServer[],
  [needed, happy, total]: number[],
): Client {
  const shares = { needed: needed!, happy: happy!, total: total! }
  const uploads = new Uploads({ serversFor: () => servers, secrets, shares, log: silent })
  t.teardown(() => uploads.close())
  return { uploads, downloads: new Downloads(() => servers, silent) }
}

const whole = (downloads: Downloads, cap: Cap): Promise<Buffer> =>
  bytesOf(downloads.read(cap, { start: 0, end: cap.contentSize! }))

/** Bytes that look like nothing, and are the same each time. */
function bytes(size: number, seed = 'x'): Buffer {
  const block = createHash('shake256', { outputLength: 65_537 }).update(seed).digest()
  return Buffer.alloc(size, block)
}

test('every size around a boundary comes back as it was stored, over one folder', async t => {
  const { servers } = await Folders.open(t, 1)
  const { uploads, downloads } = client(t, servers, [1, 1, 1])
  for (const size of [56, 57, 4095, 65_536, MiB - 1, MiB, MiB + 1, 3 * MiB - 1, 3 * MiB, 3 * MiB + 17]) {
    const content = bytes(size, String(size))
    const cap = await uploads.upload(sourceOf(content))
    t.is(cap.contentSize, size)
    t.true((await whole(downloads, cap)).equals(content), String(size))
    const again = new Downloads(() => servers, silent)
    t.true((await whole(again, cap)).equals(content))
  }
  t.is((await uploads.upload(sourceOf(Buffer.alloc(55)))).kind, 'LIT')
})

test('what a Tahoe node stored is stored again under the same caps, and its own share files are read', async t => {
  const folders = await Folders.open(t, 1)
  const { uploads } = client(t, folders.servers, [3, 1, 10])
  const theirs = await Folders.open(t, 1)
  for (const file of golden.filter(({ kind }) => kind === 'CHK')) {
    const content = goldenContent(file)
    t.is((await uploads.upload(sourceOf(content))).uri(), file.cap)
    const index = file.storage_index!
    const place = join(theirs.dir, '0', 'storage', 'shares', index.slice(0, 2), index)
    await mkdir(dirname(place), { recursive: true })
    await cp(
      new URL(`../fixtures/tahoe-golden/shares/${index.slice(0, 2)}/${index}`, import.meta.url),
      place,
      {
        recursive: true,
      },
    )
    const { downloads } = client(t, theirs.servers, [3, 1, 10])
    t.true((await whole(downloads, parseCap(file.cap))).equals(content))
    t.true(goldenShareFile(index, file.shares![0]!).length > 0)
  }
})

test('any range is the bytes of that range', async t => {
  const { servers } = await Folders.open(t, 1)
  const { uploads, downloads } = client(t, servers, [3, 1, 5])
  const content = bytes(2 * MiB + 12_345)
  const cap = await uploads.upload(sourceOf(content))
  const place = fc.oneof(
    fc.nat(content.length + 10),
    fc
      .tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: -2, max: 2 }))
      .map(([i, d]) => Math.max(0, i * (MiB + 2) + d)),
  )
  await fc.assert(
    fc.asyncProperty(place, place, async (a, b) => {
      const got = await bytesOf(downloads.read(cap, { start: a, end: b }))
      t.true(got.equals(content.subarray(a, Math.max(a, b))))
    }),
    { numRuns: 60 },
  )
})

test('any shares may be lost or damaged: the file is read while `needed` are good, and else nothing wrong is', async t => {
  const folders = await Folders.open(t, 5)
  const loss = fc.record({
    size: fc.constantFrom(56, 1000, 40_000, MiB + 7),
    needed: fc.integer({ min: 1, max: 5 }),
    more: fc.nat(4),
    fates: fc.array(fc.constantFrom('good', 'good', 'lost', 'damaged'), { minLength: 9, maxLength: 9 }),
    where: fc.double({ min: 0, max: 0.999, noNaN: true }),
    seed: fc.string(),
  })
  await fc.assert(
    fc.asyncProperty(loss, async ({ size, needed, more, fates, where, seed }) => {
      const { uploads, downloads } = client(t, folders.servers, [needed, 1, needed + more])
      const content = bytes(size, `${seed} ${Math.random()}`)
      const cap = await uploads.upload(sourceOf(content))
      const files = await folders.shares(cap.storageIndex!)
      t.is(files.length, needed + more)
      let good = 0
      for (const [i, file] of files.entries()) {
        if (fates[i] === 'lost') await folders.lose(file)
        else if (fates[i] === 'damaged') await folders.damage(file, where)
        else good++
      }
      const { got, err } = await drain(downloads.read(cap, { start: 0, end: size }))
      if (good >= needed || err === null) {
        t.is(err, null)
        t.true(got.equals(content))
      } else {
        t.like(err, { code: 'EAGAIN' })
        t.true(got.equals(content.subarray(0, got.length)))
        t.false(String(err).includes('URI:'))
      }
    }),
    { numRuns: 60 },
  )
})

test('a damaged share is told to its server, once, and one that comes later is found', async t => {
  const folders = await Folders.open(t, 2)
  const { uploads, downloads } = client(t, folders.servers, [1, 2, 2])
  const content = bytes(100_000)
  const cap = await uploads.upload(sourceOf(content))
  const [first, second] = await folders.shares(cap.storageIndex!)
  const kept = await readFile(second!)
  await folders.damage(first!, 0.5)
  await folders.lose(second!)
  for (let i = 0; i < 2; i++) await t.throwsAsync(whole(downloads, cap), { code: 'EAGAIN' })
  const advisories = join(folders.dir, '0', 'storage', 'corruption-advisories')
  const reports = () => readdir(advisories).catch(() => [])
  while ((await reports()).length === 0) await setImmediate() // it is told behind
  t.is((await reports()).length, 1)
  await writeFile(second!, kept)
  t.true((await whole(downloads, cap)).equals(content))
})

test('more shares than servers, many shares, and few servers that are not enough', async t => {
  const folders = await Folders.open(t, 3)
  const content = bytes(300_000)
  const many = client(t, folders.servers, [101, 3, 256])
  const cap = await many.uploads.upload(sourceOf(content))
  t.is((await folders.shares(cap.storageIndex!)).length, 256)
  t.true((await whole(many.downloads, cap)).equals(content))
  const unhappy = client(t, folders.servers, [2, 4, 8])
  await t.throwsAsync(unhappy.uploads.upload(sourceOf(content)), {
    code: 'EAGAIN',
    message: /only 3 of at least 4/,
  })
  t.is((await folders.shares()).length, 256)
})

test('equal content at the same time is stored once, and a second time costs nothing but reading it', async t => {
  const folders = await Folders.open(t, 1)
  const { uploads } = client(t, folders.servers, [1, 1, 1])
  const content = bytes(2 * MiB)
  const caps = await Promise.all([1, 2, 3].map(() => uploads.upload(sourceOf(content))))
  t.is(new Set(caps.map(cap => cap.uri())).size, 1)
  t.is((await uploads.upload(sourceOf(content))).uri(), caps[0]!.uri())
  t.is((await folders.shares()).length, 1)
})

test('an upload that is given up, or whose source is not what it said, leaves nothing behind', async t => {
  const folders = await Folders.open(t, 1)
  const { uploads } = client(t, folders.servers, [1, 1, 1])
  const content = bytes(5 * MiB)
  const stop = new AbortController()
  const given = uploads.upload(sourceOf(content), { signal: stop.signal, onProgress: () => stop.abort() })
  await t.throwsAsync(given, { code: 'EAGAIN' })
  await t.throwsAsync(uploads.upload({ ...sourceOf(content), size: 5 * MiB + 1 }), { code: 'EIO' })
  await t.throwsAsync(uploads.upload({ ...sourceOf(content), size: 1000 }), { code: 'EIO' })
  // It is taken back behind, also while somebody looks.
  const left = () => folders.shares().catch(() => ['something that goes just then'])
  while ((await left()).length > 0) await setImmediate()
  t.is((await uploads.upload(sourceOf(content))).contentSize, content.length)
})

test('random content over three folders, any two of which suffice', async t => {
  const folders = await Folders.open(t, 3)
  const { uploads, downloads } = client(t, folders.servers, [2, 3, 3])
  const content = randomBytes(4 * MiB + 1)
  const cap = await uploads.upload(sourceOf(content))
  t.is((await folders.shares()).length, 3)
  await folders.lose((await folders.shares())[0]!)
  t.true((await whole(downloads, cap)).equals(content))
})
