// The mount point: what may be one, who has it, and how it comes and goes.

import { lchown, lstat, mkdir, realpath, rmdir } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { callerHome, sudoUid } from './caller.ts'
import { mountAt, mountScript, script } from './mounts.ts'
import { clearOrphans } from './orphan.ts'
import type { OverNfs } from './over-nfs.ts'
import type { Status } from './places.ts'
import { type Address, keptPort } from './port.ts'
import { reason, Wrong } from './wrong.ts'

/** A path as the kernel lists it: without links on the way. What may be mounted there is not touched. */
export async function placeOf(path: string): Promise<string> {
  const whole = resolve(path)
  const parent = await realpath(dirname(whole)).catch((err: unknown) => {
    throw new Wrong(`the mount point ${whole} cannot be reached: ${reason(err)}`)
  })
  return join(parent, basename(whole))
}

/** Where it is mounted when nobody says: ~/Tahoe, made when it is not there. `undo` takes back what was made. */
export async function mountpointOf(
  given: string | undefined,
): Promise<{ mountpoint: string; undo: () => Promise<void> }> {
  const nothing = async () => {}
  if (given !== undefined) return { mountpoint: await placeOf(given), undo: nothing }
  const own = await placeOf(join(callerHome(), 'Tahoe'))
  if (await mountAt(own)) return { mountpoint: own, undo: nothing }
  try {
    await mkdir(own, { mode: 0o700 })
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'EEXIST') return { mountpoint: own, undo: nothing }
    throw new Wrong(`the mount point ${own} cannot be made: ${reason(err)}; name another`)
  }
  const uid = sudoUid()
  if (uid !== null) await lchown(own, uid, Number(process.env['SUDO_GID'] ?? uid)) // it is the caller's home
  return { mountpoint: own, undo: () => rmdir(own).catch(() => {}) }
}

/**
 * Throws when nothing can be mounted there: it is no directory, or something is mounted
 * already that this state's server has not left behind. A FUSE mount without a server goes.
 */
export async function mayMount(
  mountpoint: string,
  { stateDir, listen }: { stateDir: string; listen: Address | null },
): Promise<void> {
  await clearOrphans(mountpoint)
  const mounted = await mountAt(mountpoint)
  if (mounted) {
    const port = listen?.port ?? (await keptPort(stateDir))
    if (mounted.port !== null && mounted.port === port) return
    throw new Wrong(
      mounted.port === null
        ? `${mountpoint} is a mount point already (${mounted.type}); unmount it, or name another`
        : `${mountpoint} is mounted from port ${mounted.port}, which is not this root's; end that with tahoe-nfs umount ${quoted(mountpoint)}, or name another`,
    )
  }
  const found = await lstat(mountpoint).catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT')
      throw new Wrong(
        `the mount point ${mountpoint} does not exist; make it with: mkdir ${quoted(mountpoint)}`,
      )
    throw new Wrong(`the mount point ${mountpoint} cannot be used: ${reason(err)}`)
  })
  if (found.isSymbolicLink())
    throw new Wrong(`the mount point ${mountpoint} is a symbolic link; name the directory it leads to`)
  if (!found.isDirectory())
    throw new Wrong(`the mount point ${mountpoint} is not a directory; name an empty one`)
}

export type Attached = {
  readonly how: 'mounted' | 'taken over'
  readonly readOnly: boolean
  readonly warning: string
}

/** Mounts NFS, or takes over the mount that a server before us left behind, as that one mounted it. `ours`: whether we refuse changes. */
export async function attach(nfs: OverNfs, ours: boolean, mountpoint: string): Promise<Attached> {
  const mounted = await mountAt(mountpoint)
  if (mounted && mounted.port === nfs.port) {
    const warning =
      mounted.readOnly && !ours
        ? `${mountpoint} was mounted read-only before: unmount it and mount it again to change anything`
        : ''
    return { how: 'taken over', readOnly: ours || mounted.readOnly, warning }
  }
  const where = [nfs.host, String(nfs.port), nfs.exportPath(), mountpoint]
  const warning = await mountScript('mount', ...readOnly(ours), ...where)
  return { how: 'mounted', readOnly: ours, warning }
}

/** What to type to mount it; on Linux that takes root. */
export function mountCommand(nfs: OverNfs, status: Status, mountpoint: string): string {
  const sudo = process.platform === 'linux' && process.getuid?.() !== 0 ? ['sudo'] : []
  const options = ['mount', ...readOnly(status.readOnly), nfs.host, String(nfs.port), exported(nfs, status)]
  return [...sudo, 'sh', quoted(script), ...options, quoted(mountpoint)].join(' ')
}

/** A path that is good for thirty seconds is asked for when it is needed. */
function exported({ tokens }: OverNfs, { state }: Status): string {
  if (!tokens) return '/'
  const ask = [process.execPath, process.argv[1]!, 'export', '--state', state]
  return `"$(${ask.map(quoted).join(' ')})"`
}

const readOnly = (is: boolean): string[] => (is ? ['--read-only'] : [])

/** Whether this user of this machine could mount NFS at all; if not, why. */
export async function whyNoMount(): Promise<string | null> {
  return mountScript('check').then(
    () => null,
    (err: unknown) => (err as Error).message,
  )
}

/** As a shell takes it. */
export const quoted = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
