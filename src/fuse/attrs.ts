// Attributes between the file system's words and the kernel's, and how long it may believe them.

import { FsError } from '../errors.ts'
import type { Attr, AttrChange, Kind } from '../vfs/vfs.ts'
import type { Fuse, Request } from './operation.ts'
import * as k from './protocol.ts'

const S_IFMT = { file: 0o100000, directory: 0o040000, symlink: 0o120000 } as const satisfies Record<
  Kind,
  number
>

/** The kind as a directory entry tells it: the upper bits of the mode. */
export const direntType = (kind: Kind): number => S_IFMT[kind] >> 12

/** Bytes that stdio and cp move at a time: less asks the kernel, and us, for no good more often. */
const BLKSIZE = 128 * 1024

const second = 1_000_000_000n

/** Seconds, which may be before 1970, and the nanoseconds after them. */
function timespec(t: bigint): { sec: bigint; nsec: number } {
  const nsec = ((t % second) + second) % second
  return { sec: BigInt.asUintN(64, (t - nsec) / second), nsec: Number(nsec) }
}

export function attrOf(fuse: Fuse, a: Attr) {
  const atime = timespec(a.atime)
  const mtime = timespec(a.mtime)
  const ctime = timespec(a.ctime)
  return {
    ino: fuse.nodeId(a.id),
    size: a.size,
    blocks: Math.ceil(a.used / 512),
    atime: atime.sec,
    mtime: mtime.sec,
    ctime: ctime.sec,
    atimensec: atime.nsec,
    mtimensec: mtime.nsec,
    ctimensec: ctime.nsec,
    mode: S_IFMT[a.kind] | a.mode,
    nlink: a.nlink,
    uid: a.uid,
    gid: a.gid,
    blksize: BLKSIZE,
  }
}

/** What lasts until it is told otherwise is asked for once a day all the same. */
const LONGEST = 86_400_000

function validity(ms: number): { sec: bigint; nsec: number } {
  const whole = Math.floor(Math.min(ms, LONGEST))
  return { sec: BigInt(Math.floor(whole / 1000)), nsec: (whole % 1000) * 1_000_000 }
}

/** What GETATTR and SETATTR answer. */
export function attrOut(fuse: Fuse, attr: Attr) {
  const { sec, nsec } = validity(fuse.vfs.freshFor(attr.id))
  return { attr_valid: sec, attr_valid_nsec: nsec, attr: attrOf(fuse, attr) }
}

/** What every operation answers that leads to an inode; from then on the kernel holds it. */
export function entryOut(fuse: Fuse, request: Request, dir: bigint, name: string, attr: Attr) {
  request.looked.push(attr.id)
  fuse.notices.looked(attr.id)
  const entry = validity(entryFor(fuse, dir, name))
  const own = validity(fuse.vfs.freshFor(attr.id))
  return {
    nodeid: fuse.nodeId(attr.id),
    entry_valid: entry.sec,
    attr_valid: own.sec,
    entry_valid_nsec: entry.nsec,
    attr_valid_nsec: own.nsec,
    attr: attrOf(fuse, attr),
  }
}

/** An entry that leads nowhere: a `nodeid` of 0 is ENOENT, and may be believed as long as a name. */
export function nothingOut(fuse: Fuse, dir: bigint, name: string) {
  const { sec, nsec } = validity(entryFor(fuse, dir, name))
  return {
    nodeid: 0n,
    entry_valid: sec,
    attr_valid: 0n,
    entry_valid_nsec: nsec,
    attr_valid_nsec: 0,
    attr: noAttr,
  }
}

const noAttr = {
  ino: 0n,
  size: 0,
  blocks: 0,
  atime: 0n,
  mtime: 0n,
  ctime: 0n,
  atimensec: 0,
  mtimensec: 0,
  ctimensec: 0,
  mode: 0,
  nlink: 0,
  uid: 0,
  gid: 0,
  blksize: 0,
}

/**
 * Milliseconds for which the kernel may believe what a name leads to. It compares bytes: a name
 * that can be spelled in two ways would stay in one spelling when it is removed in the other.
 */
const entryFor = (fuse: Fuse, dir: bigint, name: string): number =>
  hasOneSpelling(name) ? fuse.vfs.freshFor(dir) : 0

// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
const ascii = /^[\x00-\x7f]*$/

const hasOneSpelling = (name: string): boolean =>
  ascii.test(name) || (name.normalize('NFC') === name && name.normalize('NFD') === name)

const permissions = 0o7777
const setuidAndSetgid = 0o6000

/** Whose suid and sgid bits go, because somebody writes to it who may not keep them. */
export const withoutPrivileges = ({ mode }: Attr): number | undefined =>
  (mode & setuidAndSetgid) === 0 ? undefined : mode & ~setuidAndSetgid

type Setattr = ReturnType<typeof k.fuse_setattr_in.read>

export function attrChange(wanted: Setattr, attr: () => Attr): AttrChange {
  const { valid } = wanted
  const change: { -readonly [K in keyof AttrChange]: AttrChange[K] } = {}
  if (valid & k.FATTR_MODE) change.mode = wanted.mode & permissions
  if (valid & k.FATTR_UID) change.uid = wanted.uid
  if (valid & k.FATTR_GID) change.gid = wanted.gid
  if (valid & k.FATTR_SIZE) {
    if (!Number.isSafeInteger(wanted.size)) throw new FsError('EFBIG', 'a size beyond 2^53')
    change.size = wanted.size
  }
  if (valid & k.FATTR_ATIME) change.atime = time(valid & k.FATTR_ATIME_NOW, wanted.atime, wanted.atimensec)
  if (valid & k.FATTR_MTIME) change.mtime = time(valid & k.FATTR_MTIME_NOW, wanted.mtime, wanted.mtimensec)
  if (valid & k.FATTR_KILL_SUIDGID && change.mode === undefined) {
    const mode = withoutPrivileges(attr())
    if (mode !== undefined) change.mode = mode
  }
  return change
}

const time = (isNow: number, sec: bigint, nsec: number): bigint | 'now' =>
  isNow ? 'now' : BigInt.asIntN(64, sec) * second + BigInt(nsec)
