// Reading the kernel's requests from /dev/fuse, one at each read. Node has no public way to wait
// for such a device; what libuv does for pipes does it (epoll, no thread, a process that can
// always end). Where that is missing, threads of the pool wait in read(2).

import { read } from 'node:fs'
import { Socket } from 'node:net'

/** Takes a request, which lies at the front of `buffer`, and gives the buffer for the next one. */
export type Take = (buffer: Buffer, bytes: number) => Buffer

export type Reader = {
  readonly kind: 'epoll' | 'threads'
  /** Closes the device: the kernel ends the connection when nobody else has it open. */
  close(): void
}

export type ReadOptions = {
  /** The descriptor of the device; it belongs to the reader from now on. */
  readonly device: number
  /** A request is at most so long, and the kernel insists on room for it. */
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

/** The best reader that works here. */
export const readDevice = (options: ReadOptions, kind?: Reader['kind']): Reader =>
  (kind === 'threads' ? null : byEpoll(options)) ?? byThreads(options)

/** A socket in name only, which lets go of its descriptor when it may. */
class Device extends Socket {
  readonly #closing: () => Promise<void>

  constructor(options: object, closing: () => Promise<void>) {
    super(options)
    this.#closing = closing
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    void this.#closing().then(() => super._destroy(error, done))
  }
}

function byEpoll({ device, first, take, closing, ended }: ReadOptions): Reader | null {
  const wrap = pipeWrap()
  if (!wrap) return null
  const handle = new wrap.Pipe(wrap.constants.SOCKET)
  if (handle.open(device)) return null
  let next = first
  const onread = {
    buffer: () => next,
    callback(bytes: number, buffer: Uint8Array) {
      next = take(buffer as Buffer, bytes)
      return true
    },
  }
  const socket = new Device({ handle, readable: true, writable: false, onread }, closing)
  let error = 'ENODEV'
  socket.on('error', (err: NodeJS.ErrnoException) => {
    error = err.code ?? 'EIO'
  })
  socket.on('close', () => ended(error))
  return { kind: 'epoll', close: () => void socket.destroy() }
}

/** One thread: more would take requests out of their order, and the pool's other threads have work to do. */
function byThreads({ device, first, take, closing, ended }: ReadOptions): Reader {
  let closed = false
  const end = (code: string) => {
    if (closed) return
    closed = true
    void closing().then(() => ended(code)) // it stays open: a thread may be in it, and goes when the process ends
  }
  const again = (buffer: Buffer) =>
    read(device, buffer, 0, buffer.length, null, (err, bytes) => {
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
