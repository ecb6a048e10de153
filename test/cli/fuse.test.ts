// A folder that is mounted over FUSE, as its user meets it: on the kernel's own /dev/fuse, with
// servers that end in every way and programs that use it meanwhile.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import { usersOf } from '../../src/cli/using.ts'
import { whyNoFuse } from '../../src/fuse/machine.ts'
import { unmountFuse } from '../../src/fuse/mount.ts'
import { type MountLine, mountLines } from '../../src/fuse/mountinfo.ts'
import { needs } from '../support/needs.ts'
import { type Lack, NOBODY, Ordinary } from '../support/ordinary.ts'
import { bin, client, kill, refused, type Said, User, user } from './world.ts'

const isRoot = process.getuid?.() === 0
const whyNot = await whyNoFuse()
const fuse = needs(whyNot === null, `FUSE: ${whyNot}`)
const asRoot = needs(isRoot && whyNot === null, 'root, and FUSE')

const mountedAt = async (mountpoint: string): Promise<MountLine[]> =>
  (await mountLines()).filter(each => each.mountpoint === mountpoint)

/** Somebody whose mount point is free again in the end, whatever happened. */
async function someone(t: ExecutionContext): Promise<{ eve: User; mnt: string }> {
  const eve = await user(t)
  const mnt = eve.path('mnt')
  t.teardown(async () => {
    while ((await mountedAt(mnt)).length > 0) await unmountFuse(mnt, { lazy: true })
  })
  return { eve, mnt }
}

const FUSE = ['--frontend', 'fuse']

async function mounts(t: ExecutionContext, eve: User, ...more: string[]): Promise<string> {
  const said = await eve.run(['mount', ...FUSE, ...more])
  t.is(said.code, 0, said.err)
  return said.out
}

/** What it says of itself to programs. */
const statusOf = async (eve: User): Promise<{ pid: number; state: string } & Record<string, unknown>> =>
  JSON.parse((await eve.run(['status', '--json'])).out)

const textIn = (mnt: string, name: string): Promise<string> => readFile(join(mnt, name), 'utf8')

/** A program that uses what is mounted, until the test is over; its number. */
async function uses(t: ExecutionContext, script: string, ...args: string[]): Promise<number> {
  const child = spawn('sh', ['-c', `${script}; echo; exec sleep 1000`, 'sh', ...args], {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout!, 'data')
  return child.pid!
}

/** Whoever uses what is gone hears of it at once. */
async function fails(t: ExecutionContext, work: Promise<unknown>): Promise<void> {
  const err = await t.throwsAsync<NodeJS.ErrnoException>(work)
  t.regex(err!.code!, /^(ENOTCONN|ECONNABORTED)$/)
}

async function until(t: ExecutionContext, isSo: () => Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if (await isSo()) return
    await sleep(50)
  }
  t.fail(`it did not come about: ${what}`)
}

fuse('a folder is mounted over FUSE, found by status, flush and doctor, and unmounted', async t => {
  const { eve, mnt } = await someone(t)
  t.regex(
    await mounts(t, eve, mnt),
    /^\S+mnt is mounted, served by process \d+ over FUSE; end it with: tahoe-nfs umount \S+mnt\n$/,
  )
  await mkdir(join(mnt, 'd'))
  await writeFile(join(mnt, 'd/letter'), 'dear Eve')
  const told = await statusOf(eve)
  t.like(told, { frontend: 'fuse', mountpoint: mnt, address: null, readOnly: false })
  t.true((told['calls'] as number) > 3)
  t.is(JSON.parse((await eve.run(['status', '--json', mnt])).out).pid, told.pid)
  t.regex((await eve.run(['status'])).out, /^\S+mnt: read-write, FUSE, process \d+\n {2}grid /)
  const flushed = await eve.run(['flush', '--wait', join(mnt, 'd/letter')])
  t.regex(flushed.out, /^(what waited at \/d\/letter is on the grid|nothing waits)\n$/, flushed.err)
  refused(t, await eve.run(['flush', join(mnt, 'd/none')]), 1, /nothing is at \/d\/none in what is served/)
  t.regex((await eve.run(['doctor'])).out, /^ok {7}mounting over FUSE: this user can mount$/m)
  t.is(await textIn(mnt, 'd/letter'), 'dear Eve')
  const end = await eve.run(['umount', mnt])
  t.regex(end.out, /^\S+mnt is unmounted, and its server has ended\n$/, end.err)
  t.deepEqual(await readdir(mnt), [])
  t.deepEqual(await readdir(eve.path('s/tahoe-nfs/run')), [])
  t.is(await readFile(`/proc/${told.pid}/cmdline`, 'utf8').catch(() => ''), '')
  t.regex(await readFile(`${told.state}/log`, 'utf8'), /"msg":"serving over FUSE"[\s\S]*"msg":"ended"/)
})

