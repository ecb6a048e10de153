// A running server: the grid, the file system over it, NFS over that, and its control
// socket, opened in this order and closed in the other.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { MAX_SOCKET_PATH, serveControl } from '../control/server.ts'
import { type Code, codeOf, FsError } from '../errors.ts'
import { MountTokens } from '../nfs/mount-tokens.ts'
import { serve } from '../nfs/server.ts'
import { type Cap, parseCap } from '../tahoe/cap.ts'
import type { Grid } from '../tahoe/grid.ts'
import { Tahoefs } from '../vfs/tahoefs.ts'
import { Checks, type Wish } from './checking.ts'
import { gridName, isNative, openGrid } from './grid.ts'
import { beforeMaking, exists } from './made.ts'
import { at, controlSocket, leaveNote, type Status } from './places.ts'
import { listener } from './port.ts'
import { keepRoom } from './room.ts'
import { withoutCaps } from './secrets.ts'
import { noteServed } from './served.ts'
import type { Settings } from './settings.ts'
import { clashOf, waitingOf } from './waiting.ts'
import { withoutCode } from './words.ts'
import { Wrong } from './wrong.ts'

export type Running = {
  readonly host: string
  readonly port: number
  /** What a user should hear besides: the node does not answer, or nothing may change. */
  readonly warnings: readonly string[]
  /** Whether the export path is good for one mount only. */
  readonly tokens: boolean
  /** What to mount: `/`, or with tokens a path that is good once, for thirty seconds. */
  exportPath(): string
  status(): Status
  /** Publishes what waits, and resolves when it is on the grid or the signal has ended the wait. */
  publish(signal: AbortSignal): Promise<void>
  /** Resolves when the end was asked for over the control socket. */
  readonly stopped: Promise<void>
  close(): Promise<void>
}

type Undo = () => Promise<unknown>

/** What a start needs besides its settings. */
export type Start = {
  /** For `status` only; mounting is not done here. */
  readonly mountpoint: string | null
  readonly log: Logger
  /** The end, which may come before the beginning is over. */
  readonly signal: AbortSignal
}

/** Lines of what does not come that `status` shows. */
const MAX_ERRORS = 20

/** Milliseconds in which a path that cannot be published is known to be one. */
const HEARD = 250

