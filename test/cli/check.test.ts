// What is stored in folders is looked at, mended and thinned by hand, with a server that runs and
// without one.

import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { REMOVE } from '../../src/nfs/proc/names.ts'
import { at } from '../nfs/conformance/world.ts'
import { client, get, inventedCap, putAll, refused, type User, user, world } from './world.ts'

/** The share files in a folder, the largest first. */
async function shares(dir: string): Promise<string[]> {
  const all = await readdir(join(dir, 'storage/shares'), { recursive: true, withFileTypes: true })
  const files = all.filter(each => each.isFile()).map(each => join(each.parentPath, each.name))
  const sizes = new Map(await Promise.all(files.map(async file => [file, (await stat(file)).size] as const)))
  return files.sort((a, b) => sizes.get(b)! - sizes.get(a)!)
}

async function age(dirs: readonly string[]): Promise<void> {
  const then = Date.now() / 1000 - 25 * 3600
  for (const dir of dirs) for (const file of await shares(dir)) await utimes(file, then, then)
}

type Store = { readonly dirs: string[]; readonly grid: string[] }

function store(someone: User, ...names: string[]): Store {
  const dirs = names.map(name => someone.path(name))
  return { dirs, grid: ['--grid', `local:${dirs.join(',')}`] }
}

/** A store that was saved into, and whose server has ended. */
async function filled(
  t: ExecutionContext,
  someone: User,
  { grid }: Store,
  files: Record<string, Uint8Array>,
) {
  const served = await someone.serve(...grid)
  await putAll(t, served, files)
  await someone.run(['flush', '--wait'])
  await served.end()
}

/** The letter's share in the first folder is damaged, and in the second only its share is left. */
async function spoil({ dirs }: Store): Promise<void> {
  const [letter] = await shares(dirs[0]!)
  const bytes = await readFile(letter!)
  bytes[100_000]! ^= 1
  await writeFile(letter!, bytes)
  for (const file of (await shares(dirs[1]!)).slice(1)) await rm(file)
}

const two = { letter: randomBytes(900_000), note: randomBytes(5000) }

