// The folders in which this user has begun a grid, each with its file system. Where one of them is
// not there any more and another file system is in its place, its disk is not mounted: a new grid
// would be filled below the mount point, and hidden later.

import { appendFile, mkdir, readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { storesFile } from './places.ts'
import { Wrong } from './wrong.ts'

/** Refuses to begin a grid in the place of one whose disk is away. */
export async function mustBeNew(dir: string): Promise<void> {
  const lines = (await readFile(storesFile(), 'utf8').catch(() => '')).split('\n')
  const known = lines.filter(line => line.slice(line.indexOf(' ') + 1) === dir)
  if (known.length === 0 || known.at(-1) === lineOf(await fileSystem(dir), dir)) return
  throw new Wrong(
    `${dir} held a store, and is on another file system now: is its disk not mounted? To begin a new one there, remove its line from ${storesFile()}`,
  )
}

/** Remembers that a grid was begun there. */
export async function remember(dir: string): Promise<void> {
  await mkdir(dirname(storesFile()), { recursive: true, mode: 0o700 })
  await appendFile(storesFile(), `${lineOf(await fileSystem(dir), dir)}\n`, { mode: 0o600 })
}

const lineOf = (device: number, dir: string): string => `${device} ${dir}`

/** The number of the file system that a path is on, or will be. */
async function fileSystem(path: string): Promise<number> {
  const found = await stat(path).catch(() => null)
  return found || path === dirname(path) ? (found?.dev ?? 0) : fileSystem(dirname(path))
}
