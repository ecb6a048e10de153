// How a FUSE mount comes and goes, on the kernel's own /dev/fuse, with processes that end in every way.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { ExecutionContext } from 'ava'
import { liveness } from '../../src/fuse/alive.ts'
import type { ReaderKind } from '../../src/fuse/device.ts'
import { whyNoFuse } from '../../src/fuse/machine.ts'
import { FUSE_TYPE, unmountFuse } from '../../src/fuse/mount.ts'
import { type MountLine, mountLines } from '../../src/fuse/mountinfo.ts'
import type { Ending } from '../support/mounted-child.ts'
import { needs } from '../support/needs.ts'
import { type Lack, NOBODY, Ordinary } from '../support/ordinary.ts'
import { folder } from '../support/places.ts'

const execute = promisify(execFile)

const isRoot = process.getuid?.() === 0
const whyNot = await whyNoFuse()
const fuse = needs(whyNot === null, `FUSE: ${whyNot}`)
const asRoot = needs(isRoot && whyNot === null, 'root, and FUSE')

const self = { uid: process.getuid!(), gid: process.getgid!() }

const mountedAt = async (mountpoint: string): Promise<MountLine[]> =>
  (await mountLines()).filter(each => each.mountpoint === mountpoint)

/** A place that goes with the test, whatever is mounted there. */
async function place(t: ExecutionContext): Promise<string> {
  const mountpoint = join(await folder(t), 'mnt')
  await mkdir(mountpoint)
  t.teardown(async () => {
    while ((await mountedAt(mountpoint)).length > 0) await unmountFuse(mountpoint, { lazy: true })
  })
  return mountpoint
}

