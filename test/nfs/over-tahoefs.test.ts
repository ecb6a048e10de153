// The checks of the wire over the file system over a grid, as far as one that does not
// change can keep them, and what only that one shows: restarts, and a grid that is slow.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { READ } from '../../src/nfs/proc/data.ts'
import { READDIR, READDIRPLUS } from '../../src/nfs/proc/listing.ts'
import { LOOKUP } from '../../src/nfs/proc/names.ts'
import { folder, hasty, openAt, opened } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'
import { attributeChecks } from './conformance/attributes.ts'
import { dataChecks } from './conformance/data.ts'
import { filesystemChecks } from './conformance/filesystem.ts'
import { listingChecks } from './conformance/listing.ts'
import { makingChecks } from './conformance/making.ts'
import { removingChecks } from './conformance/removing.ts'
import { robustnessChecks } from './conformance/robustness.ts'
import { rpcChecks } from './conformance/rpc.ts'
import { at, owner, type Subject, worldOver } from './conformance/world.ts'

const world = mkdtempSync(join(tmpdir(), 'tahoe-nfs-test-'))
test.after.always(() => rmSync(world, { recursive: true, force: true, maxRetries: 5 }))

const tahoefs: Subject = {
  name: 'tahoefs',
  write: false,
  async open() {
    const grid = new TinyGrid()
    return openAt(mkdtempSync(join(world, 'one-')), grid, grid.directory({}), { owner })
  },
}

for (const checks of [
  rpcChecks,
  attributeChecks,
  dataChecks,
  makingChecks,
  removingChecks,
  listingChecks,
  filesystemChecks,
  robustnessChecks,
])
  checks(tahoefs)

test('tahoefs: a handle and a cookie from before a restart are good after it', async t => {
  const dir = await folder(t)
  const grid = new TinyGrid()
  const names = Array.from({ length: 50 }, (_, i) => `name ${i}`)
  const root = grid.directory(Object.fromEntries(names.map(name => [name, grid.file(`in ${name}`)])))
  const before = await openAt(dir, grid, root, { owner })
  const first = await worldOver(t, before)
  const handle = await first.nfs.lookup(first.root, 'name 7')
  const page = { dir: first.root, cookieverf: Buffer.alloc(8), count: 1000 }
  const { entries, eof } = await first.nfs.ok(READDIR, { ...page, cookie: 0n })
  t.false(eof)
  first.nfs.rpc.close()
  await before.close()

  const after = await worldOver(t, await openAt(dir, grid, root, { owner }))
  t.teardown(() => after.vfs.close())
  t.deepEqual(await after.nfs.root(), first.root)
  t.is(String(await after.nfs.read(handle)), 'in name 7')
  const seen = entries.map(entry => String(entry.name))
  for (let cookie = entries.at(-1)!.cookie; ; ) {
    const next = await after.nfs.ok(READDIR, { ...page, cookie })
    seen.push(...next.entries.map(entry => String(entry.name)))
    if (next.eof) break
    cookie = next.entries.at(-1)!.cookie
  }
  t.deepEqual(seen.toSorted(), ['.', '..', ...names].toSorted())
})

test('tahoefs: three thousand names come whole in pages, with attributes, for one listing', async t => {
  const grid = new TinyGrid()
  const names = Array.from({ length: 3000 }, (_, i) => `a name of some length, number ${i}`)
  const file = grid.file('the same in each')
  const root = grid.directory(Object.fromEntries(names.map(name => [name, file])))
  const { nfs, root: dir } = await worldOver(t, await opened(t, grid, root, { owner }))
  const seen: string[] = []
  for (let cookie = 0n, eof = false; !eof; ) {
    const cookieverf = Buffer.alloc(8)
    const page = await nfs.ok(READDIRPLUS, { dir, cookie, cookieverf, dircount: 4096, maxcount: 32_768 })
    for (const entry of page.entries) {
      t.truthy(entry.name_attributes)
      seen.push(String(entry.name))
      cookie = entry.cookie
    }
    eof = page.eof
  }
  t.deepEqual(seen.toSorted(), ['.', '..', ...names].toSorted())
  t.is(grid.asked.list, 1)
})

test('tahoefs: while a block does not come, everything known is answered, and the READ is JUKEBOX in the end', async t => {
  const grid = new TinyGrid()
  const root = grid.directory({ slow: grid.file(Buffer.alloc(2 << 20, 1)), quick: grid.file('here') })
  const fs = await opened(t, grid, root, { owner, patience: { ...hasty, giveUp: 60_000, delays: [5] } })
  const { nfs, root: dir } = await worldOver(t, fs, { holdMs: 500 })
  const [slow, quick] = [await nfs.lookup(dir, 'slow'), await nfs.lookup(dir, 'quick')]
  t.is(String(await nfs.read(quick)), 'here')
  grid.notNow.read = Number.POSITIVE_INFINITY
  const waiting = nfs.call(READ, { file: slow, offset: 0, count: 4096 })
  t.is(String(await nfs.read(quick)), 'here')
  t.is((await nfs.getattr(slow)).size, 2 << 20)
  t.is(await nfs.status(LOOKUP, { what: at(dir, 'nowhere') }), 'NFS3ERR_NOENT')
  t.is((await waiting).status, 'NFS3ERR_JUKEBOX')
  grid.notNow.read = 0
  t.deepEqual(await nfs.read(slow, 0, 4096), Buffer.alloc(4096, 1))
})
