// The file system of a server: its grid, and what is known and kept of it here.

import type { Logger } from 'pino'
import { type Cap, parseCap } from '../tahoe/cap.ts'
import type { Grid } from '../tahoe/grid.ts'
import { Tahoefs } from '../vfs/tahoefs.ts'
import { Checks } from './checking.ts'
import { gridName, isNative, openGrid } from './grid.ts'
import { noteServed } from './served.ts'
import type { Settings } from './settings.ts'
import { Wrong } from './wrong.ts'

export type FileSystem = {
  readonly grid: Grid
  readonly vfs: Tahoefs
  /** Null where a node has the shares. */
  readonly checks: Checks | null
  /** What a user should hear: the node does not answer, or nothing may change. */
  readonly warnings: readonly string[]
  /** What of the grid is not there. */
  readonly missing: readonly string[]
}

export type Opening = {
  readonly log: Logger
  readonly signal: AbortSignal
  /** Whether there is no state yet: then the grid must answer. */
  readonly isNew: boolean
  /** Takes what closes each thing that is opened. */
  readonly undo: (() => Promise<unknown>)[]
}

/** Milliseconds that the node may take to answer, and the root to be listed. */
const PATIENCE = 30_000

export async function openFileSystem(
  settings: Settings,
  { log, signal, isNew, undo }: Opening,
): Promise<FileSystem> {
  const patience = () => AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)])
  const root = parseCap(settings.root)
  const grid = await openGrid(settings.grid, log)
  undo.push(() => grid.close())
  const health = await grid.health({ signal: patience() })
  if (!health.reachable && isNew)
    throw new Wrong(
      `no grid behind ${gridName(settings.grid)}: ${health.detail}; start the node, or name another with --grid gateway:URL`,
    )
  const vfs = await Tahoefs.open({ ...settings, root, grid, log })
  undo.push(() => vfs.close())
  const checks = checksOf(settings, { grid, root, vfs })
  const warnings: string[] = []
  const { trouble } = vfs.status()
  if (trouble !== null) warnings.push(trouble)
  if (!health.reachable)
    warnings.push(`the grid cannot be reached (${health.detail}); what is known here is served meanwhile`)
  const { missing = [] } = health
  if (health.reachable) warnings.push(...missing)
  for (const warning of warnings) log.warn({}, warning)
  if (isNew && health.reachable)
    await vfs.list(vfs.root, 0n, { signal: patience() }).catch((err: unknown) => {
      const why = vfs.status().reach.lastError || (err as Error).message
      throw new Wrong(`the root directory cannot be read: ${why.replace(/^\w+: (list [^:]*: )?/, '')}`)
    })
  if (settings.grid.kind === 'local') await noteServed(settings.grid.dirs[0]!, root, settings.stateDir)
  return { grid, vfs, checks, warnings, missing }
}

function checksOf(
  { grid: choice, stateDir }: Settings,
  { grid, root, vfs }: { grid: Grid; root: Cap; vfs: Tahoefs },
): Checks | null {
  if (choice.kind !== 'local' || !isNative(grid)) return null
  return new Checks({ grid, root, dirs: choice.dirs, stateDir, vfs })
}
