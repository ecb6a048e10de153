// An NFSv3 client over TCP: many calls under way, their data sent without being copied. It
// speaks with the server's own codecs, for it measures; the tests judge the bytes.

import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { MOUNT_PROGRAM, MOUNT_V3, mountres3_ok } from '../src/nfs/mount3.ts'
import { NFS_PROGRAM, NFS_V3 } from '../src/nfs/nfs3.ts'
import type { Unbound } from '../src/nfs/procedure.ts'
import { RecordReader } from '../src/nfs/record.ts'
import { AUTH_NONE, AUTH_SYS, authsys_parms, finish, RPCVERS } from '../src/nfs/rpc.ts'
import { type Fhandle, nfsstat3, type Status } from '../src/nfs/types.ts'
import { opaque, Reader, Writer } from '../src/nfs/xdr.ts'

const numbers: Record<string, number> = {
  GETATTR: 1,
  SETATTR: 2,
  LOOKUP: 3,
  READ: 6,
  WRITE: 7,
  CREATE: 8,
  MKDIR: 9,
  REMOVE: 12,
  RMDIR: 13,
  RENAME: 14,
  READDIRPLUS: 17,
  COMMIT: 21,
}

const MNT = 1
const REPLY_MAX = 2 ** 21

/** A call that the server refused. */
export class Refused extends Error {
  readonly status: Status

  constructor(name: string, status: Status) {
    super(`${name}: ${status}`)
    this.status = status
  }
}

type Answer = { resolve(reply: Reader): void; reject(err: Error): void }

export class NfsClient {
  readonly #socket: Socket
  readonly #waiting = new Map<number, Answer>()
  #xid = randomInt(2 ** 31)
  #root: Fhandle = new Uint8Array()

  private constructor(socket: Socket) {
    this.#socket = socket
    const records = new RecordReader(REPLY_MAX)
    socket.on('data', chunk => {
      records.push(chunk as Buffer)
      for (let record = records.next(); record; record = records.next()) this.#arrived(new Reader(record))
    })
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the connection is closed'))
    })
  }

  /** Mounts what is served at `port`. */
  static async mount(port: number): Promise<NfsClient> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    await once(socket, 'connect')
    const client = new NfsClient(socket)
    const reply = await client.#exchange(MOUNT_PROGRAM, MOUNT_V3, MNT, w =>
      opaque(1024).write(w, Buffer.from('/')),
    )
    if (reply.uint32() !== 0) throw new Error('MNT was refused')
    client.#root = mountres3_ok.read(reply).fhandle
    return client
  }

  get root(): Fhandle {
    return this.#root
  }

  async call<A, R, F>({ spec }: Unbound<A, R, F>, args: NoInfer<A>): Promise<R> {
    const reply = await this.#exchange(NFS_PROGRAM, NFS_V3, numbers[spec.name]!, w =>
      spec.args.write(w, args),
    )
    const status = nfsstat3.read(reply)
    if (status !== 'NFS3_OK') throw new Refused(spec.name, status)
    return spec.resok.read(reply)
  }

  close(): void {
    this.#socket.destroy()
  }

  #exchange(prog: number, vers: number, proc: number, args: (w: Writer) => void): Promise<Reader> {
    const xid = (this.#xid = (this.#xid + 1) >>> 0)
    const w = new Writer()
    w.zeros(4) // the record's mark
    for (const word of [xid, 0, RPCVERS, prog, vers, proc]) w.uint32(word)
    w.uint32(AUTH_SYS)
    opaque(400).write(w, credential)
    w.uint32(AUTH_NONE)
    w.uint32(0)
    args(w)
    return new Promise((resolve, reject) => {
      this.#waiting.set(xid, { resolve, reject })
      this.#socket.cork()
      for (const buffer of finish(w)) this.#socket.write(buffer)
      this.#socket.uncork()
    })
  }

  #arrived(reply: Reader): void {
    const xid = reply.uint32()
    const { resolve, reject } = this.#waiting.get(xid)!
    this.#waiting.delete(xid)
    const [, denied, , length, stat] = Array.from({ length: 5 }, () => reply.uint32())
    if (denied === 0 && length === 0 && stat === 0) resolve(reply)
    else reject(new Error('an RPC that was not accepted'))
  }
}

const credential = credentialOf(process.getuid?.() ?? 0, process.getgid?.() ?? 0)

function credentialOf(uid: number, gid: number): Buffer {
  const w = new Writer()
  authsys_parms.write(w, { stamp: 0, machinename: 'bench', uid, gid, gids: [] })
  return Buffer.concat(w.buffers())
}
