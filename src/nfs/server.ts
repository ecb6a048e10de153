// The server: given its socket and its end, it serves one file system over NFSv3 and
// MOUNT. Its bounds are per process: connections, calls held, bytes in flight.

import { createServer, type Server, type Socket } from 'node:net'
import { type Log, silent } from '../log.ts'
import type { Vfs } from '../vfs/vfs.ts'
import { Connection, type House } from './connection.ts'
import { Dispatcher, type Env } from './dispatch.ts'
import type { MountTokens } from './mount-tokens.ts'
import { mount3 } from './mount3.ts'
import { nfs3 } from './nfs3.ts'
import { Patience } from './patience.ts'
import { type Admit, admitLoopback } from './peer.ts'
import type { Program } from './program.ts'
import { maxdata } from './types.ts'
import { Garbage } from './xdr.ts'

export type Limits = {
  /** Connections at once. */
  readonly connections: number
  /** Connections being judged at once: strangers who come and go must not keep the owner out. */
  readonly judged: number
  /** Bytes of one record: a full WRITE and its head. */
  readonly record: number
  /** Bytes of calls at work and of replies not yet taken, in all. */
  readonly bytes: number
  /** The same for one connection. One with nothing in flight may always have one call. */
  readonly bytesEach: number
  /** Calls at work and replies not yet taken, for one connection. */
  readonly callsEach: number
  /** Calls that wait for the grid; further ones are answered JUKEBOX. */
  readonly held: number
}

export const limits: Limits = {
  connections: 16,
  judged: 64,
  record: maxdata + 4096,
  bytes: 64 * 2 ** 20,
  bytesEach: 16 * 2 ** 20,
  callsEach: 1024,
  held: 512,
}

export type ServeOptions = {
  readonly vfs: Vfs
  /** Whose files they are: that user and root may everything, others next to nothing. */
  readonly owner: { readonly uid: number }
  /** The server's end: it answers what it has begun, and closes. */
  readonly signal: AbortSignal
  readonly log?: Log | undefined
  /** Who may connect; by default loopback only, and on Linux the owner and root only. */
  readonly admit?: Admit | undefined
  /** When given, each MNT must begin with one of these. */
  readonly tokens?: MountTokens | undefined
  /** How long a call may be held before it is answered JUKEBOX. */
  readonly holdMs?: number | undefined
  readonly limits?: Partial<Limits> | undefined
  /** Served besides NFS and MOUNT. */
  readonly programs?: readonly Program[] | undefined
}

export type NfsStats = {
  readonly connections: { readonly open: number; readonly accepted: number; readonly refused: number }
  /** Connections closed for sending what is no call. */
  readonly garbage: number
  readonly held: number
  readonly bytesInFlight: number
  /** By procedure (`NFS.READ`), then by status. */
  readonly calls: Readonly<Record<string, Readonly<Record<string, number>>>>
}

export type Serving = {
  stats(): NfsStats
  /** Resolves when the listener and every connection are closed. */
  readonly closed: Promise<void>
}

/** Linux retries a JUKEBOX after 5 s; macOS is told sooner, for it calls silence "not responding". */
const defaultHoldMs = process.platform === 'darwin' ? 8_000 : 45_000
const tooMany = 'too many connections'
/** What is at work gets this long to be answered at the end. */
const graceMs = 3_000

/** A listening socket on loopback, and nowhere else. Port 0: any free one. */
export function listen({ host = '127.0.0.1', port = 0 }: { host?: string; port?: number }): Promise<Server> {
  if (host !== '127.0.0.1' && host !== '::1')
    return Promise.reject(
      new Error(`${host} is not loopback: this server trusts what other machines can forge`),
    )
  const listener = createServer({ allowHalfOpen: true, pauseOnConnect: true })
  return new Promise((resolve, reject) => {
    listener.once('error', reject)
    listener.listen({ host, port, exclusive: true }, () => {
      listener.off('error', reject)
      resolve(listener)
    })
  })
}