/** What is said of a path that leads to nothing. */
const nowhere = new Set<Code>(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ESTALE'])

/** Milliseconds that the node may take to answer, and the root to be listed. */
const PATIENCE = 30_000

/** Opens everything. What fails says so in one line, and leaves nothing behind that was not there before. */
export async function start(settings: Settings, given: Start): Promise<Running> {
  const { stateDir, cacheDir } = settings
  if (Buffer.byteLength(controlSocket(stateDir)) > MAX_SOCKET_PATH)
    throw new Wrong(
      `the state directory's path is too long for a socket in it; give a shorter one with --state`,
    )
  const other = await at(stateDir).catch(() => null) // what is wrong with the place is said below
  if (other) throw new Wrong(servedBy(other.status))
  const isNew = !(await exists(join(stateDir, 'state.db')))
  const takeBack = isNew ? [await beforeMaking(cacheDir), await beforeMaking(stateDir)] : []
  const undo: Undo[] = []
  const close = async () => {
    for (const each of undo.splice(0).reverse())
      await each().catch((err: unknown) => given.log.error({ err }, 'could not be closed'))
  }
  try {
    return await open(settings, given, isNew, undo, close)
  } catch (err) {
    await close()
    if ((await holder(stateDir)) === process.pid) for (const each of takeBack) await each()
    if (given.signal.aborted) throw new Wrong('ended before it served')
    throw err instanceof FsError ? new Wrong(err.message.replace(/^\w+: /, '')) : err
  }
}

const servedBy = ({ pid, mountpoint, address, state }: Status): string =>
  `this root is already served by process ${pid} on ${address}${mountpoint === null ? '' : ` for ${mountpoint}`}; see it with: tahoe-nfs status --state ${state}`

/** The process that had the state last. */
const holder = async (stateDir: string): Promise<number> =>
  Number(await readFile(join(stateDir, 'pid'), 'utf8').catch(() => Number.NaN))

async function open(
  settings: Settings,
  { mountpoint, log, signal }: Start,
  isNew: boolean,
  undo: Undo[],
  close: () => Promise<void>,
): Promise<Running> {
  const { stateDir, owner } = settings
  const where = gridName(settings.grid)
  const patience = () => AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)])
  const root = parseCap(settings.root)
  const grid = await openGrid(settings.grid, log)
  undo.push(() => grid.close())
  const health = await grid.health({ signal: patience() })
  if (!health.reachable && isNew)
    throw new Wrong(
      `no grid behind ${where}: ${health.detail}; start the node, or name another with --grid gateway:URL`,
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
  if (settings.grid.kind === 'local') await noteServed(settings.grid.dirs[0]!, root, stateDir)
  const server = await listener(stateDir, settings.listen)
  const end = new AbortController()
  const tokens = settings.tokens ? new MountTokens() : undefined
  const nfs = serve(server, { vfs, owner, signal: end.signal, log, tokens })
  undo.push(() => {
    end.abort()
    return nfs.closed
  })
  await vfs.statfs() // its question to the grid shows in `status` whether it can be reached
  const { address: host, port } = server.address() as { address: string; port: number }
  const stopped = Promise.withResolvers<void>()
  const exportPath = () => tokens?.issue() ?? '/'
  const status = (): Status => {
    const { cache, reach, pending, conflicts, trouble } = vfs.status()
    const { reachable, lastError, troubles } = reach
    return {
      pid: process.pid,
      frontend: 'nfs',
      mountpoint,
      address: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
      grid: {
        kind: settings.grid.kind,
        name: where,
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
      calls: callsIn(nfs.stats().calls),
      memory: process.memoryUsage.rss(),
    }
  }
  const publishAt = (path: string | null, signal?: AbortSignal) =>
    vfs.flush(path, { signal }).catch((err: unknown) => {
      const { trouble } = vfs.status()
      if (trouble !== null) throw new FsError('EIO', `nothing can be published: ${trouble}`)
      throw nowhere.has(codeOf(err)) ? new FsError('ENOENT', `nothing is at ${path} in what is served`) : err
    })
  const flush = async (path: string | null, wait: boolean, signal: AbortSignal) => {
    await (wait ? publishAt(path, signal) : Promise.race([publishAt(path), sleep(HEARD)]))
    return status()
  }
  const publish = (signal: AbortSignal) =>
    publishAt(null, signal).catch((err: Error) => {
      if (!signal.aborted) log.error({ error: withoutCode(err.message) }, 'what waits is not published')
    })
  const check = (wish: Wish, signal: AbortSignal) => {
    if (!checks) throw new FsError('ENOTSUP', 'what a node stores, the node checks')
    return checks.run(wish, signal)
  }
  const waits = () => vfs.status().pending.files > 0
  if (checks && !vfs.readOnly) undo.push(keepRoom({ grid, waits, collect: on => checks.collect(on), log }))
  const routes = { status, exportPath, flush, check, stop: () => stopped.resolve() }
  undo.push(await serveControl(controlSocket(stateDir), routes))
  undo.push(await leaveNote({ pid: process.pid, stateDir, mountpoint }))
  if (signal.aborted) throw new Wrong('ended before it served')
  const running = { host, port, warnings, tokens: settings.tokens, exportPath, status, publish }
  return { ...running, stopped: stopped.promise, close }
}

/** Null where a node has the shares. */
function checksOf(
  { grid: choice, stateDir }: Settings,
  { grid, root, vfs }: { grid: Grid; root: Cap; vfs: Tahoefs },
): Checks | null {
  if (choice.kind !== 'local' || !isNative(grid)) return null
  return new Checks({ grid, root, dirs: choice.dirs, stateDir, vfs })
}

const callsIn = (byName: Readonly<Record<string, Readonly<Record<string, number>>>>): number =>
  Object.values(byName)
    .flatMap(byStatus => Object.values(byStatus))
    .reduce((sum, each) => sum + each, 0)
