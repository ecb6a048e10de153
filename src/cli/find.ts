// The running server a command means: the one at a mount point, of a state directory, or
// the only one there is.

import { readlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { placeOf } from './mountpoint.ts'
import { type Mount, mountAt, mounts } from './mounts.ts'
import { at, type Found, running } from './places.ts'
import { isFuse } from './unmount.ts'
import { reason, Wrong } from './wrong.ts'

export async function find(options: {
  mountpoint?: string | undefined
  state?: string | undefined
}): Promise<Found> {
  if (options.state !== undefined) {
    const found = await at(resolve(options.state))
    if (!found) throw new Wrong(`no server runs with the state directory ${resolve(options.state)}`)
    return found
  }
  const all = await running()
  if (options.mountpoint !== undefined) {
    const wanted = await placeOf(options.mountpoint)
    const found = servedAt(wanted, await mountAt(wanted), all)
    if (!found) throw new Wrong(`no server of yours serves ${wanted}${hint}`)
    return found
  }
  if (all.length === 1) return all[0]!
  if (all.length === 0) throw new Wrong(`no server of yours runs${hint}`)
  const names = all.map(each => each.status.mountpoint ?? `--state ${each.status.state}`).join(', ')
  throw new Wrong(`${all.length} servers run (${names}); name the mount point, or --state DIR`)
}

/** The server of a mount point. By its port too: who only serves does not know where others mount it. */
export const servedAt = (
  mountpoint: string,
  mounted: Mount | undefined,
  servers: readonly Found[],
): Found | undefined =>
  servers.find(
    ({ status }) =>
      status.mountpoint === mountpoint ||
      (mounted?.port != null && status.address?.endsWith(`:${mounted.port}`)),
  )

/** The server that serves a path in a mount, and the path from the root of what it serves. */
export async function findPath(given: string): Promise<{ server: Found; path: string }> {
  const servers = await running()
  const table = (await mounts()).filter(each => each.type.startsWith('nfs') || isFuse(each))
  const points = [
    ...servers.flatMap(({ status }) => status.mountpoint ?? []),
    ...table.map(m => m.mountpoint),
  ]
  const inside = await locate(given, new Set(points))
  const mounted = table.findLast(each => each.mountpoint === inside?.mountpoint)
  const server = inside && servedAt(inside.mountpoint, mounted, servers)
  if (!server) throw new Wrong(`${resolve(given)} is in no mount that a server of yours serves${hint}`)
  return { server, path: join(mounted?.path ?? '/', inside.path) }
}

/** Links on the way to a mount point. */
const MAX_LINKS = 40

/**
 * In which of the mount points a path lies, and where in it; null when in none. Links on the
 * way there are followed. The mount point and what is in it are never touched: a mount whose
 * server hangs would not let go of us.
 */
export async function locate(
  given: string,
  points: ReadonlySet<string>,
  linkAt: (path: string) => Promise<string> = path => readlink(path),
): Promise<{ mountpoint: string; path: string } | null> {
  let rest = resolve(given)
  for (let links = 0; links <= MAX_LINKS; links++) {
    let target: string | null = null
    const names = rest.split('/').filter(name => name !== '')
    let at = '/'
    while (target === null && names.length > 0) {
      at = join(at, names.shift()!)
      if (points.has(at)) return { mountpoint: at, path: `/${names.join('/')}` }
      target = await linkAt(at).catch(() => null) // no link, or nothing at all
    }
    if (target === null) return null
    rest = resolve(dirname(at), target, ...names)
  }
  throw new Wrong(`${resolve(given)} cannot be reached: ${reason({ code: 'ELOOP' })}`)
}

/** What root started only root sees. */
const hint =
  process.platform === 'linux' && process.getuid?.() !== 0
    ? '; one that was started with sudo is seen with sudo'
    : ''