export function serve(listener: Server, options: ServeOptions): Serving {
  const log = options.log ?? silent
  const bounds = { ...limits, ...options.limits }
  const admit = options.admit ?? admitLoopback({ owner: options.owner })
  const patience = new Patience(options.holdMs ?? defaultHoldMs)

  const calls = new Map<string, Map<string, number>>()
  const told = (name: string, status: string): void => {
    let byStatus = calls.get(name)
    if (byStatus === undefined) calls.set(name, (byStatus = new Map()))
    byStatus.set(status, (byStatus.get(status) ?? 0) + 1)
  }
  const programs = [nfs3({ ...options, log }), mount3({ ...options, log }), ...(options.programs ?? [])]
  const dispatcher = new Dispatcher(programs, log, told)

  const sockets = new Set<Socket>()
  const connections = new Set<Connection>()
  const waiting = new Set<Connection>()
  const count = { accepted: 0, refused: 0, garbage: 0, held: 0, bytes: 0 }
  let waking = false

  const mayTakeMore = ({ bytes, calls }: Connection): boolean => {
    if (calls === 0) return true
    return calls < bounds.callsEach && bytes < bounds.bytesEach && count.bytes < bounds.bytes
  }

  function wake(): void {
    waking = false
    for (const connection of [...waiting]) {
      if (!mayTakeMore(connection)) continue
      waiting.delete(connection)
      connection.pump()
    }
  }

  const house: House = {
    dispatch: record => dispatcher.dispatch(record),
    env: (peer, fromHere): Env => ({
      peer,
      signal: patience.signal(),
      busy: !fromHere && count.held >= bounds.held,
    }),
    admits(connection) {
      if (mayTakeMore(connection)) return true
      waiting.add(connection)
      return false
    },
    weigh(_, bytes) {
      count.bytes += bytes
      if (bytes >= 0 || waking || waiting.size === 0) return
      waking = true
      setImmediate(wake)
    },
    hold(calls) {
      count.held += calls
    },
    garbage({ peer }, err) {
      count.garbage++
      if (err instanceof Garbage)
        log.info({ peer, why: err.message }, 'closed a connection that sent no call')
      else log.error({ peer, err }, 'not meant to happen')
    },
  }

  const refusedBefore = new Set<string>()
  function refuse(socket: Socket, why: string): void {
    count.refused++
    socket.destroy()
    if (refusedBefore.has(why)) return // or a stranger could fill the log
    refusedBefore.add(why)
    log.warn({ peer: socket.remoteAddress }, `a connection was refused: ${why}; further ones only count`)
  }

  async function accept(socket: Socket): Promise<void> {
    socket.on('error', () => {})
    const judged = sockets.size - connections.size
    if (connections.size >= bounds.connections || judged >= bounds.judged) return refuse(socket, tooMany)
    sockets.add(socket)
    socket.pause() // nothing is acted on before it is known whose it is
    socket.once('close', () => sockets.delete(socket))
    const admitted = await admit(socket).catch(() => false)
    if (socket.destroyed) return
    if (!admitted) return refuse(socket, 'not by the owner or root of this machine')
    if (options.signal.aborted) return void socket.destroy()
    if (connections.size >= bounds.connections) return refuse(socket, tooMany)
    count.accepted++
    const connection = new Connection(socket, house, bounds.record)
    connections.add(connection)
    socket.once('close', () => {
      connections.delete(connection)
      waiting.delete(connection)
    })
  }

  function end(): void {
    listener.close()
    patience.end()
    for (const connection of connections) connection.stop()
    setTimeout(() => {
      for (const socket of sockets) socket.destroy()
    }, graceMs).unref()
  }

  const closed = new Promise<void>(resolve => listener.once('close', resolve))
  listener.on('connection', socket => void accept(socket))
  listener.on('error', err => log.error({ err }, 'the listening socket failed'))
  if (options.signal.aborted) end()
  else options.signal.addEventListener('abort', end, { once: true })

  return {
    closed,
    stats: () => ({
      connections: { open: connections.size, accepted: count.accepted, refused: count.refused },
      garbage: count.garbage,
      held: count.held,
      bytesInFlight: count.bytes,
      calls: Object.fromEntries([...calls].map(([name, byStatus]) => [name, Object.fromEntries(byStatus)])),
    }),
  }
}
