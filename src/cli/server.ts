// A running server: the grid, the file system over it, the frontends over that, and its control
// socket, opened in this order and closed in the other.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { MAX_SOCKET_PATH, serveControl } from '../control/server.ts'
import { type Code, codeOf, FsError } from '../errors.ts'
import type { Tahoefs } from '../vfs/tahoefs.ts'
import type { Wish } from './checking.ts'
import { openFileSystem } from './file-system.ts'
import { type Frontends, openFrontends, type Plan } from './frontends.ts'
import { easeHeap } from './heap.ts'
import { beforeMaking, exists } from './made.ts'
import { at, controlSocket, leaveNote, type Status } from './places.ts'
import { keepRoom } from './room.ts'
import type { Settings } from './settings.ts'
import type { Cause } from './signals.ts'
import { served, statusOf } from './standing.ts'
import { withoutCode } from './words.ts'
import { Wrong } from './wrong.ts'

export type Running = Frontends & {
  /** What a user should hear besides: the node does not answer, or nothing may change. */
  readonly warnings: readonly string[]
  status(): Status
  /** Publishes what waits, and resolves when it is on the grid or the signal has ended the wait. */
  publish(signal: AbortSignal): Promise<void>
  /** Resolves when the end was asked for over the control socket, or nothing is served any more. */
  readonly ended: Promise<Cause>
  close(): Promise<void>
}

/** What a start needs besides its settings. */
export type Start = {
  readonly plan: Plan
  /** For `status`; NFS is not mounted here. */
  readonly mountpoint: string | null
  readonly log: Logger
  /** The end, which may come before the beginning is over. */
  readonly signal: AbortSignal
}

type Undo = () => Promise<unknown>

/** Milliseconds in which a path that cannot be published is known to be one. */
const HEARD = 250

/** Milliseconds that a server which has nothing left to do stays, for whoever has just unmounted it and asks. */
const LINGER = 2_000

/** What is said of a path that leads to nothing. */
const nowhere = new Set<Code>(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ESTALE'])

/** Opens everything. What fails says so in one line, and leaves nothing behind that was not there before. */
export async function start(settings: Settings, given: Start): Promise<Running> {
  easeHeap()
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

const servedBy = (status: Status): string => {
  const { pid, mountpoint, state } = status
  return `this root is already served by process ${pid} ${served(status)}${mountpoint === null ? '' : ` for ${mountpoint}`}; see it with: tahoe-nfs status --state ${state}`
}

/** The process that had the state last. */
const holder = async (stateDir: string): Promise<number> =>
  Number(await readFile(join(stateDir, 'pid'), 'utf8').catch(() => Number.NaN))

async function open(
  settings: Settings,
  { plan, mountpoint, log, signal }: Start,
  isNew: boolean,
  undo: Undo[],
  close: () => Promise<void>,
): Promise<Running> {
  const { stateDir } = settings
  const fileSystem = await openFileSystem(settings, { log, signal, isNew, undo })
  const { grid, vfs, checks, warnings } = fileSystem
  const frontends = await openFrontends(plan, vfs, settings, { log, undo })
  await vfs.statfs() // its question to the grid shows in `status` whether it can be reached
  const { fuse, nfs } = frontends
  const ended = Promise.withResolvers<Cause>()
  const status = () => statusOf(settings, mountpoint, fileSystem, frontends)
  const { publish, flush } = publishing(vfs, log, status)
  if (fuse && !nfs) {
    const over = new AbortController()
    undo.push(async () => over.abort())
    void fuse.closed
      .then(() => publish(over.signal)) // whoever unmounted it need not wait for that
      .then(() => sleep(LINGER, undefined, { signal: over.signal }))
      .then(
        () => ended.resolve('unmounted'),
        () => {}, // it ends already
      )
  }
  const check = (wish: Wish, signal: AbortSignal) => {
    if (!checks) throw new FsError('ENOTSUP', 'what a node stores, the node checks')
    return checks.run(wish, signal)
  }
  const exportPath = () => {
    if (!nfs) throw new FsError('ENOTSUP', 'it is not served over NFS')
    return nfs.exportPath()
  }
  const waits = () => vfs.status().pending.files > 0
  if (checks && !vfs.readOnly) undo.push(keepRoom({ grid, waits, collect: on => checks.collect(on), log }))
  const routes = { status, exportPath, flush, check, stop: () => ended.resolve('asked') }
  undo.push(await serveControl(controlSocket(stateDir), routes))
  undo.push(await leaveNote({ pid: process.pid, stateDir, mountpoint }))
  if (signal.aborted) throw new Wrong('ended before it served')
  return { ...frontends, warnings, status, publish, ended: ended.promise, close }
}

/** Having what waits published, as whoever asks over the control socket wishes it, and at the end. */
function publishing(vfs: Tahoefs, log: Logger, status: () => Status) {
  const at = (path: string | null, signal?: AbortSignal) =>
    vfs.flush(path, { signal }).catch((err: unknown) => {
      const { trouble } = vfs.status()
      if (trouble !== null) throw new FsError('EIO', `nothing can be published: ${trouble}`)
      throw nowhere.has(codeOf(err)) ? new FsError('ENOENT', `nothing is at ${path} in what is served`) : err
    })
  return {
    async flush(path: string | null, wait: boolean, signal: AbortSignal) {
      await (wait ? at(path, signal) : Promise.race([at(path), sleep(HEARD)]))
      return status()
    },
    publish: (signal: AbortSignal) =>
      at(null, signal).catch((err: Error) => {
        if (!signal.aborted) log.error({ error: withoutCode(err.message) }, 'what waits is not published')
      }),
  }
}
