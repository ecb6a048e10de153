// Our formats before the strictest judge: a real Tahoe node on the same storage folder. What we
// store it reads, what it stores we read, and what both change in turn is what both see.

import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { type Cap, parseCap } from '../../src/tahoe/cap.ts'
import type { Child, Edit, Grid } from '../../src/tahoe/grid.ts'
import { openLocal } from '../../src/tahoe/native/local.ts'
import { parseImmutableHeader } from '../../src/tahoe/storage/immutable-container.ts'
import { parseMutableHeader } from '../../src/tahoe/storage/mutable-container.ts'
import { Folders } from '../support/folders.ts'
import { clientOf, InTurn, one, ten } from '../support/in-turn.ts'
import {
  after,
  kinds,
  metadatas,
  names,
  ourEdits,
  sameTimes,
  theirEdits,
  wishes,
} from '../support/in-turn-edits.ts'
import { openAt } from '../support/places.ts'
import { fresh, onNode, put, web } from '../support/tahoe.ts'
import { bytesOf, sourceOf } from '../support/tahoe-bytes.ts'
import {
  at,
  forWeb,
  get,
  healthy,
  made,
  ourView,
  overwrite,
  theirView,
  timeless,
  type View,
} from '../support/web-view.ts'
import { lines } from '../vfs/elsewhere.ts'
import { at as below, make } from '../vfs/walk.ts'

const KiB = 1024
const MiB = 1024 * KiB

let started: Promise<InTurn> | null = null
const world = () => (started ??= InTurn.start())
test.after.always(async () => (await started?.catch(() => null))?.end())

/** One test at a time: they take turns with one node. */
const inTurn = (title: string, body: (t: ExecutionContext, both: InTurn) => Promise<void>) =>
  onNode(test.serial, title, world, body)

const everything = { start: 0, end: Number.MAX_SAFE_INTEGER }
const whole = (grid: Grid, cap: Cap): Promise<Buffer> => bytesOf(grid.read(cap, everything))

/** Ranges around the ends, and around what a segment of 128 KiB or 1 MiB ends. */
function ranges(size: number): [start: number, end: number][] {
  const marks = [0, 1, 128 * KiB, MiB, MiB + 2, size - 1, size]
  const within = [...new Set(marks.filter(mark => mark >= 0 && mark <= size))].sort((a, b) => a - b)
  return within.slice(1).map((end, i) => [Math.max(0, within[i]! - 1), end])
}

// Files.

const sizes = [0, 1, 55, 56, 1000, 128 * KiB - 1, 128 * KiB + 1, MiB - 1, MiB + 1, 3 * MiB + 7]

