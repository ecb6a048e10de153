// A node that does not answer, or is gone: what is written meanwhile is acknowledged, kept,
// told of, and published by itself once the node is back. The node is this file's own.

import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import { COMMIT } from '../../src/nfs/proc/data.ts'
import { CREATE } from '../../src/nfs/proc/making.ts'
import { at, noAttrs } from '../nfs/conformance/world.ts'
import { needs } from '../support/needs.ts'
import { folder } from '../support/places.ts'
import { startTahoe, type TahoeNode, whyNoTahoe } from '../support/tahoe.ts'
import { bytesAt, capAt, secretsOf, statusOf, tahoeWorld } from './tahoe-world.ts'
import { client, type Said, type User } from './world.ts'

const overTahoe = needs(whyNoTahoe() === null, 'a Tahoe-LAFS node, test/support/install-tahoe.sh')

/** A node that can be stopped, and comes back where it was. */
async function ownNode(t: ExecutionContext) {
  t.timeout(180_000) // between two assertions; a node takes a while to start
  const dir = join(await folder(t), 'node')
  let node: TahoeNode = await startTahoe(dir)
  t.teardown(() => {
    process.kill(node.pid, 'SIGCONT')
    return node.stop()
  })
  const cfg = join(dir, 'tahoe.cfg')
  const text = await readFile(cfg, 'utf8')
  await writeFile(cfg, text.replace('web.port = tcp:0:', `web.port = tcp:${new URL(node.url).port}:`))
  return {
    url: node.url,
    /** It takes connections, and answers nothing. */
    freeze: () => process.kill(node.pid, 'SIGSTOP'),
    thaw: () => process.kill(node.pid, 'SIGCONT'),
    end: () => node.stop(),
    async begin() {
      node = await startTahoe(dir)
    },
  }
}

const NAME = 'a-name-that-waits'
/** Longer than what a cap can carry itself. */
const TEXT = 'a text that waits until the grid is there '.repeat(10)

/** Makes a file and waits until it is safe here. */
async function put(t: ExecutionContext, port: number, name: string): Promise<void> {
  const nfs = await client(t, port)
  const file = await nfs.create(await nfs.root(), name)
  await nfs.write(file, 0, TEXT)
  await nfs.ok(COMMIT, { file, offset: 0, count: 0 })
}

/** Runs until it is interrupted, once it has begun; on a busy machine that takes more than one try. */
async function interrupted(user: User, args: string[]): Promise<Said> {
  for (let patience = 2000; ; patience *= 2) {
    const child = user.start(args)
    const texts = ['', '']
    child.stdout!.setEncoding('utf8').on('data', text => (texts[0] += text))
    child.stderr!.setEncoding('utf8').on('data', text => (texts[1] += text))
    const closed = once(child, 'close') as Promise<[number | null]>
    await sleep(patience)
    child.kill('SIGINT')
    const [code] = await closed
    if (code !== null) return { code, out: texts[0]!, err: texts[1]! }
  }
}

const portIn = (address: string | null): number => Number(/:(\d+)$/.exec(address!)![1])

async function published(user: User): Promise<void> {
  while ((await statusOf(user)).pending.files > 0) await sleep(200)
}

const KEPT =
  /^not on the grid yet: 1 change, 420 B; it is kept in (\S+), and goes on when this root is served from there again$/m

overTahoe(
  'umount with a frozen node keeps the backlog, exits with 3 and says where; the next mount publishes it by itself, and no cap shows',
  async t => {
    const node = await ownNode(t)
    const { user, root, grid } = await tahoeWorld(t, node, { hello: 'hello\n' })
    const said: Said[] = []
    const run = async (...args: string[]): Promise<Said> => {
      const one = await user.run(args)
      said.push(one)
      return one
    }
    const mount = ['mount', '--frontend', 'nfs', ...grid, '--log-level', 'debug', user.path('mnt')]
    const mounted = await run(...mount)
    t.is(mounted.code, 0, mounted.err)
    t.notRegex(mounted.out, /read-only/)
    const { address, state } = await statusOf(user)
    await (await client(t, portIn(address))).root()
    node.freeze()
    await put(t, portIn(address), NAME)

    const shown = await run('status')
    t.regex(
      shown.out,
      /\n {2}waiting {2}1 change, 420 B, the oldest for \d+ s\n {11}\/a-name-that-waits: \w+, 420 B/,
    )
    const flushed = await run('flush')
    t.is(flushed.code, 0, flushed.err)
    t.regex(flushed.out, /^publishing what waits; in all 1 change, 420 B\n {2}\/a-name-that-waits: /)
    const below = await run('flush', user.path('mnt/hello'))
    t.is(below.out, 'publishing what waits at /hello; in all 1 change, 420 B\n')

    const impatient = await interrupted(user, ['flush', '--wait', user.path(`mnt/${NAME}`)])
    said.push(impatient)
    t.is(impatient.code, 3)
    t.regex(
      impatient.out,
      /^not waited for any longer; it goes on, in all 1 change, 420 B\n {2}\/a-name-that-waits: /,
    )

    const ended = await run('umount', user.path('mnt'))
    t.is(ended.code, 3, ended.err)
    t.is(KEPT.exec(ended.out)?.[1], state)
    t.regex((await run('status')).err, /no server of yours runs/)

    node.thaw()
    t.is(await bytesAt(node, root, `/${NAME}`), null)
    t.regex((await run(...mount)).out, /^still to be published from before: 1 change, 420 B$/m)
    await published(user)
    t.is(String(await bytesAt(node, root, `/${NAME}`)), TEXT)
    said.push(await user.run(['status', '--json']))
    const done = await run('umount', '--wait', user.path('mnt'))
    t.is(done.code, 0, done.err)
    t.notRegex(done.out, /not on the grid/)

    const log = await readFile(join(state, 'log'), 'utf8')
    t.regex(log, /"files":1,"bytes":420,"msg":"not everything is on the grid; it is kept for the next start"/)
    const secrets = secretsOf(root, await capAt(node, root, NAME))
    t.true(secrets.length >= 6)
    for (const text of [log, ...said.flatMap(({ out, err }) => [out, err])])
      for (const secret of secrets) t.false(text.includes(secret), text)
    t.false(log.includes(TEXT.trim()))
  },
)

