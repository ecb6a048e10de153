// From a record to a procedure: everything RFC 5531 says about calls that are not for
// us, not for this version, not understood, or not proved; and the one place where a
// procedure's result becomes a reply.

import type { Log } from '../log.ts'
import { about } from './about.ts'
import type { Caller, Procedure, Program, RpcCall } from './program.ts'
import {
  AUTH_NONE,
  AUTH_SYS,
  accepted,
  authError,
  authsys_parms,
  type CallHead,
  progMismatch,
  RPCVERS,
  readCall,
  rpcMismatch,
} from './rpc.ts'
import { Garbage, Reader, type Writer } from './xdr.ts'

/** A call understood as far as a reply needs: either the reply is at hand, or `answer` makes it. */
export type Dispatched =
  | { readonly reply: Writer }
  | {
      readonly name: string
      readonly fromHere: boolean
      readonly weight: number
      answer(env: Env): Promise<Writer>
    }

/** What the connection adds to a call. */
export type Env = { readonly peer: string; readonly signal: AbortSignal; readonly busy: boolean }

/** What is told of each call, to whoever counts. */
export type Told = (name: string, status: string) => void

export class Dispatcher {
  readonly #programs: readonly Program[]
  readonly #log: Log
  readonly #told: Told

  constructor(programs: readonly Program[], log: Log, told: Told) {
    this.#programs = programs
    this.#log = log
    this.#told = told
  }

  /** Throws Garbage for what is no call: there is nothing to reply to. */
  dispatch(record: Buffer): Dispatched {
    const r = new Reader(record)
    const call = readCall(r)
    const { xid } = call
    if (call.rpcvers !== RPCVERS) return this.#at(xid, 'RPC_MISMATCH', rpcMismatch(xid))

    const versions = this.#programs.filter(each => each.prog === call.prog).map(each => each.vers)
    if (versions.length === 0) return this.#at(xid, 'PROG_UNAVAIL', accepted(xid, 'PROG_UNAVAIL'))
    const program = this.#programs.find(each => each.prog === call.prog && each.vers === call.vers)
    if (program === undefined) {
      const reply = progMismatch(xid, Math.min(...versions), Math.max(...versions))
      return this.#at(xid, 'PROG_MISMATCH', reply)
    }
    const procedure = program.procedures[call.proc]
    if (procedure === undefined) return this.#at(xid, 'PROC_UNAVAIL', accepted(xid, 'PROC_UNAVAIL'))

    const who = callerOf(call)
    if (typeof who === 'string') return this.#at(xid, who, authError(xid, who))
    return this.#prepare(program, procedure, call, who, r)
  }

  #at(xid: number, outcome: string, reply: Writer): Dispatched {
    this.#log.debug({ xid, outcome }, 'rpc')
    this.#told('RPC', outcome)
    return { reply }
  }

  #prepare(program: Program, procedure: Procedure, { xid }: CallHead, caller: Caller, r: Reader): Dispatched {
    const name = `${program.name}.${procedure.name}`
    const args = r.buf.subarray(r.off, r.end)
    let prepared: ReturnType<Procedure['prepare']>
    try {
      prepared = procedure.prepare(r)
    } catch (err) {
      if (!(err instanceof Garbage)) throw err
      return this.#at(xid, 'GARBAGE_ARGS', accepted(xid, 'GARBAGE_ARGS'))
    }
    return {
      name,
      fromHere: procedure.fromHere,
      weight: prepared.weight,
      answer: async ({ peer, signal, busy }) => {
        const begun = performance.now()
        const call: RpcCall = { xid, caller, peer, signal, args, busy }
        try {
          const w = accepted(xid, 'SUCCESS')
          const status = await prepared.answer(call, w)
          const ms = Math.round(performance.now() - begun)
          this.#log.debug(
            { xid, proc: name, uid: caller?.uid, args: about(prepared.args), status, ms },
            'call',
          )
          this.#told(name, status)
          return w
        } catch (err) {
          // A reply that could not be written, half of which must not be sent.
          this.#log.error({ err, xid, proc: name }, 'not meant to happen')
          this.#told(name, 'SYSTEM_ERR')
          return accepted(xid, 'SYSTEM_ERR')
        }
      },
    }
  }
}

/** Who calls, or why that is not known. Procedure 0 does not ask. */
function callerOf({ proc, cred }: CallHead): Caller | 'AUTH_BADCRED' | 'AUTH_TOOWEAK' {
  if (cred === null) return 'AUTH_BADCRED'
  if (proc === 0 || cred.flavor === AUTH_NONE) return null
  // macOS turns TOOWEAK into a clean EACCES, and asks again for ever after REJECTEDCRED.
  if (cred.flavor !== AUTH_SYS) return 'AUTH_TOOWEAK'
  try {
    const body = Buffer.from(cred.body.buffer, cred.body.byteOffset, cred.body.length)
    const { uid, gid } = authsys_parms.read(new Reader(body))
    return { uid, gid }
  } catch (err) {
    if (err instanceof Garbage) return 'AUTH_BADCRED'
    throw err
  }
}