for (const [shares, title] of [
  [one, 'whole in one share'],
  [ten, 'as three of ten shares'],
] as const) {
  inTurn(
    `a file that we store ${title} has the cap that the node gives it, and the node reads every byte and finds every share good`,
    async (t, both) => {
      await both.numbers(shares)
      const { node } = both
      const ours = sizes.map(fresh)
      const theirs = sizes.map(fresh)
      const stored = (all: readonly Buffer[]) =>
        both.ours(({ grid }) => Promise.all(all.map(bytes => grid.upload(sourceOf(bytes)))))
      for (const [i, cap] of (await stored(ours)).entries()) {
        const bytes = ours[i]!
        if (bytes.length > 55) t.is((await both.shareFiles(cap)).length, shares.total)
        t.true((await get(node, cap)).equals(bytes), `${bytes.length} bytes`)
        for (const [start, end] of ranges(bytes.length)) {
          const part = await get(node, cap, `bytes=${start}-${end - 1}`)
          t.true(part.equals(bytes.subarray(start, end)), `${start} to ${end} of ${bytes.length} bytes`)
        }
        await healthy(t, node, cap, shares.total)
        t.is((await put(node, bytes)).uri(), cap.uri())
      }
      const caps: string[] = []
      for (const bytes of theirs) caps.push((await put(node, bytes)).uri())
      t.deepEqual(
        (await stored(theirs)).map(cap => cap.uri()),
        caps,
      )
    },
  )

  inTurn(
    `files of every kind that the node made ${title}, also changed in place, are read by us as they are`,
    async (t, both) => {
      await both.numbers(shares)
      const { node } = both
      const files: { cap: Cap; bytes: Buffer }[] = []
      for (const size of [1, 56, 128 * KiB + 1, 2 * MiB + 9]) {
        const bytes = fresh(size)
        files.push({ cap: await put(node, bytes), bytes })
      }
      for (const size of [0, 1, 1000, 200 * KiB]) {
        const bytes = fresh(size)
        files.push({ cap: await made(node, 'format=SDMF', bytes), bytes })
      }
      for (const size of [0, 1, 128 * KiB, 128 * KiB + 1, 700_001]) {
        const bytes = fresh(size)
        files.push({ cap: await made(node, 'format=MDMF', bytes), bytes })
      }
      // Within a segment, over the end of one, over the end of all, and at the end.
      for (const [offset, size] of [
        [10, 5],
        [128 * KiB - 3, 6],
        [299_990, 1000],
        [300_000, 128 * KiB],
      ] as const) {
        const [old, change] = [fresh(300_000), fresh(size)]
        const cap = await made(node, 'format=MDMF', old)
        await overwrite(node, cap, change, offset)
        const bytes = Buffer.concat([
          old.subarray(0, offset),
          change,
          old.subarray(Math.min(old.length, offset + size)),
        ])
        files.push({ cap, bytes })
      }
      await both.ours(async ({ grid }) => {
        for (const { cap, bytes } of files) {
          const name = `${cap} of ${bytes.length} bytes`
          for (const each of [cap, cap.readonly()]) t.true((await whole(grid, each)).equals(bytes), name)
          if (cap.mutable) t.is((await grid.stat(cap.readonly())).size, bytes.length)
          for (const [start, end] of ranges(bytes.length)) {
            const part = await bytesOf(grid.read(cap, { start, end }))
            t.true(part.equals(bytes.subarray(start, end)), `${start} to ${end} of ${name}`)
          }
        }
      })
    },
  )
}

inTurn(
  'mutable files are overwritten by both in turn, whoever made them, and each reads what the other wrote',
  async (t, both) => {
    for (const shares of [ten, one]) {
      await both.numbers(shares)
      const { node } = both
      const files: { cap: Cap; bytes: Buffer }[] = []
      for (const kind of ['SDMF', 'MDMF'] as const) {
        const bytes = fresh(1000)
        files.push({ cap: await made(node, `format=${kind}`, bytes), bytes })
        const { cap } = await both.ours(({ files }) =>
          files.create(kind === 'SDMF' ? 'SSK' : 'MDMF', Buffer.from(bytes)),
        )
        files.push({ cap, bytes })
      }
      for (const size of [300_000, 0, 1, 128 * KiB + 1, 70_000]) {
        await both.ours(async ({ grid }) => {
          for (const file of files) {
            t.true((await whole(grid, file.cap)).equals(file.bytes))
            file.bytes = fresh(size)
            const { version } = await grid.stat(file.cap)
            await grid.overwrite(file.cap, sourceOf(file.bytes), { expected: version })
          }
        })
        for (const file of files) {
          t.true((await get(node, file.cap)).equals(file.bytes), `${file.cap} of ${size} bytes`)
          await healthy(t, node, file.cap, shares.total)
          // In place where it can be, else all of it.
          const offset = Math.floor(size / 3)
          const change = fresh(100 + Math.floor(size / 2))
          if (size % 2 === 0) await overwrite(node, file.cap, (file.bytes = change))
          else {
            await overwrite(node, file.cap, change, offset)
            const rest = file.bytes.subarray(Math.min(size, offset + change.length))
            file.bytes = Buffer.concat([file.bytes.subarray(0, offset), change, rest])
          }
          t.true((await get(node, file.cap)).equals(file.bytes))
        }
      }
      await both.ours(async ({ grid }) => {
        for (const { cap, bytes } of files) t.true((await whole(grid, cap)).equals(bytes))
      })
    }
  },
)

