// What an operation of the kernel's is: how its arguments lie, what it does, how its result
// lies. It returns or throws; session.ts replies.

import type { ChangingCall, FileId, Vfs } from '../vfs/vfs.ts'
import type { Body, Field } from './layout.ts'
import type { Notices } from './notices.ts'
import type { Opens } from './opens.ts'

/** What all requests of one mount share. */
export type Fuse = {
  readonly vfs: Vfs
  readonly notices: Notices
  readonly opens: Opens
  /** An inode as the kernel numbers it, and back: the kernel's root is always 1. */
  readonly nodeId: (id: FileId) => bigint
}

export type Request = {
  /** The inode that it is about. */
  readonly id: FileId
  /** To hand on with every question to the file system. */
  readonly call: ChangingCall
  /** The inodes that the reply makes the kernel hold. */
  readonly looked: FileId[]
}

/** How a result lies behind the header: a struct, bytes, or nothing. */
export type Out<R> = Field<R> | typeof bytes | typeof nothing
export const bytes = 'bytes'
export const nothing = 'nothing'

type Result<R> = R | Promise<R>

export type Operation = {
  readonly args: (body: Body) => unknown
  readonly out: Out<unknown>
  /** Whether it is answered to whoever asks: who has opened a file has been judged, and attributes are no secret. */
  readonly anyone: boolean
  readonly handle: (fuse: Fuse, request: Request, args: never) => Result<unknown>
}

type Spec<A, O> = {
  readonly args: (body: Body) => A
  readonly anyone?: true
  readonly out: O
  readonly handle: (fuse: Fuse, request: Request, args: NoInfer<A>) => Result<ResultOf<O>>
}
type ResultOf<O> = O extends Field<infer R> ? R : O extends typeof bytes ? readonly Uint8Array[] : unknown

// biome-ignore lint/suspicious/noExplicitAny: what it holds is inferred
export const operation = <A, const O extends Field<any> | typeof bytes | typeof nothing>(
  spec: Spec<A, O>,
): Operation => ({ anyone: false, ...spec }) as unknown as Operation

/** No arguments, or none that matter. */
export const none = (): null => null
