// A running server: the grid, the file system over it, NFS over that, and its control
// socket, opened in this order and closed in the other.

import { access, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { MAX_SOCKET_PATH, serveControl } from '../control/server.ts'
import { FsError } from '../errors.ts'
import { MountTokens } from '../nfs/mount-tokens.ts'
import { serve } from '../nfs/server.ts'
import { parseCap } from '../tahoe/cap.ts'
import { gateway } from '../tahoe/gateway/gateway.ts'
import { Tahoefs } from '../vfs/tahoefs.ts'
import { controlSocket, leaveNote, type Status } from './places.ts'
import { listener } from './port.ts'
import type { Settings } from './settings.ts'
import { Wrong } from './wrong.ts'

export type Running = {
  readonly host: string
  readonly port: number
  /** What to mount: `/`, or on macOS a path that is good once, for thirty seconds. */
  exportPath(): string
  status(): Status
  /** Resolves when the end was asked for over the control socket. */
  readonly stopped: Promise<void>
  close(): Promise<void>
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** Milliseconds that the root's first listing may take. */
const ROOT_PATIENCE = 30_000

/** Opens everything. What fails says so in one line, and leaves nothing behind that was not there before. */
export async function start(settings: Settings, mountpoint: string | null, log: Logger): Promise<Running> {
  const { stateDir, cacheDir, url, owner } = settings
  const socket = controlSocket(stateDir)
  if (Buffer.byteLength(socket) > MAX_SOCKET_PATH)
    throw new Wrong(
      `the state directory's path is too long for a socket in it; give a shorter one with --state`,
    )
  const isNew = !(await exists(join(stateDir, 'state.db')))
  const made: string[] = []
  for (const dir of [stateDir, cacheDir]) if (!(await exists(dir))) made.push(dir)
  const undo: (() => Promise<unknown>)[] = []
  const closeAll = async () => {
    for (const each of undo.reverse()) await each()
  }
  try {
    const grid = gateway(url, { log })
    undo.push(() => grid.close())
    const health = await grid.health({ signal: AbortSignal.timeout(ROOT_PATIENCE) })
    if (!health.reachable && isNew)
      throw new Wrong(
        `the node at ${url} does not answer: ${health.detail}; start it, or name another with --grid`,
      )
    const vfs = await Tahoefs.open({ ...settings, root: parseCap(settings.root), grid, log })
    if (isNew) {
      let kept = false
      undo.push(async () => {
        if (!kept) await Promise.all(made.map(dir => rm(dir, { recursive: true, force: true })))
      })
      undo.push(() => vfs.close())
      await vfs.list(vfs.root, 0n, { signal: AbortSignal.timeout(ROOT_PATIENCE) }).catch((err: unknown) => {
        throw new Wrong(
          `the root directory cannot be listed: ${err instanceof FsError ? err.message : String(err)}`,
        )
      })
      kept = true
    } else {
      undo.push(() => vfs.close())
      if (!health.reachable)
        log.warn({}, `the node does not answer (${health.detail}); what is known here is served`)
    }
    const server = await listener(stateDir, settings.listen)
    const end = new AbortController()
    const tokens = process.platform === 'linux' ? undefined : new MountTokens()
    const nfs = serve(server, { vfs, owner, signal: end.signal, log, tokens })
    undo.push(async () => {
      end.abort()
      await nfs.closed
    })
    const { address: host, port } = server.address() as { address: string; port: number }
    const stopped = Promise.withResolvers<void>()
    const status = (): Status => {
      const { cache, reach } = vfs.status()
      return {
        pid: process.pid,
        frontend: 'nfs',
        mountpoint,
        address: `${host}:${port}`,
        grid: {
          kind: 'gateway',
          url,
          reachable: reach.reachable,
          since: new Date(reach.since).toISOString(),
          lastError: reach.lastError,
        },
        state: stateDir,
        readOnly: vfs.readOnly,
        cache,
        pending: { files: 0, bytes: 0, oldest: null },
        errors: reach.reachable ? [] : [reach.lastError],
        calls: Object.values(nfs.stats().calls).reduce(
          (sum, each) => sum + Object.values(each).reduce((a, b) => a + b, 0),
          0,
        ),
        memory: process.memoryUsage.rss(),
      }
    }
    const control = await serveControl(socket, { status, stop: () => stopped.resolve() })
    undo.push(async () => {
      control.close()
      await rm(socket, { force: true })
    })
    undo.push(await leaveNote({ pid: process.pid, stateDir, mountpoint }))
    return {
      host,
      port,
      exportPath: () => tokens?.issue() ?? '/',
      status,
      stopped: stopped.promise,
      close: closeAll,
    }
  } catch (err) {
    await closeAll()
    throw err instanceof FsError ? new Wrong(err.message.replace(/^\w+: /, '')) : err
  }
}
