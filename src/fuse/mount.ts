// Mounting /dev/fuse somewhere, and unmounting it. Root asks mount(8), others fusermount3,
// which may. From the moment it is mounted nothing here touches the mount point: whoever is
// to answer for it may be this very process.

import { closeSync, openSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { FsError } from '../errors.ts'
import { mountLines } from './mountinfo.ts'
import { type Ended, isInstalled, run } from './programs.ts'
import { passage } from './received.ts'

/** How the kernel calls what we mount; its source says the same. */
export const FUSE_TYPE = 'fuse.tahoe-nfs'
const NAME = 'tahoe-nfs'

export type FuseMountOptions = {
  /** An absolute path without links. */
  readonly mountpoint: string
  /** Whose files they are. */
  readonly owner: { readonly uid: number }
  readonly readOnly: boolean
}

export type FuseMount = {
  /** The descriptor of /dev/fuse, which is to be served. */
  readonly device: number
  /** MAJOR:MINOR of what is mounted; no other mount has it while this one lives. */
  readonly number: string
}

const isRoot = (): boolean => process.getuid?.() === 0

/** What fusermount3 is called, and was before. */
const helpers = ['fusermount3', 'fusermount'] as const

/** The helper that there is, or null. */
export async function helper(): Promise<string | null> {
  for (const each of helpers) if (await isInstalled(each)) return each
  return null
}

/** Throws with one line where it cannot be mounted; then nothing is. */
export async function mountFuse(options: FuseMountOptions): Promise<FuseMount> {
  const { mountpoint } = options
  const device = isRoot() ? await asRoot(options) : await throughHelper(options)
  const found = (await mountLines()).findLast(
    each => each.mountpoint === mountpoint && each.type === FUSE_TYPE,
  )
  if (!found) {
    closeSync(device)
    throw new FsError('EIO', `${mountpoint} was mounted, and is not any more`)
  }
  await readAhead(found.number)
  return { device, number: found.number }
}

/** Others than whoever mounts are let in where they are the owner; which files are theirs, the kernel judges by the modes. */
function optionsOf({ owner, readOnly }: FuseMountOptions): string[] {
  const forOthers = owner.uid !== process.getuid?.()
  return [
    ...(forOthers ? ['allow_other'] : []),
    'default_permissions',
    'nosuid', // whoever can write to the grid shall not become root here
    'nodev',
    ...(readOnly ? ['ro'] : []),
  ]
}

async function asRoot(options: FuseMountOptions): Promise<number> {
  const device = openDevice()
  try {
    const own = ['fd=3', 'rootmode=40000', 'user_id=0', 'group_id=0', ...optionsOf(options)]
    const args = ['-i', '-t', FUSE_TYPE, '-o', own.join(','), NAME, options.mountpoint]
    succeeded('mount', await run('mount', args, { fds: [device] }))
    return device
  } catch (err) {
    closeSync(device)
    throw err
  }
}

function openDevice(): number {
  try {
    return openSync('/dev/fuse', 'r+')
  } catch (err) {
    throw new FsError('EACCES', `/dev/fuse cannot be opened (${(err as NodeJS.ErrnoException).code})`)
  }
}

async function throughHelper(options: FuseMountOptions): Promise<number> {
  const program = await helper()
  if (program === null) throw new FsError('ENOTSUP', 'fusermount3 is not installed')
  const between = await passage()
  try {
    const own = [`fsname=${NAME}`, `subtype=${NAME}`, ...optionsOf(options)]
    const args = ['-o', own.join(','), '--', options.mountpoint]
    succeeded(program, await run(program, args, { fds: [between.theirs], env: { _FUSE_COMMFD: '3' } }))
    const device = between.received()
    if (device !== null) return device
    await unmountFuse(options.mountpoint, { lazy: true })
    throw new FsError('EIO', `${program} did not hand over the device`)
  } finally {
    between.close()
  }
}

/**
 * False when somebody uses it. With `lazy` it is out of sight now, and gone when nobody uses
 * it any more: that succeeds always, and asks nothing of its server.
 */
export async function unmountFuse(mountpoint: string, { lazy = false } = {}): Promise<boolean> {
  const [program, ...args] = await unmounting(mountpoint, lazy)
  const ended = await run(program, args)
  if (ended?.code === 0) return true
  if (ended && /\bbusy\b/i.test(ended.err)) return false
  const isThere = (await mountLines()).some(each => each.mountpoint === mountpoint && each.type === FUSE_TYPE)
  if (!isThere) return true // somebody else was quicker
  if (ended && /(unrecognized|invalid) option/.test(ended.err))
    // busybox: it looks at the place, as it always does
    succeeded(program, await run(program, [mountpoint]))
  else succeeded(program, ended)
  return true
}

/** The command that does it, without looking at the place. */
export async function unmounting(
  mountpoint: string,
  lazy: boolean,
): Promise<readonly [string, ...(readonly string[])]> {
  if (isRoot()) return ['umount', lazy ? '-l' : '-c', mountpoint]
  const program = await helper()
  if (program === null) throw new FsError('ENOTSUP', 'fusermount3 is not installed')
  return [program, '-u', ...(lazy ? ['-z'] : []), '--', mountpoint]
}

function succeeded(program: string, ended: Ended | null): void {
  if (ended === null) throw new FsError('EIO', `${program} does not come to an end`)
  if (ended.code !== 0) throw new FsError('EPERM', `${program} failed: ${ended.err || 'it did not say why'}`)
}

/** KiB that the kernel reads ahead: with its own 128 a reader waits for the grid at every step. */
const READ_AHEAD = 4096

/** Where we may: only root does. */
const readAhead = (number: string): Promise<void> =>
  writeFile(`/sys/class/bdi/${number}/read_ahead_kb`, `${READ_AHEAD}\n`).catch(() => {})
