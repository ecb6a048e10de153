// The program over folders of shares, with nothing but Node: made at the first start, found again,
// and never two of it at once.

import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { get, kill, putAll, refused, type Served, type User, user } from './world.ts'

const root = async (dir: string): Promise<string> =>
  /^tahoe: (URI:DIR2:\S+)$/m.exec(await readFile(join(dir, 'private/aliases'), 'utf8'))![1]!

/** Ends it when all is in its folders. */
async function end(someone: User, served: Served): Promise<void> {
  await someone.run(['flush', '--wait'])
  await served.end()
}

test('a first start without options makes a folder, which stays the grid also when a node appears', async t => {
  const someone = await user(t)
  const first = await someone.serve()
  const bytes = randomBytes(700_000)
  await putAll(t, first, { letter: bytes })
  await end(someone, first)
  const dir = someone.path('d/tahoe-nfs')
  for (const name of ['aliases', 'convergence', 'secret', 'folders'])
    t.is((await stat(join(dir, 'private', name))).mode & 0o777, 0o600, name)
  const cap = await root(dir)
  t.false((first.said.out + first.said.err).includes(cap))
  await mkdir(someone.path('h/.tahoe/private'), { recursive: true })
  await writeFile(someone.path('h/.tahoe/node.url'), 'http://127.0.0.1:1/')
  const second = await someone.serve()
  t.regex((await someone.run(['status'])).out, /grid {5}local \S+\/d\/tahoe-nfs, reachable/)
  t.deepEqual(await get(t, second, 'letter'), bytes)
  await second.end()
  t.is(await root(dir), cap)
})

test('what was acknowledged is there after kill -9 of everything, and nobody else may open the folder meanwhile', async t => {
  const someone = await user(t)
  const grid = ['--grid', `local:${someone.path('store')}`]
  const first = await someone.serve(...grid)
  const bytes = randomBytes(3_000_000)
  await putAll(t, first, { kept: bytes })
  const other = await someone.run(['serve', ...grid, '--state', someone.path('other')])
  refused(t, other, 1, /the shares in \S+store are in use by another process/)
  await first.end('SIGKILL')
  const second = await someone.serve(...grid)
  t.deepEqual(await get(t, second, 'kept'), bytes)
  await end(someone, second)
  // Also without the state: it is in the folder.
  await rm(someone.path('s'), { recursive: true })
  await rm(someone.path('c'), { recursive: true })
  const third = await someone.serve(...grid)
  t.deepEqual(await get(t, third, 'kept'), bytes)
  await third.end()
})

test('over three folders any one may be lost: it is read from the others, and written when it is back', async t => {
  const someone = await user(t)
  const dirs = ['one', 'two', 'three'].map(name => someone.path(name))
  const grid = ['--grid', `local:${dirs.join(',')}`]
  const first = await someone.serve(...grid)
  const bytes = randomBytes(2_500_000)
  await putAll(t, first, { spread: bytes })
  await end(someone, first)
  for (const dir of dirs) t.true((await readdir(join(dir, 'storage/shares'))).length > 1)
  await rm(someone.path('c'), { recursive: true })
  await rename(dirs[1]!, someone.path('away'))
  const second = await someone.serve(...grid)
  t.deepEqual(await get(t, second, 'spread'), bytes)
  const late = randomBytes(1000)
  await putAll(t, second, { new: late })
  const { pending, errors } = JSON.parse((await someone.run(['status', '--json'])).out)
  t.is(pending.files, 1)
  t.regex(errors[0], /two: it is empty: is its disk not mounted\?/)
  await second.end()
  t.false((await readdir(someone.dir)).includes('two'), 'nothing is put where the lost folder was')
  await rename(someone.path('away'), dirs[1]!)
  const third = await someone.serve(...grid)
  await end(someone, third)
  const fourth = await someone.serve(...grid)
  t.deepEqual(await get(t, fourth, 'new'), late)
  t.is(JSON.parse((await someone.run(['status', '--json'])).out).pending.files, 0)
  await fourth.end()
})

test('without the disk of its first folder a grid of several is not begun anew', async t => {
  const someone = await user(t)
  const [one, two] = [someone.path('one'), someone.path('two')]
  const first = await someone.serve('--grid', `local:${one},${two}`)
  await end(someone, first)
  await rename(one, someone.path('away'))
  const said = await someone.run(['serve', '--grid', `local:${one},${two}`])
  refused(t, said, 1, /one is empty, and \S+two is not: is its disk not mounted\?/)
  t.deepEqual(await readdir(someone.dir).then(names => names.includes('one')), false)
})

test('folders named in another order are not made into another grid', async t => {
  const someone = await user(t)
  const [one, two] = [someone.path('one'), someone.path('two')]
  const first = await someone.serve('--grid', `local:${one},${two}`)
  await end(someone, first)
  const said = await someone.run(['serve', '--grid', `local:${two},${one}`])
  refused(t, said, 1, /one is the first folder of a grid: name it before \S+two/)
  t.false((await readdir(two)).includes('private'))
})

test('a store whose disk is not mounted is not begun anew in its place, one that was removed is', async t => {
  const someone = await user(t)
  const dir = someone.path('store')
  const first = await someone.serve('--grid', `local:${dir}`)
  await first.end()
  await rm(dir, { recursive: true })
  const again = await someone.serve('--grid', `local:${dir}`)
  await again.end()
  await rm(dir, { recursive: true })
  const stores = someone.path('s/tahoe-nfs/stores')
  const lines = (await readFile(stores, 'utf8')).trimEnd().split('\n')
  t.regex(lines.at(-1)!, /^\d+ \S+store$/)
  await writeFile(stores, `1${lines.at(-1)!}\n`) // as if it had been on another file system
  const said = await someone.run(['serve', '--grid', `local:${dir}`])
  refused(t, said, 1, /store held a store, and is on another file system now: is its disk not mounted\?/)
  t.false((await readdir(someone.dir)).includes('store'))
})

test('a folder that a running Tahoe node has is left to it', async t => {
  const someone = await user(t)
  const dir = someone.path('node')
  await mkdir(dir)
  await writeFile(join(dir, 'running.process'), `${process.pid} 1700000000.0\n`)
  const said = await someone.run(['serve', '--grid', `local:${dir}`])
  refused(t, said, 1, /is a Tahoe node that runs: give --grid gateway:URL instead/)
  t.deepEqual(await readdir(dir), ['running.process'])
})

test('a mount in the background is served from its folder until it is ended', async t => {
  const someone = await user(t)
  const said = await someone.run(['mount', '--grid', `local:${someone.path('store')}`, someone.path('mnt')])
  t.is(said.code, 0, said.err)
  const { pid } = JSON.parse((await someone.run(['status', '--json'])).out)
  t.is((await someone.run(['umount', someone.path('mnt')])).code, 0)
  await kill(pid, 'SIGKILL') // returns when it is gone
  const again = await someone.serve('--grid', `local:${someone.path('store')}`)
  await again.end()
})