fuse(
  'after kill -9 whoever looks gets an error, and the next start clears the mount and has everything',
  async t => {
    const { eve, mnt } = await someone(t)
    for (const frontend of ['fuse', 'auto', 'nfs']) {
      await mounts(t, eve, mnt)
      await writeFile(join(mnt, frontend), 'kept')
      const file = await open(join(mnt, frontend))
      await kill((await statusOf(eve)).pid, 'SIGKILL')
      await fails(t, file.read({ buffer: Buffer.alloc(4), position: 0 }))
      await file.close().catch(() => {})
      await fails(t, readFile(join(mnt, 'other')))
      t.is((await mountedAt(mnt)).length, 1)
      const again = await eve.run(['mount', '--frontend', frontend, mnt])
      t.is(again.code, 0, again.err)
      if (frontend !== 'nfs') t.is(await textIn(mnt, frontend), 'kept')
      t.true((await mountedAt(mnt)).every(each => each.type !== 'fuse.tahoe-nfs' || frontend !== 'nfs'))
      t.is((await eve.run(['umount', mnt])).code, 0)
      t.deepEqual(await mountedAt(mnt), [])
    }
  },
)

fuse('umount clears what a killed server has left', async t => {
  const { eve, mnt } = await someone(t)
  await mounts(t, eve, mnt)
  await kill((await statusOf(eve)).pid, 'SIGKILL')
  const end = await eve.run(['umount', mnt])
  t.is(end.code, 0, end.err)
  t.regex(end.out, /^\S+mnt is unmounted\n$/)
  t.deepEqual(await mountedAt(mnt), [])
  refused(t, await eve.run(['umount', mnt]), 1, /is not mounted, and no server of yours serves it/)
})

/** Mounted by a process in the foreground. */
async function foreground(
  eve: User,
  ...args: string[]
): Promise<{ child: ChildProcess; said: Said & { out: string } }> {
  const child = eve.start(['mount', ...FUSE, '--foreground', ...args])
  const said = { code: null, out: '', err: '' }
  child.stdout!.setEncoding('utf8').on('data', text => (said.out += text))
  child.stderr!.setEncoding('utf8').on('data', text => (said.err += text))
  while (!said.out.includes('is mounted') && child.exitCode === null) await sleep(20)
  return { child, said }
}

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
  fuse(`${signal} unmounts, publishes and leaves nothing lying about`, async t => {
    const { eve, mnt } = await someone(t)
    const { child, said } = await foreground(eve, mnt)
    await writeFile(join(mnt, 'late'), 'but kept')
    const exit = once(child, 'exit')
    child.kill(signal)
    t.deepEqual(await exit, [0, null], said.err)
    t.deepEqual(await mountedAt(mnt), [])
    await mounts(t, eve, mnt)
    t.is(await textIn(mnt, 'late'), 'but kept')
    t.is((await eve.run(['umount', mnt])).code, 0)
  })

fuse('a server that ends by an error nobody caught leaves nothing mounted, and its log says why', async t => {
  const { eve, mnt } = await someone(t)
  const code = `process.on('SIGUSR2', () => { throw new Error('as if it had a fault') })`
  const env = { NODE_OPTIONS: `--import "data:text/javascript,${encodeURIComponent(code)}"` }
  const said = await eve.run(['mount', ...FUSE, mnt], '', env)
  t.is(said.code, 0, said.err)
  await writeFile(join(mnt, 'note'), 'kept')
  const { pid, state } = await statusOf(eve)
  const file = await open(join(mnt, 'note'))
  await kill(pid, 'SIGUSR2')
  await fails(t, file.read({ buffer: Buffer.alloc(4), position: 0 }))
  await file.close().catch(() => {})
  t.deepEqual(await mountedAt(mnt), [])
  t.regex(
    await readFile(`${state}/log`, 'utf8'),
    /as if it had a fault.*"msg":"not meant to happen: it ends here"/,
  )
  await mounts(t, eve, mnt)
  t.is(await textIn(mnt, 'note'), 'kept')
  t.is((await eve.run(['umount', mnt])).code, 0)
})

