// A server from its start to its end, as its user meets it.

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { pino } from 'pino'
import { serveOnly } from '../../src/cli/frontends.ts'
import { listener } from '../../src/cli/port.ts'
import { start } from '../../src/cli/server.ts'
import { MKDIR } from '../../src/nfs/proc/making.ts'
import { parseCap } from '../../src/tahoe/cap.ts'
import { at, noAttrs } from '../nfs/conformance/world.ts'
import { client, refused, type User, world } from './world.ts'

const stateOf = async (user: User): Promise<string> => {
  const [name] = (await readdir(user.path('s/tahoe-nfs'))).filter(each => each !== 'run')
  return user.path(`s/tahoe-nfs/${name}`)
}

test('serve says where and how to mount it, is found by status, and SIGTERM and SIGINT end it and leave nothing lying about', async t => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const { user, grid } = await world(t)
    const served = await user.serve(...grid)
    t.regex(
      served.said.out,
      /^serving 127\.0\.0\.1:\d+; mount it with\n {2}(sudo )?sh \S+\/scripts\/mount-nfs\.sh mount 127\.0\.0\.1 \d+ \/ MOUNTPOINT\n$/,
    )
    const state = await stateOf(user)
    t.true((await readdir(state)).includes('control.sock'))
    const alone = await user.run(['status', '--json'])
    t.is(alone.code, 0)
    const told = JSON.parse(alone.out)
    t.like(told, {
      pid: served.child.pid,
      frontend: 'nfs',
      mountpoint: null,
      address: `127.0.0.1:${served.port}`,
      readOnly: false,
      errors: [],
      pending: { files: 0, bytes: 0, oldest: null, items: [] },
      conflicts: [],
    })
    t.true(told.grid.reachable)
    t.true(told.cache.limit > 0 && told.cache.bytes >= 0)
    t.is(JSON.parse((await user.run(['status', '--json', '--state', state])).out).pid, served.child.pid)
    t.regex(
      (await user.run(['status'])).out,
      /^no mount point: read-write, NFS on .*\n {2}grid +gateway http.*, reachable\n/,
    )
    t.is((await user.run(['export'])).out, '/\n')
    t.is(await served.end(signal), 0)
    t.is(served.said.err, '')
    t.false((await readdir(state)).includes('control.sock'))
    t.deepEqual(await readdir(user.path('s/tahoe-nfs/run')), [])
  }
})

test('--read-only is said, goes into the mount command, and stands in status; so it is for a root that cannot be written', async t => {
  const { user, grid, root } = await world(t)
  const readOnlyRoot = ['--root-file', user.path('readcap')]
  await writeFile(user.path('readcap'), parseCap(root).readonly().uri())
  for (const args of [
    [...grid, '--read-only'],
    [...grid.slice(0, 2), ...readOnlyRoot],
  ]) {
    const served = await user.serve(...args)
    t.regex(
      served.said.out,
      /^serving \S+ \(read-only\); mount it with\n.*mount-nfs\.sh mount --read-only 127\.0\.0\.1 /,
    )
    t.true(JSON.parse((await user.run(['status', '--json'])).out).readOnly)
    t.regex((await user.run(['status'])).out, /^no mount point: read-only, /)
    t.is(await served.end(), 0)
  }
})

test('a second start on the same root is refused and says who has it', async t => {
  const { user, grid } = await world(t)
  const served = await user.serve(...grid)
  for (const args of [['serve'], ['mount', user.path('mnt')], ['mount', '--foreground', user.path('mnt')]])
    refused(
      t,
      await user.run([...args, ...grid]),
      1,
      new RegExp(
        `already served by process ${served.child.pid} on 127.0.0.1:${served.port}.*tahoe-nfs status`,
      ),
    )
  t.is(await served.end(), 0)
})

test('two first starts at once: one serves, the other changes nothing of its state', async t => {
  const { user, grid } = await world(t)
  const both = await Promise.allSettled([user.serve(...grid), user.serve(...grid)])
  const up = both.flatMap(each => (each.status === 'fulfilled' ? [each.value] : []))
  t.is(up.length, 1)
  const names = await readdir(await stateOf(user))
  for (const name of ['state.db', 'lock', 'pid', 'port', 'control.sock']) t.true(names.includes(name), name)
  t.is(await up[0]!.end(), 0)
})

