// ONC RPC messages (RFC 5531): a call's head, who calls, and the head of every
// kind of reply. What is not a call at all is Garbage: its connection is closed.

import { array, ascii, Garbage, opaque, type Reader, struct, type TypeOf, uint32, Writer } from './xdr.ts'

const CALL = 0
const REPLY = 1
const MSG_ACCEPTED = 0
const MSG_DENIED = 1
const RPC_MISMATCH = 0
const AUTH_ERROR = 1
export const RPCVERS = 2

export const AUTH_NONE = 0
export const AUTH_SYS = 1

export const acceptStats = {
  SUCCESS: 0,
  PROG_UNAVAIL: 1,
  PROG_MISMATCH: 2,
  PROC_UNAVAIL: 3,
  GARBAGE_ARGS: 4,
  SYSTEM_ERR: 5,
} as const

export const authStats = {
  AUTH_BADCRED: 1,
  AUTH_REJECTEDCRED: 2,
  AUTH_BADVERF: 3,
  AUTH_REJECTEDVERF: 4,
  AUTH_TOOWEAK: 5,
} as const

const maxAuth = 400

export const authsys_parms = struct({
  stamp: uint32,
  machinename: ascii(255),
  uid: uint32,
  gid: uint32,
  gids: array(uint32, 16),
})
export type AuthSys = TypeOf<typeof authsys_parms>

export type CallHead = {
  readonly xid: number
  readonly rpcvers: number
  readonly prog: number
  readonly vers: number
  readonly proc: number
  /** Null when cred or verf is longer than RFC 5531 allows; what follows cannot be found then. */
  readonly cred: { readonly flavor: number; readonly body: Uint8Array } | null
}

const opaque_auth = struct({ flavor: uint32, body: opaque(maxAuth) })

/** Reads up to the arguments, where it leaves `r`. */
export function readCall(r: Reader): CallHead {
  const xid = r.uint32()
  if (r.uint32() !== CALL) throw new Garbage('not a call')
  const rpcvers = r.uint32()
  // Of another RPC version nothing further is known.
  if (rpcvers !== RPCVERS) return { xid, rpcvers, prog: 0, vers: 0, proc: 0, cred: null }
  const prog = r.uint32()
  const vers = r.uint32()
  const proc = r.uint32()
  return { xid, rpcvers, prog, vers, proc, cred: readAuth(r) }
}

function readAuth(r: Reader): CallHead['cred'] {
  try {
    const cred = opaque_auth.read(r)
    opaque_auth.read(r) // the verifier: AUTH_NONE and AUTH_SYS have an empty one, and nobody looks at others
    return cred
  } catch (err) {
    if (err instanceof Garbage) return null
    throw err
  }
}

const recordMark = 4

function replyTo(xid: number): Writer {
  const w = new Writer()
  w.zeros(recordMark) // filled by finish
  w.uint32(xid)
  w.uint32(REPLY)
  return w
}

export function accepted(xid: number, stat: keyof typeof acceptStats): Writer {
  const w = replyTo(xid)
  w.uint32(MSG_ACCEPTED)
  w.uint32(AUTH_NONE)
  w.uint32(0)
  w.uint32(acceptStats[stat])
  return w
}

export function progMismatch(xid: number, low: number, high: number): Writer {
  const w = accepted(xid, 'PROG_MISMATCH')
  w.uint32(low)
  w.uint32(high)
  return w
}

export function rpcMismatch(xid: number): Writer {
  const w = replyTo(xid)
  w.uint32(MSG_DENIED)
  w.uint32(RPC_MISMATCH)
  w.uint32(RPCVERS)
  w.uint32(RPCVERS)
  return w
}

export function authError(xid: number, stat: keyof typeof authStats): Writer {
  const w = replyTo(xid)
  w.uint32(MSG_DENIED)
  w.uint32(AUTH_ERROR)
  w.uint32(authStats[stat])
  return w
}

/** The record that goes on the wire, its mark filled in. */
export function finish(w: Writer): Buffer[] {
  const buffers = w.buffers()
  buffers[0]!.writeUInt32BE(0x8000_0000 + w.length - recordMark)
  return buffers
}
