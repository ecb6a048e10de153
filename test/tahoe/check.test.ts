// What a check finds: all that is below a root, each thing once, by whatever cap, and every byte
// that is wrong.

import { randomBytes } from 'node:crypto'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type Cap, litCap, parseCap } from '../../src/tahoe/cap.ts'
import { encode } from '../../src/tahoe/format/base32.ts'
import { Dirnode } from '../../src/tahoe/format/dirnode.ts'
import type { Finding } from '../../src/tahoe/native/check/check.ts'
import { verifyImmutable } from '../../src/tahoe/native/check/verify-immutable.ts'
import { AbsentServer } from '../../src/tahoe/storage/absent.ts'
import type { LocalServer } from '../../src/tahoe/storage/local.ts'
import { checked, checkedGrid, dataIn, gridOver, named } from '../support/checked-grid.ts'
import { Folders } from '../support/folders.ts'
import { golden, goldenNode } from '../support/golden.ts'
import { opened } from '../support/storage-folder.ts'
import { sourceOf } from '../support/tahoe-bytes.ts'

test('every share that a Tahoe node made is good', async t => {
  const { dir, server } = await opened(t, { id: goldenNode.id })
  const grid = gridOver([server], [1, 1, 1])
  t.teardown(() => grid.close())
  const fixtures = new URL('../fixtures/tahoe-golden/shares', import.meta.url)
  await cp(fixtures, join(dir, 'storage', 'shares'), { recursive: true })
  for (const { cap, storage_index: index, shares } of golden) {
    if (!index || !shares) continue
    for (const each of [parseCap(cap), parseCap(cap).readonly(), parseCap(cap).verify()!]) {
      const { findings } = await checked(grid, each)
      const [{ state, detail }] = findings.filter(({ path }) => path === '/') as [Finding]
      t.is(state, 'fewer')
      t.regex(detail, new RegExp(`^${shares.length} of 10 shares are good, \\d are needed$`))
    }
  }
})

test('any byte of an immutable share that is another is found', async t => {
  const folders = await Folders.open(t, 1)
  const grid = gridOver(folders.servers, [2, 1, 3])
  t.teardown(() => grid.close())
  const content = randomBytes((1 << 21) + 99)
  const cap = await grid.upload(sourceOf(content))
  const [file] = await folders.shares()
  const bytes = await readFile(file!)
  const { length } = await dataIn(file!)
  // Everything beside the blocks, and some places in them.
  const edges = [0, 100, length / 4, length / 2, length - 1200].map(Math.floor)
  const places = new Set(edges.flatMap(at => Array.from({ length: 12 }, (_, i) => at + i * 7)))
  for (let at = length - 1150; at < length; at += 5) places.add(at)
  for (let at = 0; at < 36; at++) places.add(at)
  for (const at of [...places].filter(place => place < length)) {
    const damaged = Buffer.from(bytes)
    damaged[12 + at]! ^= 1 << (at % 8)
    await writeFile(file!, damaged)
    const found = await verifyImmutable(cap, folders.servers)
    t.is(found.damaged.length, 1, `byte ${at} of ${length}`)
    t.is(found.good.length, 2)
  }
  await writeFile(file!, bytes)
  t.is((await verifyImmutable(cap, folders.servers)).good.length, 3)
})

test('everything below the root is met once, through cycles and by the strongest of its caps', async t => {
  const { folders, grid } = await checkedGrid(t, 2, [1, 2, 2])
  const file = await grid.upload(sourceOf(randomBytes(1000)))
  const inner = await grid.mkdir(named({ file, small: litCap(Buffer.from('small')) }))
  const root = await grid.mkdir(named({ a: inner.readonly(), b: inner, again: file }))
  await grid.edit(inner, [{ op: 'set', name: 'up', child: { cap: root, metadata: {} }, expect: null }])
  t.deepEqual(await checked(grid, root), {
    findings: [],
    totals: { objects: 3, healthy: 3, mended: 0, wrong: 0, literals: 1, unknown: 0 },
  })
  const [share] = await folders.shares(inner.storageIndex!)
  await folders.lose(share!)
  for (const order of [
    { a: inner.readonly(), b: inner },
    { b: inner, c: inner.readonly() },
  ]) {
    const above = await grid.mkdir(named(order))
    const { findings, totals } = await checked(grid, above, { repair: true })
    t.true(findings.some(({ mended }) => mended))
    t.like(totals, { mended: 1, wrong: 0 })
    await folders.lose(share!)
  }
  const only = await grid.mkdir(named({ a: inner.readonly() }))
  const { findings, totals } = await checked(grid, only, { repair: true })
  t.like(findings, [{ path: '/a', state: 'fewer', mended: false }])
  t.regex(findings[0]!.detail, /its cap does not let one write/)
  t.like(totals, { wrong: 1 })
})

