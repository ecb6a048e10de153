// The whole of it: the program over a real Tahoe node, read by libnfs, a client of other
// people's making, while nothing secret shows in the system's process list.

import { execFile, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { ExecutionContext } from 'ava'
import { needs } from '../support/needs.ts'
import { loseShares, makeTree, type SharedNode, sharedTahoe, whyNoTahoe } from '../support/tahoe.ts'
import { refused, type Served, type User, user } from './world.ts'

const run = promisify(execFile)
const noTahoe = whyNoTahoe()
const tools = ['nfs-ls', 'nfs-cat'].every(tool => spawnSync(tool).error === undefined)
const overTahoe = needs(noTahoe === null, 'a Tahoe-LAFS node, test/support/install-tahoe.sh')
const withLibnfs = needs(noTahoe === null && tools, 'a Tahoe-LAFS node, and libnfs-utils')

async function world(t: ExecutionContext) {
  t.timeout(150_000)
  const node: SharedNode = await sharedTahoe()
  const someone = await user(t)
  const big = randomBytes(3_000_000)
  const root = await makeTree(node, { hello: 'hello\n', sub: { inner: 'inside' }, big })
  await writeFile(someone.path('root'), root.uri(), { mode: 0o600 })
  const grid = ['--grid', `gateway:${node.url}`, '--root-file', someone.path('root')]
  return { node, user: someone, root, grid, big }
}

// A file of the root needs "//name": libnfs mounts a file's parent by its path.
const url = ({ port }: Served, path: string) =>
  `nfs://127.0.0.1/${path}?nfsport=${port}&mountport=${port}&version=3`

const cat = async (served: Served, path: string): Promise<Buffer> =>
  (await run('nfs-cat', [url(served, path)], { encoding: 'buffer', maxBuffer: 2 ** 26 })).stdout

const ids = async (served: Served): Promise<string> => (await run('nfs-ls', ['-R', url(served, '')])).stdout

/** The arguments and the environment of every process of this machine that may be seen. */
async function processes(): Promise<string> {
  const texts = []
  for (const pid of (await readdir('/proc')).filter(name => /^\d+$/.test(name)))
    for (const file of ['cmdline', 'environ'])
      texts.push(await readFile(join('/proc', pid, file), 'latin1').catch(() => ''))
  return texts.join('\0')
}

withLibnfs(
  'serve shows a real grid to libnfs, byte for byte, and again after kill -9 with the node gone',
  async t => {
    const { user, grid, big } = await world(t)
    const first = await user.serve(...grid, '--uid', String(process.getuid!()))
    t.regex((await run('nfs-ls', [url(first, '')])).stdout, / 3000000 big\n/)
    t.deepEqual(await cat(first, '/big'), big)
    t.is((await cat(first, 'sub/inner')).toString(), 'inside')
    const before = await ids(first)
    t.is((await user.run(['status'])).out.includes('calls    0,'), false)
    await first.end('SIGKILL')
    const down = ['--grid', 'gateway:http://127.0.0.1:1/', ...grid.slice(2)]
    const second = await user.serve(...down)
    t.is(second.port, first.port)
    t.is(await ids(second), before)
    t.deepEqual(await cat(second, '/big'), big) // from the cache
    t.is(await second.end(), 0)
  },
)

const onLinux = needs(noTahoe === null && process.platform === 'linux', 'a Tahoe-LAFS node, and /proc')

onLinux(
  'no cap stands in the arguments or the environment of any process, in what is printed, or in the log',
  async t => {
    const { user, grid, root } = await world(t)
    const secrets = root.uri().split(':').slice(2)
    const served = await user.serve(...grid, '--log-level', 'debug')
    let seen = await processes()
    t.true(seen.includes('tahoe-nfs.js'))
    await served.end()
    const done = await user.run(['mount', ...grid, '--log-level', 'debug', user.path('mnt')])
    t.is(done.code, 0, done.err)
    seen += await processes()
    t.true(seen.includes('daemon'))
    const told = await user.run(['status', '--json'])
    const log = await readFile(`${JSON.parse(told.out).state}/log`, 'utf8')
    t.true(log.length > 0)
    const texts = {
      seen,
      said: served.said.out + served.said.err,
      done: done.out + done.err,
      told: told.out,
      log,
    }
    for (const [where, text] of Object.entries(texts))
      for (const secret of secrets) t.false(text.includes(secret), where)
    t.is((await user.run(['umount', user.path('mnt')])).code, 0)
  },
)

overTahoe(
  'doctor finds the node and its aliases, says what is missing, and its exit code says whether anything is',
  async t => {
    const { user, node, root } = await world(t)
    const none = await user.run(['doctor'])
    t.regex(none.out, /^ok +Node: v\d+/)
    t.regex(none.out, /ok {7}a grid: shares will be in \S+tahoe-nfs, which is made at the first start\n/)
    const wrong = await user.run(['doctor', '--grid', 'gateway'])
    t.is(wrong.code, 1)
    t.regex(wrong.out, /missing {2}a grid: --grid gateway: there is no \S+node\.url/)
    t.regex(none.out, /servers that run: none\n$/)
    await mkdir(user.path('h/.tahoe/private'), { recursive: true })
    await writeFile(user.path('h/.tahoe/node.url'), `${node.url}\n`)
    await writeFile(user.path('h/.tahoe/private/aliases'), `tahoe: ${root.uri()}\n`)
    const found = await user.run(['doctor'])
    t.regex(
      found.out,
      /ok {7}a grid: http:\S+: 1 of 1 storage servers connected; its directory has aliases\n/,
    )
    t.is(found.code, /^ok +mounting over/m.test(found.out) ? 0 : 1)
    const bad = await user.run(['doctor', '--grid', 'gateway:nonsense'])
    t.is(bad.code, 1)
    t.regex(bad.out, /missing {2}a grid: node URL: give one like/)
    const served = await user.serve() // and with the alias and the node of the home nothing need be given
    t.regex((await user.run(['doctor'])).out, new RegExp(`servers that run: 127.0.0.1:${served.port}\n$`))
    t.is(await served.end(), 0)
  },
)

overTahoe(
  'a root whose shares are out of reach is no empty folder: the start fails, and leaves nothing',
  async t => {
    const { node, user, root, grid } = await world(t)
    await loseShares(node, root)
    const before = await user.everything()
    refused(
      t,
      await user.run(['serve', ...grid]),
      1,
      /the root directory cannot be read: the node answered 410/,
    )
    t.deepEqual(await user.everything(), before)
  },
)

/** The owner that libnfs shows of everything. */
const owners = async (served: Served): Promise<string[]> =>
  (await run('nfs-ls', [url(served, '')])).stdout
    .trim()
    .split('\n')
    .map(line => line.trim().split(/\s+/).slice(2, 4).join(':'))

const asRoot = needs(
  noTahoe === null && tools && process.getuid?.() === 0,
  'root, a Tahoe-LAFS node, and libnfs-utils',
)

asRoot('files belong to --uid and --gid, else to who called sudo, else to the server’s own', async t => {
  const { user, grid } = await world(t)
  const sudo = { SUDO_UID: '12345', SUDO_GID: '12346' }
  const cases: [Record<string, string>, string[], string][] = [
    [{}, [], '0:0'],
    [sudo, [], '12345:12346'],
    [sudo, ['--uid', '7', '--gid', '8'], '7:8'],
  ]
  for (const [env, args, owner] of cases) {
    Object.assign(user.env, env)
    const served = await user.serve(...grid, ...args)
    t.deepEqual([...new Set(await owners(served))], [owner])
    t.is(await served.end(), 0)
  }
})

const withUsers = needs(process.getuid?.() === 0 && process.platform === 'linux', 'root on Linux')

withUsers('under sudo the node directory is looked for in the home of who called', async t => {
  const someone: User = await user(t)
  const line = (await readFile('/etc/passwd', 'utf8'))
    .split('\n')
    .find(each => /^[^:]+:[^:]*:[1-9]\d*:/.test(each))
  const [, , uid, , , home] = line!.split(':')
  const said = await someone.run(['serve', '--grid', 'gateway'], '', { SUDO_UID: uid!, SUDO_GID: uid! })
  refused(t, said, 1, /there is no/)
  t.true(said.err.includes(`${home!.replace(/\/$/, '')}/.tahoe/node.url`), said.err)
})