test('after kill -9 the next start has the same port and the same ids, handles go on working, and the note left behind is gone', async t => {
  const { user, grid } = await world(t)
  const first = await user.serve(...grid)
  const before = await client(t, first.port)
  const handle = await before.lookup(await before.root(), 'note')
  const { fileid } = await before.getattr(handle)
  await first.end('SIGKILL')
  t.deepEqual(await readdir(user.path('s/tahoe-nfs/run')), [`${first.child.pid}.json`])
  const second = await user.serve(...grid)
  t.is(second.port, first.port)
  const after = await client(t, second.port)
  t.is((await after.getattr(handle)).fileid, fileid)
  t.is((await after.read(handle)).length, 1)
  t.deepEqual(await after.lookup(await after.root(), 'note'), handle)
  t.is((await user.run(['status'])).code, 0)
  t.deepEqual(await readdir(user.path('s/tahoe-nfs/run')), [`${second.child.pid}.json`])
  t.is(await second.end(), 0)
})

test('a note that is no note is passed over', async t => {
  const { user, grid } = await world(t)
  const served = await user.serve(...grid)
  await writeFile(user.path('s/tahoe-nfs/run/1.json'), '{"pid":')
  t.is((await user.run(['status'])).code, 0)
  t.is(await served.end(), 0)
})

