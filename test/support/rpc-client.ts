// A raw RPC client over TCP that can do what well-behaved clients do not: split a
// record anywhere, resend a call, stop reading, half-close, send garbage. It builds
// and reads messages by hand (RFC 5531), so that the server's own codecs of these are judged.

import { connect, type Socket } from 'node:net'

export type Cred = 'none' | { readonly uid: number; readonly gid: number } | { flavor: number; body: Buffer }

export type CallOptions = {
  readonly xid?: number
  readonly cred?: Cred
  readonly rpcvers?: number
  /** Bytes in each fragment but the last; 0 makes an empty one. */
  readonly fragments?: readonly number[]
}

/** A reply as the wire has it; `body` is what follows its head. */
export type Reply = {
  readonly xid: number
  /** SUCCESS, PROG_UNAVAIL, … of an accepted call; RPC_MISMATCH or AUTH_ERROR of a denied one. */
  readonly stat: string
  readonly body: Buffer
}

const acceptStats = ['SUCCESS', 'PROG_UNAVAIL', 'PROG_MISMATCH', 'PROC_UNAVAIL', 'GARBAGE_ARGS', 'SYSTEM_ERR']

const words = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4)
  return bytes
}

function authOf(cred: Cred): Buffer {
  if (cred === 'none') return words(0, 0)
  if ('flavor' in cred) {
    const pad = Buffer.alloc((4 - (cred.body.length & 3)) & 3)
    return Buffer.concat([words(cred.flavor, cred.body.length), cred.body, pad])
  }
  const body = Buffer.concat([words(7, 4), Buffer.from('test'), words(cred.uid, cred.gid, 1, cred.gid)])
  return Buffer.concat([words(1, body.length), body])
}

/** The bytes of a call message, without its record mark. */
export function callBytes(
  prog: number,
  vers: number,
  proc: number,
  args: Buffer,
  { xid = 1, cred = 'none', rpcvers = 2 }: CallOptions = {},
): Buffer {
  return Buffer.concat([words(xid, 0, rpcvers, prog, vers, proc), authOf(cred), words(0, 0), args])
}

/** A message as a record of fragments. */
export function recordOf(message: Buffer, fragments: readonly number[] = []): Buffer {
  const parts: Buffer[] = []
  let at = 0
  for (const size of fragments) {
    parts.push(words(size), message.subarray(at, at + size))
    at += size
  }
  const last = message.subarray(at)
  return Buffer.concat([...parts, words(0x8000_0000 + last.length), last])
}

export class RpcClient {
  readonly socket: Socket
  cred: Cred
  /** When the connection ended from the other side, and everything that arrived before. */
  readonly closed: Promise<void>
  /** Each whole reply, in the order of arrival. */
  readonly replies: Reply[] = []

  readonly #waiting = new Map<number, ((reply: Reply) => void)[]>()
  #failed: Error | null = null
  readonly #rejects = new Set<(err: Error) => void>()
  #data: Buffer[] = []
  #size = 0
  #nextXid = 1

  private constructor(socket: Socket, cred: Cred) {
    this.socket = socket
    this.cred = cred
    socket.on('data', chunk => this.#arrived(chunk as Buffer))
    socket.on('error', () => {})
    this.closed = new Promise(resolve => {
      const over = () => {
        this.#failed = new Error('the connection is closed')
        for (const reject of this.#rejects) reject(this.#failed)
        resolve()
      }
      socket.once('end', over)
      socket.once('close', over)
    })
  }

  static connect(port: number, { host = '127.0.0.1', cred = 'none' as Cred } = {}): Promise<RpcClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true, allowHalfOpen: true })
      socket.once('error', reject)
      socket.once('connect', () => resolve(new RpcClient(socket, cred)))
    })
  }

  xid(): number {
    return this.#nextXid++
  }

  /** Sends bytes as they are. */
  send(bytes: Buffer): void {
    this.socket.write(bytes)
  }

  /** Makes a call and waits for the reply with its xid. */
  call(prog: number, vers: number, proc: number, args: Buffer, options: CallOptions = {}): Promise<Reply> {
    const xid = options.xid ?? this.xid()
    const message = callBytes(prog, vers, proc, args, { cred: this.cred, ...options, xid })
    const reply = this.reply(xid)
    this.send(recordOf(message, options.fragments))
    return reply
  }

  /** The next reply with this xid. */
  reply(xid: number): Promise<Reply> {
    if (this.#failed) return Promise.reject(this.#failed)
    return new Promise((resolve, reject) => {
      const list = this.#waiting.get(xid) ?? []
      this.#waiting.set(xid, list)
      this.#rejects.add(reject)
      list.push(reply => {
        this.#rejects.delete(reject)
        resolve(reply)
      })
    })
  }

  /** Stops taking what arrives. */
  stall(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  /** Says that no more calls come. */
  half(): void {
    this.socket.end()
  }

  close(): void {
    this.socket.destroy()
  }

  #arrived(chunk: Buffer): void {
    this.#data.push(chunk)
    this.#size += chunk.length
    for (;;) {
      if (this.#size < 4) return
      const head = this.#data[0]!.length >= 4 ? this.#data[0]! : this.#join()
      const length = head.readUInt32BE() - 0x8000_0000
      if (length < 0)
        throw new Error('the server sent a record in fragments, which this client does not expect')
      if (this.#size < 4 + length) return
      const all = this.#join()
      this.#data = all.length > 4 + length ? [all.subarray(4 + length)] : []
      this.#size -= 4 + length
      this.#deliver(all.subarray(4, 4 + length))
    }
  }

  #join(): Buffer {
    if (this.#data.length > 1) this.#data = [Buffer.concat(this.#data)]
    return this.#data[0]!
  }

  #deliver(record: Buffer): void {
    const reply = readReply(record)
    this.replies.push(reply)
    this.#waiting.get(reply.xid)?.shift()?.(reply)
  }
}

function readReply(record: Buffer): Reply {
  const at = (i: number): number => record.readUInt32BE(i * 4)
  const xid = at(0)
  if (at(1) !== 1) throw new Error('not a reply')
  if (at(2) === 1)
    return { xid, stat: at(3) === 0 ? 'RPC_MISMATCH' : 'AUTH_ERROR', body: record.subarray(16) }
  if (at(3) !== 0 || at(4) !== 0) throw new Error('a verifier that is not AUTH_NONE and empty')
  return { xid, stat: acceptStats[at(5)] ?? `${at(5)}`, body: record.subarray(24) }
}
