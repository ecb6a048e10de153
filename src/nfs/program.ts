// What an RPC program is: a table of procedures in its RFC's order. A procedure
// decodes its arguments wholly, then answers into a Writer; it never sees a socket.

import type { Codec, Reader, Writer } from './xdr.ts'

/** Who calls, as AUTH_SYS claims; null for AUTH_NONE. The connection has been judged before. */
export type Caller = { readonly uid: number; readonly gid: number } | null

/** One call, as a procedure may know it. */
export type RpcCall = {
  readonly xid: number
  readonly caller: Caller
  /** Address of the other end, for MOUNT's list. */
  readonly peer: string
  /** The call's patience: aborts when it has been held too long. */
  readonly signal: AbortSignal
  /** The arguments' bytes, to tell a call resent from another one. */
  readonly args: Uint8Array
  /** Too many calls are held already: answer "not now" without doing anything. */
  readonly busy: boolean
}

/** A call whose arguments were understood. */
export type Prepared = {
  /** Bytes that the reply may carry besides its head, for the bound on bytes in flight. */
  readonly weight: number
  /** The arguments, for the log. */
  readonly args: unknown
  /** Writes the whole result, once, at its end; gives the status for the log. */
  answer(call: RpcCall, w: Writer): Promise<string> | string
}

export type Procedure = {
  readonly name: string
  /** Whether it is answered without asking anyone else, and so may always be let in. */
  readonly fromHere: boolean
  /** Throws Garbage. */
  prepare(args: Reader): Prepared
}

export type Program = {
  readonly name: string
  readonly prog: number
  readonly vers: number
  readonly procedures: readonly Procedure[]
}

/** A procedure whose result has no status in front. */
export const plain = <A, R>(spec: {
  readonly name: string
  readonly args: Codec<A>
  readonly res: Codec<R>
  handle(args: A, call: RpcCall): R | Promise<R>
}): Procedure => ({
  name: spec.name,
  fromHere: true,
  prepare(r) {
    const args = spec.args.read(r)
    return {
      weight: 0,
      args,
      async answer(call, w) {
        spec.res.write(w, await spec.handle(args, call))
        return 'done'
      },
    }
  },
})