test('without a server, check tells what is wrong by its path, and --repair mends it', async t => {
  const someone = await user(t)
  const here = store(someone, 'one', 'two', 'three')
  await filled(t, someone, here, two)
  const well = await someone.run(['check', ...here.grid])
  t.is(well.code, 0, well.err)
  t.is(well.out, '3 of 3 files and directories are healthy\n')
  await rm((await shares(here.dirs[0]!))[0]!)
  const few = await someone.run(['check', ...here.grid])
  t.is(few.code, 1, few.err)
  t.regex(few.out, /^\/letter: fewer shares than there should be \(2 of 3 shares are good, 2 are needed\)$/m)
  t.regex(few.out, /^2 of 3 files and directories are healthy; 1 are not as they should be$/m)
  const mended = await someone.run(['check', '--repair', ...here.grid])
  t.is(mended.code, 0, mended.err)
  t.regex(mended.out, /^\/letter: fewer shares than there should be, mended /m)
  t.is((await someone.run(['check', ...here.grid])).code, 0)
  await truncate((await shares(here.dirs[1]!))[0]!, 1000)
  const [lost] = await shares(here.dirs[2]!)
  await rm(lost!)
  const beyond = await someone.run(['check', '--repair', ...here.grid])
  t.is(beyond.code, 1)
  t.regex(
    beyond.out,
    /^\/letter: unreadable \(1 of 3 shares are good, 2 are needed; share \d in \S+two is damaged/m,
  )
  const lines = (await someone.run(['check', '--json', ...here.grid])).out.trim().split('\n')
  t.like(lines.map(line => JSON.parse(line)).at(-1), { what: 'totals', done: true, totals: { wrong: 1 } })
  for (const said of [well, few, mended, beyond]) t.notRegex(said.out + said.err, /URI:/)
})

test('a running server checks and mends what it serves, and goes on serving', async t => {
  const someone = await user(t)
  const here = store(someone, 'one', 'two', 'three')
  await filled(t, someone, here, two)
  await spoil(here)
  await rm(someone.path('c'), { recursive: true })
  const served = await someone.serve(...here.grid)
  const found = await someone.run(['check', ...here.grid])
  t.is(found.code, 1, found.err)
  t.regex(found.out, /^\/: fewer shares/m)
  t.regex(found.out, /^\/note: fewer shares/m)
  t.regex(
    found.out,
    /^\/letter: damaged \(2 of 3 shares are good, 2 are needed; share \d in \S+one is damaged: block 0/m,
  )
  const mended = await someone.run(['check', '--repair', ...here.grid])
  t.regex(mended.out, /^\/note: fewer shares than there should be, mended/m)
  t.is(mended.code, 0, mended.out + mended.err)
  t.is((await shares(here.dirs[1]!)).length, 3)
  for (const file of await shares(here.dirs[2]!)) await rm(file) // the others are enough now
  t.deepEqual(await get(t, served, 'note'), two.note)
  t.deepEqual(await get(t, served, 'letter'), two.letter)
  t.is((await someone.run(['check', '--repair', ...here.grid])).code, 0)
  t.is((await someone.run(['status'])).code, 0)
  await putAll(t, served, { more: randomBytes(100) })
  await someone.run(['flush', '--wait'])
  t.is(await served.end(), 0)
})

test('--gc removes what was removed a day ago, from all folders, with and without a server', async t => {
  const someone = await user(t)
  const here = store(someone, 'one', 'two')
  await filled(t, someone, here, two)
  const served = await someone.serve(...here.grid)
  const nfs = await client(t, served.port)
  await nfs.ok(REMOVE, { object: at(await nfs.root(), 'letter') })
  await someone.run(['flush', '--wait'])
  t.is((await someone.run(['check', '--gc', ...here.grid])).out, 'there was nothing to remove\n')
  await age(here.dirs)
  const gone = await someone.run(['check', '--gc', ...here.grid])
  t.is(gone.code, 0, gone.err)
  t.regex(gone.out, /^2 shares of 1 files and directories removed, 1\.7 MiB\n$/)
  t.deepEqual(await get(t, served, 'note'), two.note)
  await nfs.ok(REMOVE, { object: at(await nfs.root(), 'note') })
  await someone.run(['flush', '--wait'])
  await served.end()
  await age(here.dirs)
  const both = await someone.run(['check', '--repair', '--gc', ...here.grid])
  t.is(both.code, 0, both.err)
  t.regex(
    both.out,
    /^1 of 1 files and directories are healthy\n2 shares of 1 files and directories removed, /,
  )
  for (const dir of here.dirs) t.is((await shares(dir)).length, 1)
})

test('nothing is removed while something waits, also in the state of a server that was killed', async t => {
  const someone = await user(t)
  const here = store(someone, 'one')
  await filled(t, someone, here, two)
  const served = await someone.serve(...here.grid)
  const nfs = await client(t, served.port)
  await nfs.ok(REMOVE, { object: at(await nfs.root(), 'letter') })
  const file = await nfs.create(await nfs.root(), 'waits')
  const writing = new AbortController() // a file that is written to all the time does not come to the grid
  const written = (async () => {
    while (!writing.signal.aborted) {
      await nfs.write(file, 0, randomBytes(100), 'FILE_SYNC')
      await sleep(100)
    }
  })()
  const busy = await someone.run(['check', '--gc', ...here.grid])
  t.is(busy.code, 1)
  t.regex(busy.out, /^nothing is removed: \d files? waits? for the grid\n$/)
  writing.abort()
  await written
  await served.end('SIGKILL')
  await age(here.dirs)
  const before = await shares(here.dirs[0]!)
  const killed = await someone.run(['check', '--gc', ...here.grid])
  t.is(killed.code, 1, killed.err)
  t.regex(killed.out, /^nothing is removed: something waits in \S+; let its server publish that first\n$/)
  t.deepEqual(await shares(here.dirs[0]!), before)
  t.is((await someone.run(['check', ...here.grid])).code, 0)
  const again = await someone.serve(...here.grid)
  await someone.run(['flush', '--wait'])
  await again.end()
  t.is((await someone.run(['check', '--gc', ...here.grid])).code, 0)
})

test('what an alias leads to is kept, and while a root that was served has no name nothing is removed', async t => {
  const someone = await user(t)
  const here = store(someone, 'one')
  await filled(t, someone, here, two)
  const file = join(here.dirs[0]!, 'private/aliases')
  const [, cap] = /^tahoe: (\S+)$/m.exec(await readFile(file, 'utf8'))!
  await rm(file)
  const second = await someone.serve(...here.grid, '--state', someone.path('second')) // makes another root
  await second.end()
  await age(here.dirs)
  const missing = await someone.run(['check', '--gc', ...here.grid, '--state', someone.path('second')])
  t.is(missing.code, 1)
  t.regex(
    missing.out,
    /^nothing is removed: a root was served from here, with its state in \S+, that no alias leads to/,
  )
  await writeFile(file, `${await readFile(file, 'utf8')}old: ${cap}\n`)
  const all = await someone.run(['check', '--gc', ...here.grid, '--state', someone.path('second')])
  t.is(all.out, 'there was nothing to remove\n')
  t.is((await shares(here.dirs[0]!)).length, 4)
  t.notRegex(missing.out + missing.err, /URI:/)
  await writeFile(join(here.dirs[0]!, 'tahoe.cfg'), '')
  const node = await someone.run(['check', '--gc', ...here.grid, '--state', someone.path('second')])
  t.regex(
    node.out,
    /^nothing is removed: \S+one is a Tahoe node's, which may keep what no name here leads to\n$/,
  )
})

test('over a gateway the node does it, and what is not there is said in one line', async t => {
  const { user: someone, grid } = await world(t)
  const said = await someone.run(['check', '--repair', ...grid])
  refused(
    t,
    said,
    2,
    /over a gateway the node does that itself: tahoe deep-check --repair --add-lease ALIAS:$/m,
  )
  const named = await someone.run(['check', '--grid', grid[1]!, '--root', 'photos'])
  refused(t, named, 2, /tahoe deep-check --repair --add-lease photos:$/m)
  const served = await someone.serve(...grid)
  const { state } = JSON.parse((await someone.run(['status', '--json'])).out)
  refused(t, await someone.run(['check', '--state', state]), 2, /tahoe deep-check/)
  await served.end()
  const nowhere = ['--grid', `local:${someone.path('nowhere')}`]
  refused(
    t,
    await someone.run(['check', ...nowhere]),
    1,
    /nothing is stored in \S+nowhere: it does not exist/,
  )
  t.false((await readdir(someone.dir)).includes('nowhere'))
})

test('a server of the same folders for another root is told of', async t => {
  const someone = await user(t)
  const here = store(someone, 'one')
  const served = await someone.serve(...here.grid)
  await mkdir(someone.path('other'))
  await writeFile(someone.path('other/root'), inventedCap('other'))
  const said = await someone.run(['check', ...here.grid, '--root-file', someone.path('other/root')])
  refused(
    t,
    said,
    1,
    /process \d+ serves \S+one for another root, or with another state; ask it with --state \S+$/m,
  )
  await served.end()
})