fuse('a mount in use is not unmounted, who uses it is named, and it goes on', async t => {
  const { eve, mnt } = await someone(t)
  await mounts(t, eve, mnt)
  await mkdir(join(mnt, 'd'))
  await writeFile(join(mnt, 'd/file'), 'x')
  const waysOf: Record<string, string> = {
    'its folder': 'cd "$1/d"',
    'an open file': 'exec 5<"$1/d/file"',
    'a folder that was removed': 'mkdir "$1/gone" && cd "$1/gone" && rmdir "$1/gone"',
  }
  for (const [way, script] of Object.entries(waysOf)) {
    const pid = await uses(t, script, mnt)
    refused(
      t,
      await eve.run(['umount', mnt]),
      1,
      new RegExp(`mnt is in use by sleep \\(${pid}\\); end what uses it, or give --force`),
    )
    t.is(await textIn(mnt, 'd/file'), 'x', way)
    await kill(pid, 'SIGKILL')
  }
  const mapping = spawn(process.execPath, ['-e', 'console.log(1); setInterval(() => {}, 1e6)'], { cwd: mnt })
  t.teardown(() => mapping.kill('SIGKILL'))
  await once(mapping.stdout, 'data')
  refused(t, await eve.run(['umount', mnt]), 1, new RegExp(`in use by node \\(${mapping.pid}\\);`))
  mapping.kill('SIGKILL')
  await once(mapping, 'exit')
  const end = await eve.run(['umount', mnt])
  t.is(end.code, 0, end.err)
})

asRoot('what is mounted in it keeps a mount as well', async t => {
  const { eve, mnt } = await someone(t)
  await mounts(t, eve, mnt)
  const below = join(mnt, 'below')
  await mkdir(below)
  await once(spawn('mount', ['-t', 'tmpfs', 'tmpfs', below]), 'exit')
  refused(t, await eve.run(['umount', mnt]), 1, /mnt is in use by what is mounted on \S+mnt\/below;/)
  await once(spawn('umount', [below]), 'exit')
  t.is((await eve.run(['umount', mnt])).code, 0)
})

fuse('umount --force takes a mount in use out of sight, and whoever used it gets an error', async t => {
  const { eve, mnt } = await someone(t)
  await mounts(t, eve, mnt)
  await writeFile(join(mnt, 'file'), 'x')
  const file = await open(join(mnt, 'file'))
  const end = await eve.run(['umount', '--force', mnt])
  t.is(end.code, 0, end.err)
  t.regex(end.out, /^\S+mnt is unmounted, and its server has ended\n$/)
  await fails(t, file.read({ buffer: Buffer.alloc(1), position: 0 }))
  await file.close().catch(() => {})
  t.deepEqual(await readdir(mnt), [])
})

fuse(
  'a mount in use when its server is told to end goes out of sight, and the log says who used it',
  async t => {
    const { eve, mnt } = await someone(t)
    await mounts(t, eve, mnt)
    await writeFile(join(mnt, 'file'), 'x')
    const file = await open(join(mnt, 'file'))
    const pid = await uses(t, 'cd "$1"', mnt)
    const { pid: server, state } = await statusOf(eve)
    await kill(server, 'SIGTERM')
    await fails(t, file.read({ buffer: Buffer.alloc(1), position: 0 }))
    await file.close().catch(() => {})
    t.deepEqual(await mountedAt(mnt), [])
    t.regex(
      await readFile(`${state}/log`, 'utf8'),
      new RegExp(
        `mnt is in use by [^"]*sleep \\(${pid}\\)[^"]*","msg":"it is detached instead; programs that still use it get an error once`,
      ),
    )
  },
)

