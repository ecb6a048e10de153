// A small world for one check: a file system, a server over it on a free port, and a
// client of it. Each reply is decoded to its last byte, or the check fails.

import test, { type ExecutionContext } from 'ava'
import { MOUNT_PROGRAM, MOUNT_V3 } from '../../../src/nfs/mount3.ts'
import { NFS_PROGRAM, NFS_V3 } from '../../../src/nfs/nfs3.ts'
import { GETATTR } from '../../../src/nfs/proc/attributes.ts'
import { READ, WRITE } from '../../../src/nfs/proc/data.ts'
import { CREATE, MKDIR, SYMLINK } from '../../../src/nfs/proc/making.ts'
import { LOOKUP } from '../../../src/nfs/proc/names.ts'
import type { Unbound } from '../../../src/nfs/procedure.ts'
import { listen, type ServeOptions, type Serving, serve } from '../../../src/nfs/server.ts'
import { legalStatuses, type ProcName } from '../../../src/nfs/status.ts'
import { type Fattr3, fattr3Bytes, nfsstat3, type Sattr3, type Status } from '../../../src/nfs/types.ts'
import { type Codec, Reader, type TypeOf, Writer } from '../../../src/nfs/xdr.ts'
import type { Vfs } from '../../../src/vfs/vfs.ts'
import { type CallOptions, RpcClient } from '../../support/rpc-client.ts'

/** The RFC's numbers, by the RFC's names. */
export const procNumbers = {
  NULL: 0,
  GETATTR: 1,
  SETATTR: 2,
  LOOKUP: 3,
  ACCESS: 4,
  READLINK: 5,
  READ: 6,
  WRITE: 7,
  CREATE: 8,
  MKDIR: 9,
  SYMLINK: 10,
  MKNOD: 11,
  REMOVE: 12,
  RMDIR: 13,
  RENAME: 14,
  LINK: 15,
  READDIR: 16,
  READDIRPLUS: 17,
  FSSTAT: 18,
  FSINFO: 19,
  PATHCONF: 20,
  COMMIT: 21,
} as const satisfies Record<ProcName, number>

export const owner = { uid: 4711, gid: 4712 }
export const stranger = { uid: 65_534, gid: 65_534 }

export type Outcome<R, F> = { status: 'NFS3_OK'; ok: R; fail: null } | { status: Status; ok: null; fail: F }

export function encode<T>(codec: Codec<T>, value: T): Buffer {
  const w = new Writer()
  codec.write(w, value)
  return Buffer.concat(w.buffers())
}

/** Reads a value that must be all there is. */
export function decode<T>(codec: Codec<T>, bytes: Buffer): T {
  const r = new Reader(bytes)
  const value = codec.read(r)
  if (r.off !== bytes.length) throw new Error(`${bytes.length - r.off} bytes too many in a reply`)
  return value
}

export const noAttrs: Sattr3 = {
  mode: null,
  uid: null,
  gid: null,
  size: null,
  atime: { is: 'DONT_CHANGE', value: undefined },
  mtime: { is: 'DONT_CHANGE', value: undefined },
}

/** NFS by its procedures. */
export class NfsClient {
  readonly rpc: RpcClient

  constructor(rpc: RpcClient) {
    this.rpc = rpc
  }

  async call<A, R, F>(
    { spec }: Unbound<A, R, F>,
    args: A,
    options: CallOptions = {},
  ): Promise<Outcome<R, F>> {
    const proc = procNumbers[spec.name]
    const reply = await this.rpc.call(NFS_PROGRAM, NFS_V3, proc, encode(spec.args, args), options)
    if (reply.stat !== 'SUCCESS') throw new Error(`${spec.name} was answered ${reply.stat}`)
    return outcomeOf({ spec }, reply.body)
  }

  /** The result of a call that must succeed. */
  async ok<A, R, F>(
    procedure: Pick<Unbound<A, R, F>, 'spec' | 'of'>,
    args: A,
    options: CallOptions = {},
  ): Promise<R> {
    const { status, ok } = await this.call(procedure, args, options)
    if (ok === null) throw new Error(`${procedure.spec.name} was answered ${status}`)
    return ok
  }

  /** The status alone. */
  async status<A, R, F>(procedure: Unbound<A, R, F>, args: A, options: CallOptions = {}): Promise<Status> {
    return (await this.call(procedure, args, options)).status
  }

  async root(): Promise<Buffer> {
    const { body } = await this.rpc.call(MOUNT_PROGRAM, MOUNT_V3, 1, string('/'))
    const n = body.readUInt32BE(4)
    return Buffer.from(body.subarray(8, 8 + n))
  }

  async getattr(object: Uint8Array): Promise<Fattr3> {
    return (await this.ok(GETATTR, { object })).obj_attributes
  }

  async create(dir: Uint8Array, name: string, attrs: Partial<Sattr3> = {}): Promise<Uint8Array> {
    const how = { is: 'GUARDED' as const, value: { ...noAttrs, mode: 0o644, ...attrs } }
    return (await this.ok(CREATE, { where: at(dir, name), how })).obj!
  }

