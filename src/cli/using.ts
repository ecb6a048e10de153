// Who uses a mount: which processes have their folder, their program or a file in it. What they
// have is read as the text of links in /proc, which nobody follows: the mount is not touched.

import { readdir, readFile, readlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { mounts } from './mounts.ts'
import { printable } from './words.ts'

export type User = { readonly pid: number; readonly name: string }

export type Use = {
  readonly by: readonly User[]
  /** Processes that we may not look at. */
  readonly hidden: number
  /** What is mounted in it. */
  readonly below: readonly string[]
}

/** Where there is no /proc nobody is found. */
export async function usersOf(mountpoint: string, proc = '/proc'): Promise<Use> {
  const isIn = (path: string) => path === mountpoint || path.startsWith(`${mountpoint}/`)
  const below = (await mounts()).filter(each => each.mountpoint !== mountpoint && isIn(each.mountpoint))
  const by: User[] = []
  let hidden = 0
  for (const pid of (await readdir(proc).catch(() => [])).filter(name => /^\d+$/.test(name))) {
    const paths = await pathsOf(join(proc, pid))
    if (paths === null) hidden++
    else if (paths.some(isIn)) by.push({ pid: Number(pid), name: await nameOf(join(proc, pid)) })
  }
  return { by, hidden, below: below.map(each => each.mountpoint) }
}

/** What a process has of the file system; null where we may not know, and nothing of one that has ended. */
async function pathsOf(dir: string): Promise<string[] | null> {
  const refused = (err: NodeJS.ErrnoException) => err.code === 'EACCES' || err.code === 'EPERM'
  try {
    const fds = (await readdir(join(dir, 'fd'))).map(fd => join('fd', fd))
    const links = await Promise.all(
      ['cwd', 'root', 'exe', ...fds].map(name => readlink(join(dir, name)).catch(() => '')), // gone meanwhile
    )
    return [...links, ...mapped(await readFile(join(dir, 'maps'), 'utf8').catch(() => ''))]
  } catch (err) {
    if (!refused(err as NodeJS.ErrnoException)) return []
    const isOfKernel = (await readFile(join(dir, 'cmdline')).catch(() => Buffer.alloc(0))).length === 0
    return isOfKernel ? [] : null
  }
}

/** The files in its memory, proc(5): addresses flags offset device inode path. */
const mapped = (maps: string): string[] =>
  [...new Set(maps.split('\n').map(line => /^(?:\S+\s+){5}(\/.*)$/.exec(line)?.[1] ?? ''))].filter(
    path => path !== '',
  )

async function nameOf(dir: string): Promise<string> {
  const name = (await readFile(join(dir, 'comm'), 'utf8').catch(() => '')).trim()
  const isNode = name === 'MainThread' // as Node calls itself
  return (
    printable(isNode ? basename(await readlink(join(dir, 'exe')).catch(() => 'node')) : name) || 'a process'
  )
}

/** How many are named. */
const NAMED = 8

/** In words that follow "it is". */
export function inUse({ by, hidden, below }: Use): string {
  const more = by.length - NAMED
  const users = [
    ...by.slice(0, NAMED).map(({ name, pid }) => `${name} (${pid})`),
    ...(more > 0 ? [`${more} more`] : []),
    ...below.map(path => `what is mounted on ${path}`),
  ]
  const unseen =
    hidden === 0
      ? ''
      : ` (${hidden} ${hidden === 1 ? 'process' : 'processes'} of others may not be looked at)`
  return `in use${users.length > 0 ? ` by ${users.join(', ')}` : ''}${unseen}`
}
