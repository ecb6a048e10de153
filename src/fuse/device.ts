// /dev/fuse, mounted: each read gives one request of the kernel's, each write takes one reply.
//
// Node has no public way to wait for such a device; what libuv does for pipes does it (epoll, no
// thread, a process that can always end). Where that is missing a thread of the pool waits in
// read(2).

import { read, write, writeSync, writevSync } from 'node:fs'
import { Socket } from 'node:net'

/** Takes a request, which lies at the front of `buffer`, and gives the buffer for the next one. */
export type Take = (buffer: Buffer, bytes: number) => Buffer

export type ReaderKind = 'epoll' | 'threads'

export type Device = {
  readonly reader: ReaderKind
  /** Writes one message, at once. Throws what write(2) says: ENOENT when nobody waits for it any more. */
  send(pieces: readonly Uint8Array[]): void
  /** The same for what may have to wait for the kernel's locks, on a thread. */
  notify(message: Uint8Array): Promise<void>
  /** The kernel ends the connection when nobody else has the device open. */
  close(): void
}

export type Listener = {
  /** Where the first request is read to: the kernel insists on room for the longest. */
  readonly first: Buffer
  readonly take: Take
  /** Awaited before the device is closed: until then its descriptor is no other file's. */
  readonly closing: () => Promise<void>
  /** Called once, with what ended the reading: ENODEV when it was unmounted. */
  readonly ended: (code: string) => void
}

type PipeHandle = { open(fd: number): number | undefined; close(): void }
type PipeWrap = { Pipe: new (kind: number) => PipeHandle; constants: { SOCKET: number } }

/** Null where this Node has no such thing. */
function pipeWrap(): PipeWrap | null {
  try {
    const found = (process as unknown as { binding(name: string): PipeWrap }).binding('pipe_wrap')
    return typeof found.Pipe === 'function' && typeof found.constants?.SOCKET === 'number' ? found : null
  } catch {
    return null
  }
}

/** `descriptor` belongs to the device from now on. The best reader that works here is taken, or the given one. */
export function openDevice(descriptor: number, listener: Listener, kind?: ReaderKind): Device {
  const reader =
    (kind === 'threads' ? null : byEpoll(descriptor, listener)) ?? byThreads(descriptor, listener)
  return {
    reader: reader.kind,
    close: reader.close,
    send(pieces) {
      if (pieces.length === 1) writeSync(descriptor, pieces[0]!)
      else writevSync(descriptor, pieces)
    },
    notify: message =>
      new Promise((resolve, reject) => write(descriptor, message, err => (err ? reject(err) : resolve()))),
  }
}

type Reader = { readonly kind: ReaderKind; readonly close: () => void }

/** A socket in name only, which lets go of its descriptor when it may. */
class Opened extends Socket {
  readonly #closing: () => Promise<void>

  constructor(options: object, closing: () => Promise<void>) {
    super(options)
    this.#closing = closing
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    void this.#closing().then(() => super._destroy(error, done))
  }
}

function byEpoll(descriptor: number, { first, take, closing, ended }: Listener): Reader | null {
  const wrap = pipeWrap()
  if (!wrap) return null
  const handle = new wrap.Pipe(wrap.constants.SOCKET)
  if (handle.open(descriptor)) return null
  let next = first
  const onread = {
    buffer: () => next,
    callback(bytes: number, buffer: Uint8Array) {
      next = take(buffer as Buffer, bytes)
      return true
    },
  }
  const socket = new Opened({ handle, readable: true, writable: false, onread }, closing)
  let error = 'ENODEV'
  socket.on('error', (err: NodeJS.ErrnoException) => {
    error = err.code ?? 'EIO'
  })
  socket.on('close', () => ended(error))
  return { kind: 'epoll', close: () => void socket.destroy() }
}

/** One thread: more would take requests out of their order, and the pool's other threads have work to do. */
function byThreads(descriptor: number, { first, take, closing, ended }: Listener): Reader {
  let closed = false
  const end = (code: string) => {
    if (closed) return
    closed = true
    void closing().then(() => ended(code)) // it stays open: a thread may be in it, and goes when the process ends
  }
  const again = (buffer: Buffer) =>
    read(descriptor, buffer, 0, buffer.length, null, (err, bytes) => {
      // A request that was given up before it was read, or a signal: the next one is read.
      if (err && (err.code === 'ENOENT' || err.code === 'EINTR' || err.code === 'EAGAIN'))
        return again(buffer)
      if (err || bytes === 0) return end(err?.code ?? 'ENODEV')
      const next = take(buffer, bytes)
      if (!closed) again(next)
    })
  again(first)
  return { kind: 'threads', close: () => end('ECANCELED') }
}