// Directories.

/** Both sides list a directory, with all and with less authority, and show the same. */
async function sameViews(t: ExecutionContext, both: InTurn, dirs: readonly Cap[]): Promise<View[]> {
  const views: View[] = []
  for (const dir of dirs) views.push(await theirView(both.node, dir))
  await both.ours(async ({ grid }) => {
    for (const [i, dir] of dirs.entries()) {
      t.deepEqual(ourView(await grid.list(dir)), views[i]!)
      t.deepEqual(ourView(await grid.list(dir.readonly())), await theirView(both.node, dir.readonly()))
    }
  })
  return views
}

inTurn(
  'directories of every kind that the node made are listed by us with the names, caps and metadata that it shows',
  async (t, both) => {
    await both.numbers(one)
    const { node } = both
    const children = kinds.map((cap, i): [string, Child] => [
      `${i} ${names[i % names.length]}`.normalize('NFC'),
      { cap, metadata: metadatas[i % metadatas.length]! },
    ])
    const immutable = children.filter(([, { cap }]) => !cap.mutable)
    const dirs: Cap[] = []
    for (const format of ['SDMF', 'MDMF']) {
      const dir = await made(node, `t=mkdir&format=${format}`)
      await web(node, 'POST', `${at(dir)}?t=set_children`, forWeb(children))
      dirs.push(dir, await made(node, `t=mkdir&format=${format}`))
    }
    dirs.push(await made(node, 't=mkdir-with-children', forWeb(children)))
    dirs.push(await made(node, 't=mkdir-immutable', forWeb([])))
    dirs.push(await made(node, 't=mkdir-immutable', forWeb([['', { cap: kinds[1]!, metadata: {} }]])))
    dirs.push(await made(node, 't=mkdir-immutable', forWeb(immutable)))
    t.deepEqual(
      dirs.map(({ kind }) => kind),
      ['DIR2', 'DIR2', 'DIR2-MDMF', 'DIR2-MDMF', 'DIR2', 'DIR2-LIT', 'DIR2-LIT', 'DIR2-CHK'],
    )
    await sameViews(t, both, dirs)
  },
)

inTurn(
  'a directory is edited by both in turn, and each sees exactly what the other changed',
  async (t, both) => {
    await both.numbers(one)
    const story = fc.record({
      kind: fc.constantFrom('ours', 'SDMF', 'MDMF'),
      rounds: fc.array(wishes, { minLength: 4, maxLength: 6 }),
    })
    const told = fc.asyncProperty(story, async ({ kind, rounds }) => {
      const dir =
        kind === 'ours'
          ? await both.ours(({ grid }) => grid.mkdir())
          : await made(both.node, `t=mkdir&format=${kind}`)
      let before: View = {}
      for (const [i, wishes] of rounds.entries()) {
        const ours = i % 2 === 0
        const seen = ours
          ? await both.ours(hand => ourEdits(hand, dir, wishes))
          : await theirEdits(both.node, dir, wishes)
        t.deepEqual(timeless(seen), after(before, wishes))
        const other = ours
          ? await theirView(both.node, dir)
          : await both.ours(async ({ grid }) => ourView(await grid.list(dir)))
        t.deepEqual(other, seen)
        sameTimes(t, before, seen, wishes)
        before = seen
      }
      await sameViews(t, both, [dir])
      await healthy(t, both.node, dir, 1)
    })
    await fc.assert(told, { numRuns: 5, endOnFailure: true, includeErrorInReport: true })
  },
)