/** The file system in memory, mounted by a child. */
async function served(
  t: ExecutionContext,
  mountpoint: string,
  reader: ReaderKind = 'epoll',
  ending: Ending = 'throws',
): Promise<ChildProcess> {
  const script = join(import.meta.dirname, '../support/mounted-child.ts')
  const child = spawn(process.execPath, [script, mountpoint, reader, ending], {
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout!, 'data')
  return child
}

/** Whoever uses what is gone hears of it at once. */
async function fails(t: ExecutionContext, work: Promise<unknown>): Promise<void> {
  const err = await t.throwsAsync<NodeJS.ErrnoException>(work)
  t.regex(err!.code!, /^(ENOTCONN|ECONNABORTED)$/)
}

type Run = (...args: readonly string[]) => Promise<string>

const node: Run = async (...args) => (await execute(process.execPath, args)).stdout

/** What `expression` of a room of the project gives in a process of its own. */
const said = (run: Run, room: string, expression: string, path = (file: string) => file): Promise<string> => {
  const url = JSON.stringify(path(join(import.meta.dirname, '../../src/fuse', room)))
  return run(
    '-e',
    `import(${url}).then(async room => process.stdout.write(String(await (${expression})(room))))`,
  )
}

/** The same for an ordinary user. */
const saidTo = (ordinary: Ordinary, room: string, expression: string, ...more: string[]): Promise<string> => {
  const run: Run = (...args) => ordinary.run(ordinary.seen(process.execPath), ...more, ...args)
  return said(run, room, expression, file => ordinary.seen(file))
}

const whyNotFor = (ordinary: Ordinary, ...more: string[]): Promise<string> =>
  saidTo(ordinary, 'machine.ts', 'room => room.whyNoFuse()', ...more)

fuse('what is mounted says what it is, and the kernel reads ahead of it as far as a grid needs', async t => {
  const mountpoint = await place(t)
  await served(t, mountpoint)
  const [mounted] = await mountedAt(mountpoint)
  t.like(mounted, { type: FUSE_TYPE, source: 'tahoe-nfs' })
  for (const option of ['nosuid', 'nodev']) t.true(mounted!.flags.includes(option), option)
  t.true(mounted!.options.includes('default_permissions'))
  t.false(mounted!.options.includes('allow_other'))
  t.is(await readFile(join(mountpoint, 'note'), 'utf8'), 'hello')
  if (!isRoot) return
  const ahead = await readFile(`/sys/class/bdi/${mounted!.number}/read_ahead_kb`, 'utf8')
  t.is(ahead, '4096\n')
})

asRoot(
  'others are let in where they own the files, and what is read-only is so for the kernel too',
  async t => {
    const mountpoint = await place(t)
    const options = JSON.stringify({ mountpoint, owner: { uid: NOBODY }, readOnly: true })
    await said(node, 'mount.ts', `room => room.mountFuse(${options})`)
    const [mounted] = await mountedAt(mountpoint)
    t.true(mounted!.options.includes('allow_other'))
    t.true(mounted!.flags.includes('ro'))
  },
)

asRoot('what cannot be mounted is told in one line, and leaves no descriptor open', async t => {
  const mountpoint = join(await folder(t), 'nowhere')
  const options = JSON.stringify({ mountpoint, owner: self, readOnly: false })
  const told = await said(
    node,
    'mount.ts',
    `async room => {
      const { readdirSync, readlinkSync } = process.getBuiltinModule('node:fs')
      const { message } = await room.mountFuse(${options}).catch(err => err)
      const links = readdirSync('/proc/self/fd').map(fd => { try { return readlinkSync('/proc/self/fd/' + fd) } catch {} })
      return message + (links.includes('/dev/fuse') ? ', open' : ', closed')
    }`,
  )
  t.regex(told, /^EPERM: mount failed: [^\n]*nowhere[^\n]*mount point does not exist\.?, closed$/)
})

fuse('a mount that somebody uses stays, but out of sight it goes at once and is used on', async t => {
  const mountpoint = await place(t)
  await served(t, mountpoint)
  const file = await open(join(mountpoint, 'note'))
  t.teardown(() => file.close().catch(() => {}))
  t.false(await unmountFuse(mountpoint))
  t.is((await mountedAt(mountpoint)).length, 1)
  t.true(await unmountFuse(mountpoint, { lazy: true }))
  t.is((await mountedAt(mountpoint)).length, 0)
  t.is((await file.read({ buffer: Buffer.alloc(5), position: 0 })).buffer.toString(), 'hello')
  t.true(await unmountFuse(mountpoint), 'what is not mounted is unmounted')
})

fuse(
  'a server that lives, one that hangs and one that was killed are told apart by a child that waits',
  async t => {
    const mountpoint = await place(t)
    const child = await served(t, mountpoint)
    t.is(await liveness(mountpoint, self), 'alive')
    child.kill('SIGSTOP')
    t.is(await liveness(mountpoint, self, 500), 'silent')
    child.kill('SIGCONT')
    t.is(await liveness(mountpoint, self), 'alive')
    const file = await open(join(mountpoint, 'note'))
    child.kill('SIGKILL')
    await once(child, 'exit')
    t.is(await liveness(mountpoint, self), 'gone')
    await fails(t, file.read({ buffer: Buffer.alloc(5), position: 0 }))
    await file.close().catch(() => {})
    await fails(t, access(join(mountpoint, 'other')))
    t.true(await unmountFuse(mountpoint, { lazy: true }))
    await writeFile(join(mountpoint, 'below'), '') // the folder is as it was
  },
)

for (const reader of ['epoll', 'threads'] as const)
  for (const ending of ['throws', 'rejects', 'exits'] as const)
    fuse(
      `a process that ${ending} leaves nothing mounted, ends, and whoever uses it is not kept waiting (${reader})`,
      async t => {
        const mountpoint = await place(t)
        const child = await served(t, mountpoint, reader, ending)
        const file = await open(join(mountpoint, 'note'))
        t.teardown(() => file.close().catch(() => {}))
        const exit = once(child, 'exit') as Promise<[number | null, string | null]>
        child.stdin!.end()
        const [code, signal] = await exit
        // A thread in read(2) cannot be ended but with the process.
        if (reader === 'threads') t.is(signal, 'SIGKILL')
        else t.is(code, ending === 'exits' ? 7 : 1)
        await fails(t, file.read({ buffer: Buffer.alloc(5), position: 0 }))
        for (let i = 0; i < 500 && (await mountedAt(mountpoint)).length > 0; i++) await sleep(10)
        t.is((await mountedAt(mountpoint)).length, 0)
      },
    )

asRoot('an ordinary user mounts through fusermount3, unmounts, and clears what was left', async t => {
  const ordinary = await Ordinary.open(t)
  t.is(await whyNotFor(ordinary), 'null')
  const mountpoint = join(ordinary.dir, 'mnt')
  await ordinary.run('mkdir', mountpoint)
  const options = JSON.stringify({ mountpoint, owner: { uid: NOBODY }, readOnly: false })
  // It ends without having served: that leaves the mount of a server that is gone.
  const number = await saidTo(ordinary, 'mount.ts', `async room => (await room.mountFuse(${options})).number`)
  t.regex(number, /^\d+:\d+$/)
  const table = () => ordinary.run('cat', '/proc/self/mountinfo')
  t.regex(
    await table(),
    new RegExp(`${mountpoint} rw,nosuid,nodev\\S* - fuse\\.tahoe-nfs tahoe-nfs rw,user_id=${NOBODY},`),
  )
  const user = JSON.stringify({ uid: NOBODY, gid: NOBODY })
  const ask = `room => room.liveness(${JSON.stringify(mountpoint)}, ${user})`
  t.is(await saidTo(ordinary, 'alive.ts', ask), 'gone')
  const unmount = `room => room.unmountFuse(${JSON.stringify(mountpoint)}, { lazy: true })`
  t.is(await saidTo(ordinary, 'mount.ts', unmount), 'true')
  t.false((await table()).includes(mountpoint))
  // What fusermount3 refuses is told in its words.
  const not = JSON.stringify({ mountpoint: '/etc', owner: { uid: NOBODY }, readOnly: false })
  const refusal = await saidTo(
    ordinary,
    'mount.ts',
    `room => room.mountFuse(${not}).catch(err => err.message)`,
  )
  t.regex(refusal, /^EPERM: fusermount3 failed: [^\n]+$/)
})

asRoot('what an ordinary user lacks for FUSE is said, with what mends it', async t => {
  const without = async (lack: Lack) => whyNotFor(await Ordinary.open(t, lack))
  t.is(await without('fusermount3'), 'fusermount3 is missing; install fuse3, or mount with sudo')
  t.regex(await without('/dev/fuse'), /^there is no \/dev\/fuse; load it with: modprobe fuse/)
  t.regex(
    await without('the right to /dev/fuse'),
    /^you may not use \/dev\/fuse, whose mode should be 0666; .* sudo$/,
  )
})

asRoot('without koffi an ordinary user is told so, and root does not need it', async t => {
  const ordinary = await Ordinary.open(t)
  const hook = `import { registerHooks } from 'node:module'
registerHooks({ resolve(name, context, next) { if (name === 'koffi') throw new Error('not here'); return next(name, context) } })`
  const without = ['--import', `data:text/javascript,${encodeURIComponent(hook)}`]
  t.is(
    await whyNotFor(ordinary, ...without),
    'the package koffi is not installed, which hands /dev/fuse to an ordinary user; install it with: npm install koffi, or mount with sudo',
  )
})