test('caps of kinds unknown here and directories that cannot be entered are counted, and nothing else is said of them', async t => {
  const { grid } = await checkedGrid(t, 1, [1, 1, 1])
  const inner = await grid.mkdir()
  const dirnode = Dirnode.empty({ mutable: false, writeKey: null })
  dirnode.set('closed', { cap: inner.verify()!, metadata: {} })
  dirnode.set('odd', { cap: parseCap('imm.URI:NEW:abc'), metadata: {} })
  const root = parseCap(`URI:DIR2-LIT:${encode(dirnode.content())}`)
  t.deepEqual(await checked(grid, root), {
    findings: [],
    totals: { objects: 1, healthy: 1, mended: 0, wrong: 0, literals: 1, unknown: 2 },
  })
})

test('what is unreadable, and what is not to be listed, is said of each path, and the rest is looked at', async t => {
  const { folders, grid } = await checkedGrid(t, 1, [1, 1, 1])
  const file = await grid.upload(sourceOf(randomBytes(1000)))
  const other = await grid.upload(sourceOf(randomBytes(1000)))
  const inner = await grid.mkdir(named({ other }))
  // A file that is taken for a directory has content, but no listing.
  const wrong = parseCap(file.uri().replace('URI:CHK', 'URI:DIR2-CHK'))
  const root = await grid.mkdir(named({ file, inner, other, wrong }))
  for (const share of [
    ...(await folders.shares(inner.storageIndex!)),
    ...(await folders.shares(other.storageIndex!)),
  ])
    await folders.damage(share, 0.3)
  const { findings, totals } = await checked(grid, root, { repair: true })
  const states = Object.fromEntries(findings.map(({ path, state }) => [path, state]))
  t.is(states['/other'], 'unreadable')
  t.is(states['/wrong'], 'unlisted')
  t.true(['unreadable', 'damaged'].includes(states['/inner']!))
  t.is(totals.wrong + totals.mended, 3) // a directory that is known may be written once more
  t.false(JSON.stringify(findings).includes('URI:'))
})

test('a folder that is not there is told of, and its shares are made again elsewhere on request', async t => {
  const folders = await Folders.open(t, 3)
  const whole = gridOver(folders.servers, [2, 3, 3])
  t.teardown(() => whole.close())
  const file = await whole.upload(sourceOf(randomBytes(300_000)))
  const [first, second, third] = folders.servers as [LocalServer, LocalServer, LocalServer]
  const grid = gridOver([first, second, new AbsentServer(third.id, 'the third', 'gone')], [2, 3, 3])
  const { findings } = await checked(grid, file)
  t.like(findings, [{ state: 'fewer' }])
  t.regex(findings[0]!.detail, /^2 of 3 shares are good, 2 are needed; no answer from the third$/)
  t.like((await checked(grid, file, { repair: true })).findings, [{ mended: true }])
  t.is((await folders.shares(file.storageIndex!)).length, 4)
})

test('totals are told on the way, and a check that is given up ends', async (t: ExecutionContext) => {
  const { grid } = await checkedGrid(t, 1, [1, 1, 1])
  const files: Record<string, Cap> = {}
  for (let i = 0; i < 10; i++) files[`${i}`] = await grid.upload(sourceOf(randomBytes(1000)))
  const root = await grid.mkdir(named(files))
  const heard: number[] = []
  await checked(grid, root, { onTotals: ({ objects }) => heard.push(objects) })
  t.deepEqual(heard, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  const stop = new AbortController()
  const onTotals = ({ objects }: { objects: number }) => {
    if (objects === 5) stop.abort()
  }
  await t.throwsAsync(checked(grid, root, { signal: stop.signal, onTotals }), { name: 'AbortError' })
})