inTurn(
  'what the node changed since we last looked is never written over: our change is made to it, or refused',
  async (t, both) => {
    for (const shares of [one, ten]) {
      await both.numbers(shares)
      const { node } = both
      const child = { cap: kinds[0]!, metadata: {} }
      const [file, old, theirs] = [await made(node, 'format=SDMF', fresh(500)), fresh(600), fresh(700)]
      const [dir, version] = await both.ours(async ({ grid }) => {
        const { version } = await grid.stat(file)
        const written = await grid.overwrite(file, sourceOf(old), { expected: version })
        return [await grid.mkdir(new Map([['first', child]])), written.version]
      })
      await theirEdits(node, dir, [
        { name: 'theirs', child },
        { name: 'first', child: null },
      ])
      await overwrite(node, file, theirs)
      await both.ours(async ({ grid }) => {
        const edits: Edit[] = ['ours', 'theirs'].map(name => ({
          op: 'set',
          name,
          child: { ...child, cap: file },
          expect: null,
        }))
        const { outcomes } = await grid.edit(dir, edits)
        t.deepEqual(
          outcomes.map(({ done }) => done),
          [true, false],
        )
        await t.throwsAsync(grid.overwrite(file, sourceOf(old), { expected: version }), { code: 'ESTALE' })
        await t.throwsAsync(bytesOf(grid.read(file, everything, { version })), { code: 'ESTALE' })
      })
      t.deepEqual(Object.keys(await theirView(node, dir)).sort(), ['ours', 'theirs'])
      t.true((await get(node, file)).equals(theirs))
      await healthy(t, node, dir, shares.total)
    }
  },
)

// Leases, restarts, and all of it as a file system.

/** Leases that a share file counts. */
async function leasesIn(file: string): Promise<number> {
  const bytes = await readFile(file)
  if (bytes.toString('latin1', 0, 5) !== 'Tahoe')
    return parseImmutableHeader(bytes, bytes.length, file).leases
  const header = parseMutableHeader(bytes, bytes.length, file)
  return header.places.filter(lease => lease !== null).length + bytes.readUInt32BE(header.extraLeases)
}

inTurn(
  'the node renews the leases that we made with its secrets, and adds its own beside those of others',
  async (t, both) => {
    await both.numbers(one)
    for (const [who, leases] of [
      ['alike', 1],
      ['strange', 2],
    ] as const) {
      const caps = await both.ours(
        async ({ grid, files }) => [
          await grid.upload(sourceOf(fresh(5000))),
          await grid.mkdir(new Map([['x', { cap: kinds[0]!, metadata: {} }]])),
          (await files.create('MDMF', fresh(200_000))).cap,
        ],
        who,
      )
      for (const cap of caps) {
        const [file] = await both.shareFiles(cap)
        t.is(await leasesIn(file!), 1)
        await healthy(t, both.node, cap, 1)
        await healthy(t, both.node, cap, 1)
        t.is(await leasesIn(file!), leases, String(cap))
      }
      // What both have a lease on is changed by both, and keeps them.
      const [, dir] = caps
      await both.ours(hand => ourEdits(hand, dir!, [{ name: 'y', child: { cap: kinds[0]!, metadata: {} } }]))
      await theirEdits(both.node, dir!, [{ name: 'x', child: null }])
      t.deepEqual(await both.ours(async ({ grid }) => [...(await grid.list(dir!)).children.keys()]), ['y'])
      t.is(await leasesIn((await both.shareFiles(dir!))[0]!), leases)
    }
  },
)

