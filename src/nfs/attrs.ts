// Attributes between the file system's words and the wire's. What is told is true
// or absent: nothing is made up here.

import type { Attr, AttrChange, Change, Kind } from '../vfs/vfs.ts'
import { Nfs3Error } from './status.ts'
import type { Fattr3, Nfstime3, Sattr3, WccData } from './types.ts'

/** One for everything: a change of it inside a mount makes Linux look for another mount. */
export const fsid = 0x7461_686f_65n

const ftype = { file: 'NF3REG', directory: 'NF3DIR', symlink: 'NF3LNK' } as const satisfies Record<
  Kind,
  string
>

const second = 1_000_000_000n
const lastSecond = 0xffff_ffffn

function nfstime(t: bigint): Nfstime3 {
  if (t < 0n) return { seconds: 0, nseconds: 0 }
  const seconds = t / second
  if (seconds > lastSecond) return { seconds: 0xffff_ffff, nseconds: 0 }
  return { seconds: Number(seconds), nseconds: Number(t - seconds * second) }
}

export function nanoseconds({ seconds, nseconds }: Nfstime3): bigint {
  if (nseconds >= 1_000_000_000) throw new Nfs3Error('NFS3ERR_INVAL', `${nseconds} nanoseconds`)
  return BigInt(seconds) * second + BigInt(nseconds)
}

const rdev = { specdata1: 0, specdata2: 0 }

export const fattr = (a: Attr): Fattr3 => ({
  type: ftype[a.kind],
  mode: a.mode,
  nlink: a.nlink,
  uid: a.uid,
  gid: a.gid,
  size: a.size,
  used: a.used,
  rdev,
  fsid,
  fileid: a.id,
  atime: nfstime(a.atime),
  mtime: nfstime(a.mtime),
  ctime: nfstime(a.ctime),
})

export const postOp = (a: Attr | null): Fattr3 | null => (a === null ? null : fattr(a))

/** Both sides of a change, which the file system read in one turn of the event loop. */
export const wcc = ({ before, after }: Change): WccData => ({
  before: { size: before.size, mtime: nfstime(before.mtime), ctime: nfstime(before.ctime) },
  after: fattr(after),
})

/** Where no change is known there is no before; a client then drops what it cached, and is right to. */
export const wccAfter = (after: Attr | null): WccData => ({ before: null, after: postOp(after) })

const permissions = 0o7777

function time(t: Sattr3['atime']): bigint | 'now' | undefined {
  if (t.is === 'SET_TO_SERVER_TIME') return 'now'
  return t.is === 'SET_TO_CLIENT_TIME' ? nanoseconds(t.value) : undefined
}

/** Finder sends file-type bits in the mode: what is no permission is masked, not refused. */
export function attrChange(s: Sattr3): AttrChange {
  const change: { -readonly [K in keyof AttrChange]: AttrChange[K] } = {}
  if (s.mode !== null) change.mode = s.mode & permissions
  if (s.uid !== null) change.uid = s.uid
  if (s.gid !== null) change.gid = s.gid
  if (s.size !== null) {
    if (!Number.isFinite(s.size)) throw new Nfs3Error('NFS3ERR_FBIG', 'a size beyond 2^53')
    change.size = s.size
  }
  const atime = time(s.atime)
  if (atime !== undefined) change.atime = atime
  const mtime = time(s.mtime)
  if (mtime !== undefined) change.mtime = mtime
  return change
}

/**
 * For what is being made: as above, without an owner. Every file here belongs to one
 * owner, the reply says which, and macOS names one in each CREATE of root's.
 */
export function newAttrs(s: Sattr3): AttrChange {
  const { uid: _uid, gid: _gid, ...rest } = attrChange(s)
  return rest
}
