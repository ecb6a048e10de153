// How an NFSv3 procedure runs: it says its two shapes and its deed, and returns or
// throws. This is the one place that turns either into a reply, that asks who calls,
// and that recognises a call resent while the first is still at work.

import { createHash } from 'node:crypto'
import { FsError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Attr, ChangingCall, Vfs } from '../vfs/vfs.ts'
import { resolve } from './fhandle.ts'
import type { Procedure, RpcCall } from './program.ts'
import { legalStatus, meant, Nfs3Error, type ProcName, statusOf } from './status.ts'
import { nfsstat3, type Status } from './types.ts'
import type { Codec, Writer } from './xdr.ts'

/** Who a caller is here: all files have one owner. */
export type Standing = 'owner' | 'root' | 'stranger'

/** What a procedure has at hand. */
export type Nfs = {
  readonly vfs: Vfs
  readonly standing: Standing
  /** To hand on with every question to the file system. */
  readonly call: ChangingCall
  /** The inode behind a handle, as it is known: BADHANDLE or STALE. */
  resolve(handle: Uint8Array): Attr
  /** The same, as fresh as it should be, for what tells of attributes. */
  fresh(handle: Uint8Array): Promise<Attr>
  /** The directory behind a handle, in which the caller may make and remove names. */
  changing(handle: Uint8Array): Attr
  /** For beside a result: what is known now, or null. Never throws. */
  attrs(handle: Uint8Array): Attr | null
}

export type Spec<A, R, F> = {
  readonly name: ProcName
  readonly args: Codec<A>
  readonly resok: Codec<R>
  readonly resfail: Codec<F>
  /** Whether any local user may call it. */
  readonly anyone?: boolean
  /** Whether it is always answered from here, without the grid. */
  readonly fromHere?: boolean
  /** Whether it changes something, so that a resent call must not be done twice at the same time; and, */
  readonly changes?: boolean
  /** for one that does the same when it is done again later, so many first bytes of its arguments tell it from others. */
  readonly repeatable?: number
  /** Bytes that the reply may carry. */
  weight?(args: NoInfer<A>): number
  handle(nfs: Nfs, args: NoInfer<A>): Promise<NoInfer<R>>
  /** What a failure owes: a whole body. */
  failed(nfs: Nfs, args: NoInfer<A>): Promise<NoInfer<F>>
}

/** What all calls of one served file system share. */
export type Export = {
  readonly vfs: Vfs
  readonly owner: { readonly uid: number }
  readonly log: Log
  /** Changing calls at work, by their `once`. */
  readonly atWork: Map<string, Promise<Outcome>>
}

type Outcome = { readonly status: Status; write(w: Writer): void }

/** A procedure before it has an export; `spec` says its shapes. */
export type Unbound<A, R, F> = { readonly spec: Spec<A, R, F>; of(of: Export): Procedure }

/** Makes a spec a procedure of whichever export it is given. */
export const procedure = <A, R, F>(spec: Spec<A, R, F>): Unbound<A, R, F> => ({
  spec,
  of: of => ({
    name: spec.name,
    fromHere: spec.fromHere ?? false,
    prepare(r) {
      const args = spec.args.read(r)
      return {
        weight: spec.weight?.(args) ?? 0,
        args,
        async answer(call, w) {
          const { status, write } = await (spec.changes
            ? once(of, spec, args, call)
            : run(of, spec, args, call))
          nfsstat3.write(w, status)
          write(w)
          return status
        },
      }
    },
  }),
})

/** A resent call that meets the first one at work waits for its outcome; the file system knows the older ones. */
function once<A, R, F>(of: Export, spec: Spec<A, R, F>, args: A, call: RpcCall): Promise<Outcome> {
  const key = onceKey(spec.name, call, spec.repeatable)
  const first = of.atWork.get(key)
  if (first !== undefined) return first
  const kept = spec.repeatable === undefined ? key : undefined
  const outcome = run(of, spec, args, call, kept).finally(() => of.atWork.delete(key))
  of.atWork.set(key, outcome)
  return outcome
}

/** The same for the same xid, caller, procedure and arguments, whatever the connection. */
function onceKey(name: string, { xid, caller, args }: RpcCall, length = args.length): string {
  const head = `${xid} ${name} ${caller?.uid} ${caller?.gid} `
  return createHash('sha256').update(head).update(args.subarray(0, length)).digest('base64url')
}

async function run<A, R, F>(
  of: Export,
  spec: Spec<A, R, F>,
  args: A,
  call: RpcCall,
  key?: string,
): Promise<Outcome> {
  const standing = standingOf(of, call)
  const refusal = refused(spec, standing, call)
  const nfs = refusal ? silentNfs(of, standing) : nfsFor(of, standing, call, key)
  try {
    if (refusal) throw refusal
    const resok = await spec.handle(nfs, args)
    return { status: 'NFS3_OK', write: w => spec.resok.write(w, resok) }
  } catch (err) {
    if (!meant(err)) of.log.error({ err, proc: spec.name }, 'not meant to happen')
    const resfail = await spec.failed(nfs, args)
    return { status: legalStatus(spec.name, statusOf(err)), write: w => spec.resfail.write(w, resfail) }
  }
}

function standingOf(of: Export, { caller }: RpcCall): Standing {
  if (caller?.uid === of.owner.uid) return 'owner'
  return caller?.uid === 0 ? 'root' : 'stranger'
}

function refused<A, R, F>(spec: Spec<A, R, F>, standing: Standing, call: RpcCall): Nfs3Error | null {
  if (call.busy) return new Nfs3Error('NFS3ERR_JUKEBOX', 'too many calls are held')
  if (standing === 'stranger' && !spec.anyone) return new Nfs3Error('NFS3ERR_ACCES', 'another user')
  return null
}

function nfsFor(of: Export, standing: Standing, { signal }: RpcCall, key: string | undefined): Nfs {
  const { vfs } = of
  const call = { signal, once: key }
  return {
    vfs,
    standing,
    call,
    resolve: handle => resolve(vfs, handle),
    fresh: async handle => vfs.getattr(resolve(vfs, handle).id, call),
    changing(handle) {
      const dir = resolve(vfs, handle)
      mayChangeNames(standing, dir)
      return dir
    },
    attrs(handle) {
      try {
        return resolve(vfs, handle)
      } catch {
        return null // absent is always allowed and true
      }
    },
  }
}

/** For a call that was refused unheard: nothing is asked, nothing is told. */
const silentNfs = ({ vfs }: Export, standing: Standing): Nfs => ({
  vfs,
  standing,
  call: {},
  resolve: () => unheard(),
  fresh: async () => unheard(),
  changing: () => unheard(),
  attrs: () => null,
})

function unheard(): never {
  throw new FsError('EIO', 'refused')
}

/** Linux's client leaves this to the server (nfs_permission): it asks no ACCESS before it makes a name. */
function mayChangeNames(standing: Standing, dir: Attr): void {
  const writeAndSearch = 0o300
  if (standing !== 'root' && dir.kind === 'directory' && (dir.mode & writeAndSearch) !== writeAndSearch)
    throw new FsError('EACCES', 'a directory that its owner may not change')
}