fuse(
  'what lives at a mount point is left alone, known or not; what hangs is taken away by force',
  async t => {
    const { eve, mnt } = await someone(t)
    await mounts(t, eve, mnt)
    const { pid } = await statusOf(eve)
    const other = ['--state', eve.path('other')]
    const known = new RegExp(`mnt is served by process ${pid} already; end it with tahoe-nfs umount`)
    refused(t, await eve.run(['mount', ...FUSE, mnt]), 1, known)
    refused(t, await eve.run(['mount', ...other, mnt]), 1, known)
    refused(
      t,
      await eve.run(['mount', ...FUSE, eve.home]),
      1,
      new RegExp(`already served by process ${pid} over FUSE for \\S+mnt;`),
    )
    // As if it were another user's, of whose servers nothing is known here.
    const far = { XDG_STATE_HOME: eve.path('s2') }
    const unknown =
      /mnt is mounted already, and its server, which is not known here, answers: end its process, or detach it with tahoe-nfs umount --force/
    refused(t, await eve.run(['mount', ...FUSE, mnt], '', far), 1, unknown)
    refused(t, await eve.run(['umount', mnt], '', far), 1, unknown)
    process.kill(pid, 'SIGSTOP')
    t.teardown(() => kill(pid, 'SIGKILL'))
    refused(
      t,
      await eve.run(['umount', mnt], '', far),
      1,
      /the server of \S+mnt does not answer: end its process, or/,
    )
    const end = await eve.run(['umount', '--force', mnt], '', far)
    t.is(end.code, 0, end.err)
    t.deepEqual(await mountedAt(mnt), [])
    process.kill(pid, 'SIGCONT')
    await until(t, async () => (await readdir(eve.path('s/tahoe-nfs/run'))).length === 0, 'its server ends')
  },
)

fuse('a server whose mount is taken away by hand publishes what waits, and ends', async t => {
  const { eve, mnt } = await someone(t)
  await mounts(t, eve, mnt)
  await writeFile(join(mnt, 'last'), 'words')
  const { pid, state } = await statusOf(eve)
  t.true(await unmountFuse(mnt))
  await until(t, async () => (await readFile(`/proc/${pid}/cmdline`).catch(() => [])).length === 0, 'it ends')
  const log = await readFile(`${state}/log`, 'utf8')
  t.regex(log, /"cause":"unmounted"/)
  t.notRegex(log, /"level":[45]0/)
  await mounts(t, eve, mnt)
  t.is(
    (JSON.parse((await eve.run(['status', '--json'])).out) as { pending: { files: number } }).pending.files,
    0,
  )
  t.is(await textIn(mnt, 'last'), 'words')
  t.is((await eve.run(['umount', mnt])).code, 0)
})

fuse(
  'NFS is served besides where an address is given, from one process, and both see each other’s changes',
  async t => {
    const { eve, mnt } = await someone(t)
    t.regex(
      await mounts(t, eve, '--listen', '127.0.0.1:0', mnt),
      /^\S+mnt is mounted, served by process \d+ over FUSE and on 127\.0\.0\.1:\d+; end .*\nmount it elsewhere over NFS with\n {2}.*mount-nfs\.sh mount 127\.0\.0\.1 \d+ \/ MOUNTPOINT\n$/,
    )
    const { address, calls } = (await statusOf(eve)) as unknown as { address: string; calls: number }
    const nfs = await client(t, Number(address.split(':')[1]))
    await writeFile(join(mnt, 'over-fuse'), 'one')
    t.is((await nfs.read(await nfs.lookup(await nfs.root(), 'over-fuse'))).toString(), 'one')
    await nfs.write(await nfs.create(await nfs.root(), 'over-nfs'), 0, 'two', 'FILE_SYNC')
    await until(t, async () => (await textIn(mnt, 'over-nfs').catch(() => '')) === 'two', 'FUSE sees it')
    t.true(((await statusOf(eve))['calls'] as number) > calls + 5)
    t.regex((await eve.run(['status'])).out, /^\S+mnt: read-write, FUSE and NFS on 127\.0\.0\.1:\d+, process/)
    t.is((await eve.run(['umount', mnt])).code, 0)
    t.deepEqual(await readdir(eve.path('s/tahoe-nfs/run')), [])
  },
)