inTurn(
  'a folder whose node is stopped is opened as any other, and what was written then is there when the node runs again',
  async (t, both) => {
    await both.numbers(ten)
    const options = { dirs: [both.node.dir], shares: ten }
    await t.throwsAsync(openLocal(options), { code: 'EACCES', message: /is a Tahoe node that runs/ })
    const dir = await made(both.node, 't=mkdir', '')
    const theirs = await put(both.node, fresh(300_000))
    await theirEdits(both.node, dir, [{ name: 'theirs', child: { cap: theirs, metadata: {} } }])
    const mine = fresh(2 * MiB)
    const [cap, sub] = await both.stopped(async () => {
      const grid = await openLocal(options)
      try {
        const cap = await grid.upload(sourceOf(mine))
        const sub = await grid.mkdir(new Map([['mine', { cap, metadata: { mtime: 5 } }]]))
        t.is((await whole(grid, theirs)).length, 300_000)
        await grid.edit(dir, [{ op: 'set', name: 'sub', child: { cap: sub, metadata: {} }, expect: null }])
        return [cap, sub]
      } finally {
        await grid.close()
      }
    })
    t.deepEqual(Object.keys(await theirView(both.node, dir)).sort(), ['sub', 'theirs'])
    t.is((await put(both.node, mine)).uri(), cap.uri())
    t.true((await get(both.node, cap)).equals(mine))
    for (const each of [cap, sub, dir]) await healthy(t, both.node, each, 10)
    await theirEdits(both.node, sub, [{ name: 'mine', child: null }])
    await both.ours(async ({ grid }) => t.is((await grid.list(sub)).children.size, 0))
  },
)

inTurn('both work at the same time in different files, and nothing of either is lost', async (t, both) => {
  await both.numbers(one)
  const { node } = both
  const [ours, theirs] = [await both.ours(({ grid }) => grid.mkdir()), await made(node, 't=mkdir', '')]
  const contents = Array.from({ length: 12 }, (_, i) => fresh(100 + i * 20_000))
  await both.ours(async hand => {
    const mine = async () => {
      for (const [i, bytes] of contents.entries()) {
        const cap = await hand.grid.upload(sourceOf(bytes))
        await ourEdits(hand, ours, [{ name: `${i}`, child: { cap, metadata: {} } }])
      }
    }
    const its = async () => {
      for (const [i, bytes] of contents.entries()) {
        const cap = await put(node, bytes.toReversed())
        await theirEdits(node, theirs, [{ name: `${i}`, child: { cap, metadata: {} } }])
      }
    }
    await Promise.all([mine(), its()])
  })
  await sameViews(t, both, [ours, theirs])
  const read = await both.ours(async ({ grid }) => {
    const [mine, its] = [await grid.list(ours), await grid.list(theirs)]
    for (const [i, bytes] of contents.entries()) {
      t.true((await whole(grid, mine.children.get(`${i}`)!.cap)).equals(bytes))
      t.true((await whole(grid, its.children.get(`${i}`)!.cap)).equals(bytes.toReversed()))
    }
    return [...mine.children.values(), ...its.children.values()]
  })
  for (const { cap } of [...read, { cap: ours }, { cap: theirs }]) await healthy(t, node, cap, 1)
})

