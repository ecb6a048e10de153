// One file of an NFS server, read by hand: MNT, LOOKUP, READ.

import { RpcClient } from '../test/support/rpc-client.ts'

const NFS = 100003
const MOUNT = 100005
const MNT = 1
const LOOKUP = 3
const READ = 6

const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const opaque = (data: Uint8Array): Buffer =>
  Buffer.concat([word(data.length), data, Buffer.alloc((4 - (data.length & 3)) & 3)])

/** An opaque that stands at `at` of a reply. */
const taken = (body: Buffer, at: number): Buffer => body.subarray(at + 4, at + 4 + body.readUInt32BE(at))

export class NfsFile {
  readonly #client: RpcClient
  readonly #handle: Buffer

  private constructor(client: RpcClient, handle: Buffer) {
    this.#client = client
    this.#handle = handle
  }

  /** A file in the root. */
  static async open(port: number, name: string): Promise<NfsFile> {
    const cred = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
    const client = await RpcClient.connect(port, { cred })
    const mounted = await client.call(MOUNT, 3, MNT, opaque(Buffer.from('/')))
    const root = taken(mounted.body, 4)
    const found = await client.call(NFS, 3, LOOKUP, Buffer.concat([opaque(root), opaque(Buffer.from(name))]))
    if (found.body.readUInt32BE(0) !== 0) throw new Error(`LOOKUP ${name}: ${found.body.readUInt32BE(0)}`)
    return new NfsFile(client, Buffer.from(taken(found.body, 4)))
  }

  /** Reads, and gives the number of bytes that came. */
  async read(offset: number, count: number): Promise<number> {
    const where = Buffer.alloc(12)
    where.writeBigUInt64BE(BigInt(offset))
    where.writeUInt32BE(count, 8)
    const { body } = await this.#client.call(NFS, 3, READ, Buffer.concat([opaque(this.#handle), where]))
    if (body.readUInt32BE(0) !== 0) throw new Error(`READ: ${body.readUInt32BE(0)}`)
    const attributes = body.readUInt32BE(4) === 1 ? 84 : 0
    return body.readUInt32BE(8 + attributes)
  }

  close(): void {
    this.#client.socket.destroy()
  }
}
