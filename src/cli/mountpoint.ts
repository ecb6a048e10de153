// The mount point: what may be one, who has it, and how it comes and goes.

import { lstat, mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { mountAt, mountScript, script } from './mounts.ts'
import type { Running } from './server.ts'
import { Wrong } from './wrong.ts'

/** Where it is mounted when nobody says: ~/Tahoe, made when it is not there. */
export async function mountpointOf(given: string | undefined): Promise<string> {
  if (given !== undefined) return resolve(given)
  const own = join(homedir(), 'Tahoe')
  if (!(await mountAt(own)))
    await mkdir(own, { mode: 0o700 }).catch((err: NodeJS.ErrnoException) => {
      if (err.code !== 'EEXIST')
        throw new Wrong(`the mount point ${own} cannot be made (${err.code}); name another`)
    })
  return own
}

/** Whether `mountpoint` waits for a server of ours that is gone; throws when it cannot be a mount point at all. */
export async function isOrphan(mountpoint: string): Promise<boolean> {
  const mounted = await mountAt(mountpoint)
  if (mounted) {
    if (mounted.type.startsWith('nfs') && mounted.port !== null) return true
    throw new Wrong(`${mountpoint} is a mount point already (${mounted.type}); unmount it, or name another`)
  }
  const found = await lstat(mountpoint).catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT')
      throw new Wrong(`the mount point ${mountpoint} does not exist: mkdir ${quoted(mountpoint)}`)
    throw new Wrong(`the mount point ${mountpoint} cannot be used (${err.code})`)
  })
  if (!found.isDirectory()) throw new Wrong(`the mount point ${mountpoint} is not a directory`)
  return false
}

/** Mounts, or takes over the mount that a server before us left behind. */
export async function attach(running: Running, mountpoint: string): Promise<'mounted' | 'taken over'> {
  const mounted = await mountAt(mountpoint)
  if (!mounted) {
    await mountScript(
      'mount',
      ...readOnly(running),
      running.host,
      String(running.port),
      running.exportPath(),
      mountpoint,
    )
    return 'mounted'
  }
  if (mounted.port === running.port) return 'taken over'
  throw new Wrong(
    `${mountpoint} is mounted from port ${mounted.port}, which is another root's or none's any more: tahoe-nfs umount ${quoted(mountpoint)}`,
  )
}

/** What to type to mount it; on Linux that takes root. */
export function mountCommand(running: Running, mountpoint: string): string {
  const sudo = process.platform === 'linux' && process.getuid?.() !== 0 ? ['sudo'] : []
  const options = ['mount', ...readOnly(running), running.host, String(running.port), running.exportPath()]
  return [...sudo, 'sh', quoted(script), ...options, quoted(mountpoint)].join(' ')
}

const readOnly = (running: Running): string[] => (running.status().readOnly ? ['--read-only'] : [])

/** Whether this user of this machine could mount at all; if not, why. */
export async function whyNoMount(): Promise<string | null> {
  return mountScript('check').then(
    () => null,
    (err: unknown) => (err as Error).message,
  )
}

/** As a shell takes it. */
export const quoted = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
