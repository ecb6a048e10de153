// The folders that the group `fuse` compares: an ordinary one beside our state, our mounts over a
// folder and over a node, and sshfs over the same node. What cannot be there is said, and left out.

import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isInstalled } from '../src/fuse/programs.ts'
import { type Cap, litCap, parseCap } from '../src/tahoe/cap.ts'
import { gateway } from '../src/tahoe/gateway/gateway.ts'
import type { Child, Grid } from '../src/tahoe/grid.ts'
import { openLocal, usualShares } from '../src/tahoe/native/local.ts'
import { whyNoTahoe } from '../test/support/tahoe-node.ts'
import type { Compared } from './comparison.ts'
import { MiB } from './noise.ts'
import type { Server } from './server.ts'
import { type SftpNode, Sshfs, startSftpNode } from './sftp-node.ts'
import { childOf, run, type World } from './world.ts'

/** A native folder whose every change is made durable by an fsync of the directory. */
export const durable: Compared = { name: 'a native folder, with fsync', peers: [] }

export type Place = Compared & {
  readonly dir: string
  /** Bytes of its large files: what it takes in a second or two. */
  readonly large: number
  /** A small file takes it a second: hundreds of them are not asked of it. */
  readonly slow?: boolean
  /** Who answers for it: the node, where there is one, too. */
  pids(): Promise<readonly number[]>
  /** Returns when its files are where they are to stay; of a new one, its path and size. */
  published(path?: string, size?: number): Promise<void>
  /** Makes a directory of so many directories of so many small files, which a new mount finds at this path. */
  grow(dirs: number, files: number): Promise<string>
  /** A new mount that knows nothing yet, in place of this one; what cannot be mounted stays as it is. */
  again(): Promise<void>
}

/** Milliseconds after which what is not published is not waited for. */
const PUBLISHED_MS = 120_000

/** Every place that there can be where FUSE can be mounted, made once for a world. */
export function places(world: World, quick: boolean): Promise<readonly Place[]> {
  const there = made.get(world) ?? make(world, quick)
  made.set(world, there)
  return there
}

const made = new WeakMap<World, Promise<readonly Place[]>>()

async function make(world: World, quick: boolean): Promise<readonly Place[]> {
  const native: Place = {
    name: 'a native folder',
    peers: [],
    dir: join(world.dir, 'native'),
    large: (quick ? 64 : 512) * MiB,
    pids: async () => [],
    published: () => world.settle(),
    grow: (dirs, files) => growIn(native.dir, dirs, files),
    again: async () => {},
  }
  await mkdir(native.dir)
  const all = [native]
  const store = await mkdtemp(join(world.dir, 'store-'))
  const overFolder = (dir: string) => world.mount(`local:${store}`, null, dir)
  all.push(
    await ours(world, {
      name: 'ours over a folder',
      peers: [native, durable],
      large: native.large,
      also: [],
      mount: overFolder,
      open: () => opened(store),
    }),
  )
  const noSshfs = await whyNoSshfs()
  if (noSshfs !== null) {
    console.log(`sshfs, and what is compared with it, are left out: ${noSshfs}`)
    return all
  }
  const large = (quick ? 8 : 32) * MiB
  const sftp = await startSftpNode(world.dir)
  world.atEnd(() => sftp.node.stop())
  const peer = await overSshfs(world, sftp, [native], large)
  const overNode = (dir: string) => world.mount(`gateway:${sftp.node.url}`, sftp.beside, dir)
  return [
    ...all,
    await ours(world, {
      name: 'ours over a node',
      peers: [native, durable, peer],
      large,
      also: [sftp.node.pid],
      mount: overNode,
      open: async () => ({ grid: gateway(sftp.node.url), root: sftp.beside }),
    }),
    peer,
  ]
}

type Ours = Pick<Place, 'name' | 'peers' | 'large'> & {
  /** Processes beside the server that answer for it. */
  readonly also: readonly number[]
  readonly mount: (dir: string) => Promise<Server>
  /** What is mounted, while no server has it. */
  readonly open: Open
}

async function ours(world: World, { also, mount, open, ...about }: Ours): Promise<Place> {
  const dir = await mkdtemp(join(world.dir, 'mount-'))
  let server = await mount(dir)
  const end = async () => {
    await server.flush()
    await server.stop()
  }
  return {
    ...about,
    dir,
    pids: async () => [server.pid, ...also],
    published: () => server.flush(),
    async grow(dirs, files) {
      await end()
      const name = await growOn(open, dirs, files)
      server = await mount(dir)
      return join(dir, name)
    },
    async again() {
      await end()
      server = await mount(dir)
    },
  }
}

