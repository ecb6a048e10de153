// The conversation with the kernel about one mount: a request in, its operation, its reply out,
// in whatever order they are done. This is the one place that replies.

import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { codeOf, FsError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { FileId, Vfs } from '../vfs/vfs.ts'
import type { Device, Listener, ReaderKind } from './device.ts'
import { Errno, errnoName, errnoOf, meant } from './errno.ts'
import { Body } from './layout.ts'
import { type Notice, Notices } from './notices.ts'
import { Opens } from './opens.ts'
import { bytes, type Fuse, nothing, type Operation, type Out, type Request } from './operation.ts'
import { type Conversation, operations } from './ops/table.ts'
import * as k from './protocol.ts'

export type SessionOptions = {
  /** Opens the device, which is closed at the end. */
  readonly open: (listener: Listener) => Device
  readonly vfs: Vfs
  readonly owner: { readonly uid: number }
  readonly log: Log
}

/** Bytes of a READ or WRITE at most: what the kernel asks for with 256 pages. */
const MAX_DATA = 1 << 20
const PAGE = 4096

/** A WRITE that is shorter is copied, so that it does not hold a buffer for the longest. */
const SMALL = 64 * 1024

/** Bytes to read ahead at most. The kernel has a bound of its own, which whoever mounts may raise. */
const MAX_READ_AHEAD = 16 << 20

/** Buffers for requests that are kept when they are not needed. */
const SPARE = 8

/** WRITEs that may wait, for the grid say, with their bytes in memory; the next ones are refused. */
const MAX_WRITES = 256

/** Milliseconds after which what could not be done just then is tried again, and for how long. */
const AGAIN = 50
const AGAIN_FOR = 300_000

/** What the kernel may send of its own accord (read-ahead, closings) before it waits, and calls that crowded. */
const MAX_BACKGROUND = 64
const CONGESTED = 48

/** The most pieces that one writev(2) takes. */
const IOV_MAX = 1024

const HEAD = k.fuse_out_header.bytes

/**
 * What is wanted of the kernel, of which it grants what it has. Not FUSE_ASYNC_DIO: a direct read
 * that waits for the grid could then be ended by no signal at all.
 */
const wanted =
  k.FUSE_ASYNC_READ | // read-ahead, several requests at a time
  k.FUSE_BIG_WRITES |
  k.FUSE_DO_READDIRPLUS | // always: attributes are at hand with the names, and whoever lists mostly wants them
  k.FUSE_PARALLEL_DIROPS | // a name that waits for the grid holds up no other of its directory
  k.FUSE_MAX_PAGES |
  k.FUSE_CACHE_SYMLINKS |
  k.FUSE_EXPLICIT_INVAL_DATA | // pages go when it is told so, and not at each of its own writes
  k.FUSE_HANDLE_KILLPRIV_V2 // otherwise every write asks for an attribute of security first

type Header = ReturnType<typeof k.fuse_in_header.read>

export class Session implements Fuse {
  readonly vfs: Vfs
  readonly notices: Notices
  readonly opens: Opens
  /** Requests answered, by operation and then by outcome. */
  readonly calls = new Map<string, Map<string, number>>()
  readonly #device: Device
  readonly #owner: { readonly uid: number }
  readonly #log: Log
  readonly #unwatch: () => void
  /** What is being done, and what interrupts it, by the request's number. */
  readonly #atWork = new Map<bigint, AbortController>()
  readonly #idle = Promise.withResolvers<void>()
  readonly #closed = Promise.withResolvers<void>()
  readonly #spare: Buffer[] = []
  /** WRITEs at work that have a buffer of their own. */
  #writes = 0
  /** A reply is written before anything else can happen, so one place will do for all. */
  readonly #scratch = Buffer.alloc(4096)
  /** Nothing more is begun. */
  #aborted = false
  /** The device is no longer ours. */
  #ended = false

  constructor({ open, vfs, owner, log }: SessionOptions) {
    this.vfs = vfs
    this.#owner = owner
    this.#log = log
    this.opens = new Opens(vfs)
    this.notices = new Notices({ nodeId: this.nodeId, tell: notice => this.#tell(notice) })
    this.#unwatch = vfs.watch(news => {
      if (news.by !== this) this.notices.hear(news)
    })
    this.#device = open({
      first: this.#buffer(),
      take: (buffer, bytes) => this.#take(buffer, bytes),
      closing: () => this.#closing(),
      ended: code => void this.#end(code),
    })
  }

  get reader(): ReaderKind {
    return this.#device.reader
  }

  /** Resolves when the kernel has let go of it, or after `abort`, and nothing is at work any more. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /** Ends it from this side: whoever still uses the mount hears ENOTCONN. */
  async abort(): Promise<void> {
    this.#aborted = true
    this.#interruptAll()
    await this.notices.end() // answers are given as long, for it may wait for one
    this.#device.close()
  }

  /** The kernel's root is 1: if ours is another, the two change places. */
  readonly nodeId = (id: FileId): bigint => {
    if (id === this.vfs.root) return k.FUSE_ROOT_ID
    return id === k.FUSE_ROOT_ID ? this.vfs.root : id
  }

  #buffer(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(MAX_DATA + PAGE)
  }

  #take(buffer: Buffer, length: number): Buffer {
    const header = k.fuse_in_header.read(buffer, 0)
    const name = k.opcodes[header.opcode as keyof typeof k.opcodes]
    if (name !== 'WRITE' || length < SMALL) {
      const request = name === 'WRITE' ? Buffer.from(buffer.subarray(0, length)) : buffer
      void this.#dispatch(name, header, new Body(request, k.fuse_in_header.bytes, length))
      return buffer
    }
    if (this.#writes >= MAX_WRITES) {
      this.#fail(header.unique, name, new Errno('ENOMEM'))
      return buffer
    }
    this.#writes++
    void Promise.resolve(this.#dispatch(name, header, new Body(buffer, k.fuse_in_header.bytes, length))).then(
      () => {
        this.#writes--
        if (this.#spare.length < SPARE) this.#spare.push(buffer)
      },
    )
    return this.#buffer()
  }

  /** Gives what resolves when it is answered; undefined where it is already. */
  #dispatch(name: k.OpName | undefined, header: Header, body: Body): Promise<void> | undefined {
    if (name === undefined) return void this.#fail(header.unique, 'UNKNOWN', new Errno('ENOSYS'))
    if (isConversation(name)) return void this.#converse[name](header, body)
    const { unique } = header
    const operation: Operation = operations[name]
    let args: unknown
    try {
      if (this.#aborted) throw new Errno('ENOTCONN')
      args = operation.args(body)
      this.#judge(operation, header)
    } catch (err) {
      return void this.#fail(unique, name, err)
    }
    const interrupt = new AbortController()
    const request: Request = {
      id: this.nodeId(header.nodeid),
      call: { signal: interrupt.signal, by: this },
      looked: [],
    }
    this.#atWork.set(unique, interrupt)
    return this.#work(name, operation, unique, request, args as never)
  }

  /** The kernel lets others as far as the modes allow; what is here is the owner's, and root's. */
  #judge({ anyone }: Operation, { uid }: Header): void {
    if (!anyone && uid !== 0 && uid !== this.#owner.uid) throw new FsError('EACCES', 'another user')
  }

  async #work(
    name: k.OpName,
    operation: Operation,
    unique: bigint,
    request: Request,
    args: never,
  ): Promise<void> {
    const begun = performance.now()
    let error = 0
    let result: unknown
    try {
      result = await this.#patiently(operation, request, args)
    } catch (err) {
      error = errnoOf(err)
      if (!meant(err)) this.#log.error({ err, op: name }, 'not meant to happen')
    }
    const isHeard = error === 0 ? this.#reply(unique, operation.out, result) : this.#refuse(unique, error)
    if (!isHeard) for (const id of request.looked) this.notices.forget(id, 1n)
    this.#told(name, error)
    const ms = Math.round(performance.now() - begun)
    this.#log.debug({ op: name, id: String(request.id), status: errnoName(error), ms }, 'call')
    this.#atWork.delete(unique)
    if (this.#ended && this.#atWork.size === 0) this.#idle.resolve()
  }

  /** What could not be done just then is tried again: the kernel has no word for "not now". */
  async #patiently(operation: Operation, request: Request, args: never): Promise<unknown> {
    const end = performance.now() + AGAIN_FOR
    const { signal } = request.call
    for (;;) {
      try {
        return await operation.handle(this, request, args)
      } catch (err) {
        if (codeOf(err) !== 'EAGAIN' || signal?.aborted) throw err
        if (performance.now() > end) throw new FsError('EIO', 'it could not be done', { cause: err })
        await sleep(AGAIN, undefined, { signal }).catch(() => {}) // the next try hears of the interruption
      }
    }
  }

  readonly #converse: Record<Conversation, (header: Header, body: Body) => void> = {
    INIT: ({ unique }, body) => this.#init(unique, body),
    DESTROY: ({ unique }) => void this.#reply(unique, nothing, undefined),
    FORGET: ({ nodeid }, body) =>
      this.notices.forget(this.nodeId(nodeid), body.take(k.fuse_forget_in).nlookup),
    BATCH_FORGET: (_, body) => {
      for (let { count } = body.take(k.fuse_batch_forget_in); count > 0; count--) {
        const { nodeid, nlookup } = body.take(k.fuse_forget_one)
        this.notices.forget(this.nodeId(nodeid), nlookup)
      }
    },
    INTERRUPT: ({ unique }, body) => {
      const interrupt = this.#atWork.get(body.take(k.fuse_interrupt_in).unique)
      if (interrupt) interrupt.abort()
      else this.#refuse(unique, EAGAIN) // it overtook what it interrupts, or that has been answered: the kernel knows
    },
    NOTIFY_REPLY: () => {}, // nothing is ever asked for by a notice
  }

  #init(unique: bigint, body: Body): void {
    const { major, minor, flags } = body.take(k.fuse_init_in)
    if (major < k.MAJOR || (major === k.MAJOR && minor < k.MIN_MINOR)) {
      this.#log.error(
        { major, minor },
        'this kernel is too old for the FUSE frontend: Linux 5.2 is the first',
      )
      this.#refuse(unique, EPROTO)
      return
    }
    const granted = flags & wanted
    this.#reply(unique, k.fuse_init_out, {
      major: k.MAJOR, // a kernel that speaks a later one asks again
      minor: k.MINOR,
      max_readahead: MAX_READ_AHEAD,
      flags: granted,
      max_background: MAX_BACKGROUND,
      congestion_threshold: CONGESTED,
      max_write: MAX_DATA,
      time_gran: 1,
      max_pages: MAX_DATA / PAGE,
    })
    this.#log.debug({ minor, granted, reader: this.reader }, 'the kernel has mounted it')
  }

  /** Whether the kernel still wanted it. */
  #reply<R>(unique: bigint, out: Out<R>, result: R | readonly Uint8Array[]): boolean {
    const scratch = this.#scratch
    if (out === nothing) return this.#write(unique, 0, HEAD)
    if (out === bytes) return this.#writePieces(unique, result as readonly Uint8Array[])
    out.write(scratch, HEAD, result as R)
    return this.#write(unique, 0, HEAD + out.bytes)
  }

  #refuse(unique: bigint, error: number): boolean {
    return this.#write(unique, -error, HEAD)
  }

  #fail(unique: bigint, name: string, err: unknown): void {
    this.#refuse(unique, errnoOf(err))
    this.#told(name, errnoOf(err))
  }

  #write(unique: bigint, error: number, len: number): boolean {
    if (this.#ended) return false
    k.fuse_out_header.write(this.#scratch, 0, { len, error, unique })
    return this.#send([this.#scratch.subarray(0, len)])
  }

  #writePieces(unique: bigint, pieces: readonly Uint8Array[]): boolean {
    if (this.#ended) return false
    const len = pieces.reduce((sum, { length }) => sum + length, HEAD)
    k.fuse_out_header.write(this.#scratch, 0, { len, error: 0, unique })
    const few = pieces.length < IOV_MAX ? pieces : [Buffer.concat(pieces)]
    return this.#send([this.#scratch.subarray(0, HEAD), ...few])
  }

  #send(pieces: readonly Uint8Array[]): boolean {
    try {
      this.#device.send(pieces)
      return true
    } catch (err) {
      const { code } = err as NodeJS.ErrnoException
      // Whoever asked was killed, or the mount is gone.
      if (code !== 'ENOENT' && code !== 'ENODEV' && code !== 'EPERM')
        this.#log.error({ err }, 'the kernel does not take a reply')
      return false
    }
  }

  async #tell({ code, body }: Notice): Promise<void> {
    if (this.#ended) return
    const notice = Buffer.allocUnsafe(HEAD + body.length)
    k.fuse_out_header.write(notice, 0, { len: notice.length, error: code, unique: 0n })
    body.copy(notice, HEAD)
    await this.#device.notify(notice).catch((err: NodeJS.ErrnoException) => {
      // It may have forgotten by itself.
      if (err.code !== 'ENOENT' && !this.#ended)
        this.#log.warn({ error: err.message }, 'the kernel does not take a notice')
    })
  }

  #told(name: string, error: number): void {
    let outcomes = this.calls.get(name)
    if (!outcomes) this.calls.set(name, (outcomes = new Map()))
    const outcome = errnoName(error)
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }

  async #closing(): Promise<void> {
    this.#ended = true
    this.#unwatch()
    this.#interruptAll()
    await this.notices.end()
  }

  #interruptAll(): void {
    for (const interrupt of this.#atWork.values()) interrupt.abort()
  }

  async #end(code: string): Promise<void> {
    if (code !== 'ENODEV' && code !== 'ECANCELED')
      this.#log.error({ error: code }, 'the FUSE device cannot be read any more')
    if (this.#atWork.size > 0) await this.#idle.promise
    this.opens.closeAll()
    this.#closed.resolve()
  }
}

const { EAGAIN, EPROTO } = constants.errno

const isConversation = (name: k.OpName): name is Conversation => !(name in operations)