fuse('auto takes NFS where this user can mount it, and FUSE otherwise', async t => {
  const { eve, mnt } = await someone(t)
  const mayNfs = /^ok +mounting over NFS/m.test((await eve.run(['doctor'])).out)
  const said = await eve.run(['mount', mnt])
  t.is(said.code, 0, said.err)
  t.is((await statusOf(eve))['frontend'], mayNfs ? 'nfs' : 'fuse')
  t.is((await eve.run(['umount', mnt])).code, 0)
})

fuse('--read-only is so for the kernel, and stands in what is said', async t => {
  const { eve, mnt } = await someone(t)
  t.regex(await mounts(t, eve, '--read-only', mnt), /mnt is mounted \(read-only\), served by/)
  const [mounted] = await mountedAt(mnt)
  t.true(mounted!.flags.includes('ro'))
  await t.throwsAsync(writeFile(join(mnt, 'x'), ''), { code: 'EROFS' })
  t.regex((await eve.run(['status'])).out, /mnt: read-only, FUSE,/)
  t.is((await eve.run(['umount', mnt])).code, 0)
})

fuse('a process in the folder that it mounts, or unmounts, does not wait for itself', async t => {
  const { eve, mnt } = await someone(t)
  const { child, said } = await foreground(eve, '--state', eve.path('st'), mnt)
  t.is(child.exitCode, null, said.err)
  const inside = spawn(process.execPath, [bin, 'umount', '.'], { cwd: mnt, env: eve.env })
  const exit = once(child, 'exit')
  t.deepEqual(await once(inside, 'exit'), [0, null])
  t.deepEqual(await exit, [0, null])
  const again = spawn(
    process.execPath,
    [bin, 'mount', ...FUSE, '--foreground', '--state', eve.path('st'), '.'],
    {
      cwd: mnt,
      env: eve.env,
    },
  )
  t.teardown(() => again.kill('SIGKILL'))
  await once(again.stdout, 'data')
  await writeFile(join(mnt, 'x'), 'y')
  const ended = once(again, 'exit')
  again.kill('SIGTERM')
  t.deepEqual(await ended, [0, null])
})

asRoot('--uid lets its owner in, and root, and nobody else', async t => {
  const { eve, mnt } = await someone(t)
  await mounts(t, eve, '--uid', String(NOBODY), '--gid', String(NOBODY), mnt)
  await writeFile(join(mnt, 'x'), 'theirs')
  const as = async (uid: number): Promise<string> => {
    const child = spawn('cat', [join(mnt, 'x')], { uid, gid: uid, stdio: ['ignore', 'pipe', 'ignore'] })
    let out = ''
    child.stdout.setEncoding('utf8').on('data', text => (out += text))
    await once(child, 'close')
    return out
  }
  t.is(await as(12_345), '')
  await chown(eve.dir, NOBODY, NOBODY) // so that they get there
  t.is(await as(NOBODY), 'theirs')
  t.is((await eve.run(['umount', mnt])).code, 0)
})

/** Somebody who is not root. */
class Mallory extends User {
  readonly #ordinary: Ordinary

  constructor(ordinary: Ordinary) {
    super(ordinary.dir)
    this.#ordinary = ordinary
  }