test('a state that is known starts while the node is down, and says so', async t => {
  const { user, grid, node } = await world(t)
  t.is(await (await user.serve(...grid)).end(), 0)
  await node.close()
  const served = await user.serve(...grid)
  t.regex(
    served.said.err,
    /the grid cannot be reached \(nothing listens.*what is known here is served meanwhile/,
  )
  const { grid: told, errors } = JSON.parse((await user.run(['status', '--json'])).out)
  t.false(told.reachable)
  t.is(errors.length, 1)
  t.regex((await user.run(['status'])).out, /out of reach for \d+ s: (list|usage)[^\n]*: nothing listens/)
  t.is(await served.end(), 0)
})

test('a backlog whose bytes are gone from the state is told of first, and nothing changes or is published', async t => {
  const { user, grid } = await world(t) // this node stores nothing
  const own = [...grid, '--state', user.path('st')]
  const first = await user.serve(...own)
  const nfs = await client(t, first.port)
  const file = await nfs.create(await nfs.root(), 'file')
  await nfs.write(file, 0, 'x'.repeat(100), 'FILE_SYNC')
  first.child.kill('SIGINT')
  while (!first.said.err.includes('a second ^C keeps it')) await sleep(20)
  t.is(await first.end('SIGINT'), 3)
  for (const name of await readdir(user.path('st/staging'))) await rm(user.path(`st/staging/${name}`))
  const second = await user.serve(...own)
  t.regex(second.said.err, /bytes that wait for the grid are missing from/)
  const { errors } = JSON.parse((await user.run(['status', '--json'])).out)
  t.regex(errors[0], /^bytes that wait for the grid are missing from \S+staging/)
  refused(
    t,
    await user.run(['flush', '--wait']),
    1,
    /nothing can be published: bytes that wait for the grid are/,
  )
  const after = await client(t, second.port)
  t.is(await after.status(MKDIR, { where: at(await after.root(), 'd'), attributes: noAttrs }), 'NFS3ERR_IO')
  t.is(await second.end('SIGTERM'), 3)
  t.regex(second.said.err, /nothing can be published: bytes[^\n]*\n[\s\S]*^not on the grid yet: 1 change/m)
})

test('mount where nothing can be mounted serves in the background, survives its parent, and says the command', async t => {
  const { user, grid, root } = await world(t)
  // No mount.nfs is in this PATH, and no sh would look elsewhere for the client of the kernel.
  const done = await user.run(['mount', '--frontend', 'nfs', ...grid, user.path('mnt')])
  if (/is mounted/.test(done.out)) return t.pass() // this machine can mount; the kernel's tests judge that
  t.is(done.code, 0, done.err)
  t.regex(
    done.out,
    /^serving 127\.0\.0\.1:\d+ by process \d+, not mounted: .+\nmount it with\n {2}.*mount-nfs\.sh mount .*\/mnt\nend it with: tahoe-nfs umount .*\/mnt\n$/,
  )
  const told = JSON.parse((await user.run(['status', '--json', user.path('mnt')])).out)
  t.is(told.mountpoint, user.path('mnt'))
  t.regex((await user.run(['status'])).out, /mnt \(not mounted\): /)
  const log = await readFile(`${told.state}/log`, 'utf8')
  t.regex(log, /"msg":"serving on 127\.0\.0\.1:\d+"/)
  t.false(log.includes('URI') || log.includes(root.slice(9, 30)) || log.includes('note'))
  const end = await user.run(['umount', user.path('mnt')])
  t.is(end.code, 0, end.err)
  t.regex(end.out, /^nothing was mounted at .*mnt; its server has ended\n$/)
  // Where nobody collects it, it stays listed, without a command line.
  t.is(await readFile(`/proc/${told.pid}/cmdline`, 'utf8').catch(() => ''), '')
})

test('mount --foreground where nothing can be mounted serves until it is told to end', async t => {
  const { user, grid } = await world(t)
  const child = user.start(['mount', '--frontend', 'nfs', '--foreground', ...grid, user.path('mnt')])
  let out = ''
  child.stdout!.setEncoding('utf8').on('data', text => (out += text))
  while (!out.includes('end it with') && child.exitCode === null)
    await new Promise(done => setTimeout(done, 20))
  t.regex(out, /mounted/)
  const ended = new Promise(resolve => child.once('exit', resolve))
  t.is((await user.run(['umount', user.path('mnt')])).code, 0)
  t.is(await ended, 0)
})

test('the mount point by default is ~/Tahoe, and is taken back when the start fails', async t => {
  const { user, root } = await world(t)
  refused(
    t,
    await user.run(['mount', '--grid', 'gateway:http://127.0.0.1:1/', '--root-file', '-'], root),
    1,
    /no grid/,
  )
  t.deepEqual(await readdir(user.home), [])
})

test('a root is read from standard input and from an alias with and without its colon', async t => {
  const { user, grid, root, node } = await world(t)
  await mkdir(user.path('h/.tahoe/private'), { recursive: true })
  await writeFile(user.path('h/.tahoe/node.url'), `${node.url}\n`)
  await writeFile(user.path('h/.tahoe/private/aliases'), `# mine\nother: URI:LIT:te\nphotos: ${root}\n`)
  const child = user.start(['serve', ...grid.slice(0, 2), '--root-file', '-'])
  child.stdin!.end(`${root}\n`)
  while (!(await user.run(['status'])).out.includes('NFS on')) t.is(child.exitCode, null)
  for (const alias of ['photos', 'photos:'])
    refused(t, await user.run(['serve', '--root', alias]), 1, /already served/)
})

test('a remembered port that another has is given up for a new one, but never while a mount points at it', async t => {
  const { user } = await world(t)
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await new Promise(resolve => other.once('listening', resolve))
  const { port } = other.address() as { port: number }
  await writeFile(user.path('port'), String(port))
  const mount = {
    mountpoint: '/mnt/photos',
    type: 'nfs',
    port,
    path: '/',
    readOnly: false,
    user: null,
    number: '0:50',
  }
  await t.throwsAsync(
    listener(user.dir, null, async () => [mount]),
    { message: new RegExp(`^port ${port} is in use: /mnt/photos is mounted through it: end the program`) },
  )
  t.is(await readFile(user.path('port'), 'utf8'), String(port))
  const found = await listener(user.dir, null, async () => [{ ...mount, port: null }])
  t.teardown(() => found.close())
  t.is(Number(await readFile(user.path('port'), 'utf8')), (found.address() as { port: number }).port)
})

test('where export paths are tokens, each one asked for over the control socket is another', async t => {
  const { user, node, root } = await world(t)
  const running = await start(
    {
      grid: { kind: 'gateway', url: node.url },
      root,
      stateDir: user.path('s'),
      cacheDir: user.path('c'),
      cacheSize: 0,
      ttl: 1000,
      frontend: 'nfs',
      listen: { host: '127.0.0.1', port: 0 },
      owner: { uid: 0, gid: 0 },
      readOnly: false,
      fsync: 'local',
      tokens: true,
      logLevel: 'info',
    },
    {
      plan: serveOnly,
      mountpoint: null,
      log: pino({ level: 'silent' }),
      signal: new AbortController().signal,
    },
  )
  t.teardown(() => running.close())
  const [first, second] = [
    await user.run(['export', '--state', user.path('s')]),
    await user.run(['export', '--state', user.path('s')]),
  ]
  t.regex(first.out, /^\/tahoe-[0-9a-f]{32}\n$/)
  t.not(first.out, second.out)
})
