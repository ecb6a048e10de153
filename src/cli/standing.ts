// How a server stands, as `status` shows it.

import type { FileSystem } from './file-system.ts'
import type { Frontends } from './frontends.ts'
import { gridName } from './grid.ts'
import type { Status } from './places.ts'
import { withoutCaps } from './secrets.ts'
import type { Settings } from './settings.ts'
import { clashOf, waitingOf } from './waiting.ts'

/** Lines of what does not come that `status` shows. */
const MAX_ERRORS = 20

export function statusOf(
  { grid: choice, stateDir }: Settings,
  mountpoint: string | null,
  { vfs, missing }: FileSystem,
  { fuse, nfs }: Frontends,
): Status {
  const { cache, reach, pending, conflicts, trouble } = vfs.status()
  const { reachable, lastError, troubles } = reach
  return {
    pid: process.pid,
    frontend: fuse ? 'fuse' : 'nfs',
    mountpoint,
    address: nfs?.address ?? null,
    grid: {
      kind: choice.kind,
      name: gridName(choice),
      reachable,
      since: new Date(reach.since).toISOString(),
      lastError: withoutCaps(lastError),
    },
    state: stateDir,
    readOnly: vfs.readOnly,
    cache,
    pending: waitingOf(pending),
    conflicts: conflicts.map(clashOf),
    errors: [...(trouble === null ? [] : [trouble]), ...missing, ...troubles]
      .slice(0, MAX_ERRORS)
      .map(withoutCaps),
    calls: (fuse?.calls() ?? 0) + (nfs?.calls() ?? 0),
    memory: process.memoryUsage.rss(),
  }
}

/** Where it is served, in a few words. */
export const served = ({ frontend, address }: Pick<Status, 'frontend' | 'address'>): string =>
  [...(frontend === 'fuse' ? ['over FUSE'] : []), ...(address === null ? [] : [`on ${address}`])].join(
    ' and ',
  )
