// One client's TCP connection: records in, replies out as they come, in any order.
// It reads only while its house has room for what reading brings, so a client that
// does not take its replies stops being read from, and costs no one else anything.

import type { Socket } from 'node:net'
import type { Dispatched, Env } from './dispatch.ts'
import { RecordReader } from './record.ts'
import { finish } from './rpc.ts'
import type { Writer } from './xdr.ts'

/** What a connection needs of the server it belongs to. */
export type House = {
  dispatch(record: Buffer): Dispatched
  env(peer: string, fromHere: boolean): Env
  /** Whether this connection may take one more call now. If not, `pump` is called when it may. */
  admits(connection: Connection): boolean
  /** Bytes in flight have become more or less. */
  weigh(connection: Connection, bytes: number): void
  /** A call that may be held: begun (1) or answered (-1). */
  hold(calls: 1 | -1): void
  garbage(connection: Connection, err: unknown): void
}

export class Connection {
  readonly peer: string
  /** Bytes in flight: calls at work and replies not yet taken. */
  bytes = 0
  /** Calls at work and replies not yet taken. */
  calls = 0

  readonly #socket: Socket
  readonly #house: House
  readonly #reader: RecordReader
  #ended = false // no more will arrive
  #stopped = false // no more will be handled
  #behind = false // whole records may wait for admission
  #closed = false
  #working = 0
  #out: Buffer[] = []
  #outCalls = 0
  #outBytes = 0

  constructor(socket: Socket, house: House, recordLimit: number) {
    this.#socket = socket
    this.#house = house
    this.#reader = new RecordReader(recordLimit)
    this.peer = socket.remoteAddress ?? ''
    socket.allowHalfOpen = true // a client that has said its last still gets its answers
    socket.setNoDelay(true)
    socket.on('data', chunk => this.#arrived(chunk as Buffer))
    socket.on('end', () => this.#end())
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => (this.#closed = true))
    socket.resume()
  }

  #arrived(chunk: Buffer): void {
    if (this.#stopped) return
    this.#reader.push(chunk)
    this.pump()
  }

  /** Handles every whole record that may be handled now. */
  pump(): void {
    try {
      while (!this.#closed && !this.#stopped) {
        this.#behind = !this.#house.admits(this)
        if (this.#behind) return void this.#socket.pause()
        const record = this.#reader.next()
        if (record === null) break
        this.#handle(record)
      }
    } catch (err) {
      // Garbage, or a mistake of ours that some bytes bring out: either way it ends here.
      this.#house.garbage(this, err)
      this.#socket.destroy()
      return
    }
    this.#socket.resume()
    this.#endIfDone()
  }

  #handle(record: Buffer): void {
    const call = this.#house.dispatch(record)
    if ('reply' in call) {
      this.#take(call.reply.length)
      this.#send(call.reply)
      return
    }
    const weight = record.length + call.weight
    const env = this.#house.env(this.peer, call.fromHere)
    const held = !call.fromHere && !env.busy
    if (held) this.#house.hold(1)
    this.#take(weight)
    this.#working++
    void call.answer(env).then(reply => {
      this.#working--
      if (held) this.#house.hold(-1)
      this.#weigh(reply.length - weight)
      this.#send(reply)
    })
  }

  #take(bytes: number): void {
    this.calls++
    this.#weigh(bytes)
  }

  #weigh(bytes: number): void {
    this.bytes += bytes
    this.#house.weigh(this, bytes)
  }

  /** Replies of one turn leave together. */
  #send(reply: Writer): void {
    if (this.#closed) {
      this.#released(1, reply.length)
      return
    }
    if (this.#outCalls === 0) process.nextTick(() => this.#flush())
    this.#out.push(...finish(reply))
    this.#outCalls++
    this.#outBytes += reply.length
  }

  #flush(): void {
    const [out, calls, bytes] = [this.#out, this.#outCalls, this.#outBytes]
    this.#out = []
    this.#outCalls = 0
    this.#outBytes = 0
    if (this.#closed) {
      this.#released(calls, bytes)
      return
    }
    const last = out.length - 1
    this.#socket.cork()
    // Called with an error too, when the connection breaks: what it weighed is free either way.
    out.forEach((buffer, i) => {
      this.#socket.write(buffer, i === last ? () => this.#released(calls, bytes) : undefined)
    })
    this.#socket.uncork()
  }

  #released(calls: number, bytes: number): void {
    this.calls -= calls
    this.#weigh(-bytes)
    this.#endIfDone()
  }

  #end(): void {
    this.#ended = true
    this.#endIfDone()
  }

  /** Handles no more; what is at work is answered, then the connection ends. */
  stop(): void {
    this.#stopped = true
    this.#behind = false
    this.#end()
  }

  #endIfDone(): void {
    if (!this.#ended || this.#closed || this.#behind || this.#working > 0 || this.#outCalls > 0) return
    if (!this.#socket.writableEnded) this.#socket.end()
  }
}