async function overSshfs(
  world: World,
  sftp: SftpNode,
  peers: readonly Place[],
  large: number,
): Promise<Place> {
  const dir = await mkdtemp(join(world.dir, 'sshfs-'))
  let sshfs = await Sshfs.mount(sftp, dir)
  world.atEnd(() => sshfs.unmount())
  return {
    name: 'sshfs over a node',
    slow: true,
    peers,
    dir,
    large,
    pids: async () => [...(await sshfs.pids()), sftp.node.pid],
    async published(path, size) {
      if (path !== undefined) await listed(sftp, path, size)
    },
    async grow(dirs, files) {
      const open = async () => ({ grid: gateway(sftp.node.url), root: sftp.root })
      return join(dir, await growOn(open, dirs, files))
    },
    async again() {
      await sshfs.unmount()
      sshfs = await Sshfs.mount(sftp, dir)
    },
  }
}

type Open = () => Promise<{ readonly grid: Grid; readonly root: Cap }>

/** A store, and the directory that its servers show. */
async function opened(store: string): Promise<{ grid: Grid; root: Cap }> {
  const aliases = await readFile(join(store, 'private/aliases'), 'utf8')
  const root = parseCap(/^tahoe: (\S+)$/m.exec(aliases)![1]!)
  return { grid: await openLocal({ dirs: [store], shares: usualShares(1) }), root }
}

/** Through the folder itself. */
async function growIn(dir: string, dirs: number, files: number): Promise<string> {
  const tree = await mkdtemp(join(dir, 'tree-'))
  for (let i = 0; i < dirs; i++) {
    const below = join(tree, `dir ${i}`)
    await mkdir(below)
    for (let j = 0; j < files; j++) await writeFile(join(below, `file ${j}`), SMALL)
  }
  return tree
}

/** On the grid, where it would take minutes file by file; gives its name. */
async function growOn(open: Open, dirs: number, files: number): Promise<string> {
  const { grid, root } = await open()
  const small = childOf(litCap(Buffer.from(SMALL)))
  const full = new Map(Array.from({ length: files }, (_, j) => [`file ${j}`, small]))
  const below = new Map<string, Child>()
  for (let i = 0; i < dirs; i++) below.set(`dir ${i}`, childOf(await grid.mkdir(full)))
  const name = `tree ${dirs} ${files}`
  const child = childOf(await grid.mkdir(below))
  await grid.edit(root, [{ op: 'set', name, child, expect: null }])
  await grid.close()
  return name
}

const SMALL = 'bytes'

/** Until the node's own web API has it: a file that was closed is uploaded, and not there before. */
async function listed({ node, root }: SftpNode, path: string, size: number | undefined): Promise<void> {
  const url = new URL(`uri/${encodeURIComponent(root.uri())}/${path}?t=json`, node.url)
  for (const end = performance.now() + PUBLISHED_MS; performance.now() < end; await sleep(50)) {
    const answer = await fetch(url)
    if (!answer.ok) continue
    const [, about] = (await answer.json()) as [string, { size?: number }]
    if (size === undefined || about.size === size) return
  }
  throw new Error(`${path} was not published`)
}

/** Null where sshfs can mount a node, or what is missing and how it is installed. */
async function whyNoSshfs(): Promise<string | null> {
  return (await whyNotInstalled('sshfs', 'ssh', 'ssh-keygen')) ?? whyNoTahoe()
}

const packages: Readonly<Record<string, string>> = { ssh: 'openssh-client', 'ssh-keygen': 'openssh-client' }

/** Null where all of these programs can be run, or which cannot, and the packages of Debian that have them. */
export async function whyNotInstalled(...programs: readonly string[]): Promise<string | null> {
  const missing: string[] = []
  for (const program of programs) if (!(await isInstalled(program))) missing.push(program)
  if (missing.length === 0) return null
  const wanted = new Set(missing.map(program => packages[program] ?? program))
  return `${missing.join(', ')} not installed: apt-get install ${[...wanted].join(' ')}`
}

/** Seconds that these processes have computed so far, in all their threads. */
export async function computed(pids: readonly number[]): Promise<number> {
  ticks ??= Number((await run('getconf', ['CLK_TCK'])).stdout)
  let sum = 0
  for (const pid of pids) {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1')
    const [utime, stime] = stat.slice(stat.lastIndexOf(')')).split(' ').slice(12) // user and system time
    sum += Number(utime) + Number(stime)
  }
  return sum / ticks
}

let ticks: number | undefined