  override command(args: readonly string[]): [string, string[]] {
    const [program, ...rest] = [process.execPath, bin].map(path => this.#ordinary.seen(path))
    return this.#ordinary.command(program!, [...rest, ...args])
  }

  sh(script: string): Promise<string> {
    return this.#ordinary.run('sh', '-c', script)
  }

  /** A shell that says when it has done its first line, and stays. */
  stays(script: string): ChildProcess {
    const [program, args] = this.#ordinary.command('sh', ['-c', `${script}; echo; exec sleep 1000`])
    return spawn(program, args, { cwd: '/', stdio: ['ignore', 'pipe', 'inherit'] })
  }
}

async function mallory(t: ExecutionContext, lack: Lack = 'nothing'): Promise<{ eve: Mallory; mnt: string }> {
  const eve = new Mallory(await Ordinary.open(t, lack))
  t.teardown(() => eve.end())
  await eve.sh(`mkdir ${eve.home} ${eve.path('mnt')}`)
  return { eve, mnt: eve.path('mnt') }
}

asRoot('an ordinary user mounts, is told who uses it, and clears what a killed server has left', async t => {
  const { eve, mnt } = await mallory(t)
  t.regex(await mounts(t, eve, mnt), /mnt is mounted, served by process \d+ over FUSE;/)
  t.is(await eve.sh(`echo hello >${mnt}/x; cat ${mnt}/x; stat -c %U ${mnt}/x`), 'hello\nnobody\n')
  const user = eve.stays(`cd ${mnt}`)
  t.teardown(() => user.kill('SIGKILL'))
  await once(user.stdout!, 'data')
  refused(
    t,
    await eve.run(['umount', mnt]),
    1,
    /mnt is in use by sleep \(\d+\) \(\d+ processes of others may not be looked at\); end/,
  )
  user.kill('SIGKILL')
  await once(user, 'exit')
  await kill((await statusOf(eve)).pid, 'SIGKILL')
  await mounts(t, eve, mnt)
  t.is(await eve.sh(`cat ${mnt}/x`), 'hello\n')
  await kill((await statusOf(eve)).pid, 'SIGKILL')
  const end = await eve.run(['umount', mnt])
  t.regex(end.out, /mnt is unmounted\n$/, end.err)
  await mounts(t, eve, mnt)
  t.regex((await eve.run(['umount', mnt])).out, /and its server has ended/)
})

asRoot('where neither can be mounted it is served, the command said, and why of both', async t => {
  const { eve, mnt } = await mallory(t, 'fusermount3')
  const said = await eve.run(['mount', mnt])
  t.is(said.code, 0, said.err)
  t.regex(
    said.out,
    /^serving 127\.0\.0\.1:\d+ by process \d+, not mounted: only root may mount NFS on Linux; run it again with sudo; nor over FUSE: fusermount3 is missing; install fuse3, or mount with sudo\nmount it with\n {2}sudo sh /,
  )
  t.is((await eve.run(['umount', mnt])).code, 0)
  refused(
    t,
    await eve.run(['mount', ...FUSE, mnt]),
    1,
    /FUSE cannot be mounted: fusermount3 is missing; .*; or serve NFS with --frontend nfs/,
  )
  // What is found out only by trying.
  const { eve: other, mnt: place } = await mallory(t)
  const tried = await other.run(['mount', '--uid', '1', place])
  t.regex(tried.out, /^serving .* nor over FUSE: fusermount3 failed: option allow_other only allowed if/)
  t.is((await other.run(['umount', place])).code, 0)
})

asRoot('what another user has mounted is left to them', async t => {
  const { eve, mnt } = await someone(t)
  await (await eve.serve()).end() // makes a store
  await chown(mnt, NOBODY, NOBODY)
  await chown(eve.dir, NOBODY, NOBODY)
  const device = await open('/dev/fuse', 'r+')
  t.teardown(() => device.close())
  const own = `fd=3,rootmode=40000,user_id=${NOBODY},group_id=${NOBODY}`
  const mounting = spawn('mount', ['-i', '-t', 'fuse.tahoe-nfs', '-o', own, 'tahoe-nfs', mnt], {
    stdio: ['ignore', 'inherit', 'inherit', device.fd],
  })
  t.deepEqual(await once(mounting, 'exit'), [0, null])
  const theirs = new RegExp(`mnt was mounted by user ${NOBODY}: let them end it`)
  refused(t, await eve.run(['mount', ...FUSE, mnt]), 1, theirs)
  refused(t, await eve.run(['umount', mnt]), 1, theirs)
  // Under sudo of that user it is theirs to clear.
  await device.close()
  const sudo = { SUDO_UID: String(NOBODY), SUDO_GID: String(NOBODY) }
  const end = await eve.run(['umount', mnt], '', sudo)
  t.is(end.code, 0, end.err)
  t.deepEqual(await mountedAt(mnt), [])
})

fuse('who uses a place is read without touching it', async t => {
  const { eve } = await someone(t)
  const dir = eve.path('used')
  await mkdir(join(dir, 'd'), { recursive: true })
  await mkdir(eve.path('used2'))
  const inside = await uses(t, 'cd "$1/d"', dir)
  const beside = await uses(t, 'cd "$1"', eve.path('used2'))
  const { by, below } = await usersOf(dir)
  t.deepEqual(by, [{ pid: inside, name: 'sleep' }])
  t.deepEqual(below, [])
  t.deepEqual((await usersOf(eve.path('used2'))).by, [{ pid: beside, name: 'sleep' }])
})
