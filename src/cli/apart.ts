// What a server itself needs must not lie in what it serves: it would wait for itself, or find
// its files hidden under the mount.

import { join } from 'node:path'
import { locate } from './find.ts'
import { commonPlace } from './places.ts'
import { Wrong } from './wrong.ts'

/** Refuses a place at or below the mount point, which is not touched for it; null refuses nothing. */
export async function mustBeApart(mountpoint: string | null, what: string, path: string): Promise<void> {
  if (mountpoint === null || !(await locate(path, new Set([mountpoint])))) return
  throw new Wrong(
    `${what} (${path}) is at or below the mount point ${mountpoint}: the server would wait for itself; name another place, or another mount point`,
  )
}

/** The same of what no option names. */
export async function restIsApart(mountpoint: string | null): Promise<void> {
  await mustBeApart(mountpoint, 'where servers leave their notes', commonPlace())
  await mustBeApart(mountpoint, 'this program', join(import.meta.dirname, '../..'))
}