inTurn(
  'what a file system over the folder publishes is what the node lists, and what the node changes it shows',
  async (t, both) => {
    await both.numbers(one)
    const { node } = both
    const root = await made(node, 't=mkdir', '')
    const state = (name: string) => `${both.dir}/${name}`
    const files: Record<string, Buffer> = {
      'new/é/deep': fresh(MiB + 5),
      'new/empty': Buffer.alloc(0),
      'new/\u{1F600} short': fresh(20),
      moved: fresh(9000),
    }
    await both.ours(async ({ grid }) => {
      const vfs = await openAt(state('first'), grid, root)
      const { attr } = await vfs.mkdir(vfs.root, 'new', {})
      await vfs.mkdir(attr.id, 'e\u0301', {})
      await make(vfs, (await below(vfs, 'new', 'é')).id, 'deep', files['new/é/deep'])
      await make(vfs, attr.id, 'empty')
      await make(vfs, attr.id, '\u{1F600} short', files['new/\u{1F600} short'])
      await make(vfs, attr.id, 'to move', files['moved'])
      await vfs.symlink(vfs.root, 'link', Buffer.from('new/é'), {})
      await vfs.flush(null)
      await vfs.rename(attr.id, 'to move', vfs.root, 'moved')
      await vfs.flush(null)
      await vfs.close()
    })
    const top = await theirView(node, root)
    t.deepEqual(Object.keys(top).sort(), ['link', 'moved', 'new'])
    const sub = parseCap(top['new']!['rw_uri'] as string)
    t.deepEqual(Object.keys(await theirView(node, sub)).sort(), ['empty', 'é', '\u{1F600} short'])
    for (const [path, bytes] of Object.entries(files)) {
      const answer = await fetch(
        `${node.url.replace(/\/$/, '')}${at(root)}/${path.split('/').map(encodeURIComponent).join('/')}`,
      )
      t.true(Buffer.from(await answer.arrayBuffer()).equals(bytes), path)
    }
    await healthy(t, node, sub, 1)
    await web(node, 'PUT', `${at(sub)}/${encodeURIComponent('é')}/theirs`, Buffer.from('from the node'))
    await web(node, 'DELETE', `${at(sub)}/empty`)
    await both.ours(async ({ grid }) => {
      const seen: string[][] = []
      for (const name of ['first', 'second']) {
        const vfs = await openAt(state(name), grid, root, { ttl: 0 })
        seen.push(await lines(vfs))
        await vfs.close()
      }
      t.deepEqual(seen[0], seen[1])
      t.deepEqual(
        seen[0]!.map(line => line.replace(/ (directory|file|->).*$/, '')),
        [
          '',
          '/link',
          '/moved',
          '/new',
          '/new/é',
          '/new/é/deep',
          '/new/é/theirs',
          '/new/\u{1F600} short',
        ].sort(),
      )
    })
  },
)

inTurn(
  'shares from a folder with another id are read by the node, and what can change there stays as it is, whoever tries',
  async (t, both) => {
    await both.numbers(one)
    const store = await Folders.open(t, 1)
    const bytes = fresh(300_000)
    const { grid } = clientOf(store.servers[0]!, one)
    const file = await grid.upload(sourceOf(bytes))
    const dir = await grid.mkdir(new Map([['file', { cap: file, metadata: { mtime: 5 } }]]))
    await grid.close()
    for (const cap of [file, dir]) {
      const place = join(cap.storageIndex!.slice(0, 2), cap.storageIndex!)
      await cp(join(store.dir, '0/storage/shares', place), join(both.node.storage, place), {
        recursive: true,
      })
    }
    t.true((await get(both.node, file)).equals(bytes))
    const [before] = await sameViews(t, both, [dir])
    for (const cap of [file, dir]) await healthy(t, both.node, cap, 1)
    await t.throwsAsync(theirEdits(both.node, dir, [{ name: 'new', child: { cap: file, metadata: {} } }]), {
      message: 'POST answered 500',
    })
    await both.ours(hand =>
      t.throwsAsync(ourEdits(hand, dir, [{ name: 'new', child: { cap: file, metadata: {} } }]), {
        code: 'EACCES',
      }),
    )
    t.deepEqual(await sameViews(t, both, [dir]), [before])
  },
)

inTurn("Tahoe's own tool finds a share of the right kind in every file of the folder", async (t, both) => {
  await both.ours(async ({ grid, files }) => {
    await grid.upload(sourceOf(fresh(100_000)))
    await grid.mkdir()
    for (const kind of ['SSK', 'MDMF'] as const) await files.create(kind, fresh(200_000))
  })
  const files = await both.shareFiles()
  const { lines, complaints } = await both.catalog()
  t.is(complaints, '')
  t.is(lines.length, files.length)
  for (const line of lines) t.regex(line, /^(CHK|SDMF|MDMF) [a-z2-7]{26} \d+\/\d+ \d+ /)
  t.deepEqual(await both.advisories(), [])
})