overTahoe(
  'a node that is gone is told of with each item; what is kept rests encrypted, and is published also read-only, once the node is back',
  async t => {
    const node = await ownNode(t)
    const { user, root, grid } = await tahoeWorld(t, node, { hello: 'hello\n' })
    const own = ['--state', user.path('st')]
    const first = await user.serve(...grid, ...own)
    await (await client(t, first.port)).root()
    await node.end()
    await put(t, first.port, NAME)
    const failed = async () => (await statusOf(user)).pending.items.find(({ error }) => error !== null)
    while (!(await failed())) await sleep(200)
    t.regex((await failed())!.error!, /^EAGAIN: upload 420 bytes: nothing listens at the node URL$/)
    t.regex(
      (await user.run(['status'])).out,
      /grid .*, out of reach for \d+ s: .*\n[\s\S]* {11}\/a-name-that-waits: (waiting|uploading), 420 B[^,]*, for \d+ s; upload 420 bytes: nothing listens at the node URL; tried again (in \d+ s|now)\n[\s\S]*\n {2}error {4}upload/,
    )
    t.is(await first.end('SIGINT'), 3)
    t.is(KEPT.exec(first.said.err)?.[1], user.path('st'))
    t.regex(first.said.err, /^1 change, 420 B to publish first, for at most 10 s; a second \^C keeps it/m)

    for (const name of await readdir(user.path('st'), { recursive: true })) {
      const bytes = await readFile(user.path(`st/${name}`)).catch(() => Buffer.alloc(0)) // a directory
      for (const secret of [TEXT, NAME, ...secretsOf(root)]) t.is(bytes.indexOf(secret), -1, name)
    }

    const second = await user.serve(...grid, ...own, '--read-only') // what is known is served without the node
    t.regex(second.said.err, /the grid cannot be reached/)
    t.regex(second.said.out, /^still to be published from before: 1 change, 420 B\nserving /)
    const nfs = await client(t, second.port)
    const top = await nfs.root()
    t.is(String(await nfs.read(await nfs.lookup(top, NAME))), TEXT)
    const how = { is: 'GUARDED' as const, value: noAttrs }
    t.is(await nfs.status(CREATE, { where: at(top, 'new'), how }), 'NFS3ERR_ROFS')
    t.like(await statusOf(user), { readOnly: true, pending: { files: 1, bytes: 420 } })
    await node.begin()
    await published(user)
    t.is(String(await bytesAt(node, root, `/${NAME}`)), TEXT)
    t.is(await second.end(), 0)
  },
)

overTahoe(
  'with --fsync grid COMMIT is not answered while the node is frozen, and a second ^C ends at once',
  async t => {
    const node = await ownNode(t)
    const { user, root, grid } = await tahoeWorld(t, node, { hello: 'hello\n' })
    const served = await user.serve(...grid, '--fsync', 'grid')
    const nfs = await client(t, served.port)
    const top = await nfs.root()
    node.freeze()
    const file = await nfs.create(top, NAME)
    await nfs.write(file, 0, TEXT)
    let answered = false
    const commit = nfs.ok(COMMIT, { file, offset: 0, count: 0 }).finally(() => (answered = true))
    await sleep(3000)
    t.false(answered)
    node.thaw()
    await commit
    t.is(String(await bytesAt(node, root, `/${NAME}`)), TEXT)
    node.freeze()
    await nfs.write(await nfs.create(top, 'more'), 0, TEXT)
    const began = Date.now()
    served.child.kill('SIGINT')
    while (!served.said.err.includes('to publish first')) await sleep(20)
    t.is(await served.end('SIGINT'), 3)
    t.true(Date.now() - began < 9_000)
    t.regex(served.said.err, KEPT)
  },
)