  async mkdir(dir: Uint8Array, name: string): Promise<Uint8Array> {
    return (await this.ok(MKDIR, { where: at(dir, name), attributes: { ...noAttrs, mode: 0o755 } })).obj!
  }

  async symlink(dir: Uint8Array, name: string, target: string): Promise<Uint8Array> {
    const symlink = { symlink_attributes: noAttrs, symlink_data: Buffer.from(target) }
    return (await this.ok(SYMLINK, { where: at(dir, name), symlink })).obj!
  }

  async lookup(dir: Uint8Array, name: string): Promise<Uint8Array> {
    return (await this.ok(LOOKUP, { what: at(dir, name) })).object
  }

  async write(file: Uint8Array, offset: number, data: Uint8Array | string, stable: Stable = 'UNSTABLE') {
    const bytes = Buffer.from(data)
    return this.ok(WRITE, { file, offset, count: bytes.length, stable, data: bytes })
  }

  async read(file: Uint8Array, offset = 0, count = 1_048_576): Promise<Buffer> {
    return Buffer.concat((await this.ok(READ, { file, offset, count })).data)
  }
}

type Stable = 'UNSTABLE' | 'DATA_SYNC' | 'FILE_SYNC'

/** What a reply's body says; its status must be one that the RFC lets this procedure answer. */
export function outcomeOf<A, R, F>({ spec }: Pick<Unbound<A, R, F>, 'spec'>, body: Buffer): Outcome<R, F> {
  const status = decode(nfsstat3, body.subarray(0, 4))
  if (status === 'NFS3_OK') return { status, ok: decode(spec.resok, body.subarray(4)), fail: null }
  if (!legalStatuses(spec.name).has(status)) throw new Error(`${spec.name} may not answer ${status}`)
  return { status, ok: null, fail: decode(spec.resfail, body.subarray(4)) }
}

export const at = (dir: Uint8Array, name: string | Uint8Array): { dir: Uint8Array; name: Uint8Array } => ({
  dir,
  name: typeof name === 'string' ? Buffer.from(name) : name,
})

export function string(s: string): Buffer {
  const bytes = Buffer.from(s)
  const head = Buffer.alloc(4)
  head.writeUInt32BE(bytes.length)
  return Buffer.concat([head, bytes, Buffer.alloc((4 - (bytes.length & 3)) & 3)])
}

export const postOpAttrBytes = 4 + fattr3Bytes

export type Served = { readonly port: number; readonly serving: Serving; end(): Promise<void> }

/** A server on a free port, open to whoever runs the test unless `admit` says otherwise. */
export async function serveOn(vfs: Vfs, options: Partial<ServeOptions> = {}): Promise<Served> {
  const end = new AbortController()
  const listener = await listen({ port: 0 })
  const { port } = listener.address() as { port: number }
  const serving = serve(listener, { vfs, owner, signal: end.signal, admit: async () => true, ...options })
  return {
    port,
    serving,
    async end() {
      end.abort()
      await serving.closed
    },
  }
}

export type World = {
  readonly t: ExecutionContext
  readonly vfs: Vfs
  readonly port: number
  readonly serving: Serving
  readonly nfs: NfsClient
  readonly root: Buffer
  /** A further connection, as the owner unless told otherwise. */
  connect(cred?: CallOptions['cred']): Promise<NfsClient>
}

export async function worldOver(
  t: ExecutionContext,
  vfs: Vfs,
  options: Partial<ServeOptions> = {},
): Promise<World> {
  const served = await serveOn(vfs, options)
  t.teardown(served.end)
  const connect = async (cred: CallOptions['cred'] = owner) => {
    const rpc = await RpcClient.connect(served.port, { cred: cred ?? 'none' })
    t.teardown(() => rpc.close())
    return new NfsClient(rpc)
  }
  const nfs = await connect()
  return { t, vfs, port: served.port, serving: served.serving, nfs, root: await nfs.root(), connect }
}

/** What the checks run over: each `open` gives a new one with an empty root, whose files belong to `owner`. */
export type Subject = {
  readonly name: string
  readonly write: boolean
  open(): Promise<Vfs>
}

export type Check = (title: string, body: (world: World) => Promise<void>) => void

/** A check that only reads, and one that needs a file system it may change. */
export function checksOf(subject: Subject): { reading: Check; writing: Check } {
  const reading: Check = (title, body) =>
    test(`${subject.name}: ${title}`, async t => {
      const vfs = await subject.open()
      t.teardown(() => vfs.close())
      await body(await worldOver(t, vfs))
    })
  // A read-only subject leaves these out: they are judged over one that can be changed.
  const writing: Check = subject.write ? reading : () => {}
  return { reading, writing }
}

export type ArgsOf<P> = P extends Unbound<infer A, unknown, unknown> ? A : never
export type { TypeOf }
