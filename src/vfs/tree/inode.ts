// One inode as it is held in memory: what its row in the database holds, and for a file
// what its bytes are. It survives renaming, restart and a change of content.

import type { Cap } from '../../tahoe/cap.ts'
import type { Metadata } from '../../tahoe/grid.ts'
import type { Op } from '../state/schema.ts'
import type { Row } from '../state/state.ts'
import type { Attr, FileId, Kind } from '../vfs.ts'
import type { Draft } from '../write/draft.ts'
import type { Change } from './change.ts'

/** The root's id, in every state. */
export const ROOT: FileId = 1n

/** What is shown of one changes by `alter` alone. */
export type Inode = {
  readonly id: FileId
  readonly generation: bigint
  readonly kind: Kind
  readonly mode: number
  readonly size: number
  readonly atime: bigint
  readonly mtime: bigint
  readonly ctime: bigint
  readonly writable: boolean
  /** The directory whose listing names it; for a directory, one of them. */
  parent: FileId
  /** How many names lead to it. One that none leads to is stale, unless somebody retains it. */
  readonly edges: number
  /** Of a mutable file: tells which version `size` and the times are of; 0 until the grid was asked. */
  mark: bigint
  /** Its cap; null until the listing that holds it is read, or before it is on the grid. */
  cap: Cap | null
  /** A mutable file's content at one moment; null until the grid was asked. */
  version: { readonly version: string; readonly at: number } | null
  /** The verifier of the exclusive create that made it. */
  readonly createverf: Uint8Array | null
  /** The key of the name that led to it last; where to look first. */
  key: string | null
  /** When something in it, or below it, was published last, in milliseconds since 1970; 0: not by this process. */
  publishedAt: number
  /** What is known of it here alone; null when the grid knows as much. */
  local: Local | null
}

/** Of an inode that is not on the grid as it is here, or not under its names. */
export type Local = {
  /** Since when, in milliseconds since 1970. */
  readonly since: number
  /** What its edge said besides, to be handed on. */
  metadata: Metadata
  /** Caps that may stand under its names, because we sent them and have seen no proof. */
  sent: readonly Cap[]
  /** Counts the changes of its attributes. */
  changes: number
  /** A file's own bytes; null while they are those of its cap. */
  draft: Draft | null
  /** The target of a symlink that has no cap yet. */
  target: Buffer | null
}

/** The mark of a mutable file that was shown, and has other content since. No version's mark is even. */
export const MOVED = 2n

export type Owner = { readonly uid: number; readonly gid: number }

/** What `ls` shows for a directory: it has no size that means something. */
const DIRECTORY_SIZE = 4096

export function attrOf(inode: Inode, owner: Owner): Attr {
  const size = inode.kind === 'directory' ? DIRECTORY_SIZE : inode.size
  return {
    id: inode.id,
    generation: inode.generation,
    kind: inode.kind,
    mode: inode.mode,
    nlink: nlinkOf(inode),
    uid: owner.uid,
    gid: owner.gid,
    size,
    used: size,
    atime: inode.atime,
    mtime: inode.mtime,
    ctime: inode.ctime,
    writable: inode.writable,
  }
}

/** A directory counts none of what it holds. */
export const nlinkOf = ({ kind, edges }: Inode): number =>
  kind === 'directory' ? (edges === 0 ? 0 : 2) : edges

const kinds: readonly Kind[] = ['file', 'directory', 'symlink']

export const inodeOf = (row: Row): Inode => ({
  id: row['id'] as bigint,
  generation: BigInt.asUintN(64, row['generation'] as bigint),
  kind: kinds[Number(row['kind'])]!,
  mode: Number(row['mode']),
  size: Number(row['size']),
  atime: row['atime'] as bigint,
  mtime: row['mtime'] as bigint,
  ctime: row['ctime'] as bigint,
  writable: row['writable'] === 1n,
  parent: row['parent'] as bigint,
  edges: Number(row['edges']),
  mark: row['mark'] as bigint,
  cap: null,
  version: null,
  createverf: (row['createverf'] as Uint8Array | null) ?? null,
  key: null,
  publishedAt: 0,
  local: null,
})

export const addInode = (i: Inode, locator: Uint8Array | null): Op => [
  'addInode',
  i.id,
  BigInt.asIntN(64, i.generation),
  kinds.indexOf(i.kind),
  i.mode,
  i.size,
  i.atime,
  i.mtime,
  i.ctime,
  i.writable ? 1 : 0,
  i.parent,
  i.edges,
  i.mark,
  locator,
  i.createverf,
]

export type InodeChange = Partial<
  Pick<
    Inode,
    'mode' | 'size' | 'atime' | 'mtime' | 'ctime' | 'writable' | 'edges' | 'mark' | 'cap' | 'version'
  >
>

/** The row of an inode with all that is shown of it. */
export const setInode = (i: Inode): Op => [
  'setInode',
  i.mode,
  i.size,
  i.atime,
  i.mtime,
  i.ctime,
  i.writable ? 1 : 0,
  i.mark,
  i.id,
]

/** The row after a change of attributes; its size is written with its content. */
export const setTimes = (i: Inode): Op => ['setTimes', i.mode, i.atime, i.mtime, i.ctime, i.id]

/** The row after its names changed. */
export const setPlace = (i: Inode): Op => ['setPlace', i.edges, i.parent, i.ctime, i.id]

/** An inode is shown as `to` says from now on. A `mark`: with other bytes. */
export function alter(inode: Inode, to: InodeChange, { before }: Change): void {
  before?.inode(inode, to.mark !== undefined)
  Object.assign(inode, to)
}

/** Its attributes changed: strictly later than before, whatever the clock says. */
export function stamp(inode: Inode, change: Change): void {
  alter(inode, { ctime: later(inode.ctime) }, change)
}

/** Its content changed, or its names. */
export function touch(inode: Inode, change: Change): void {
  change.before?.inode(inode, inode.kind !== 'directory')
  const ctime = later(inode.ctime)
  alter(inode, { ctime, mtime: ctime > inode.mtime ? ctime : inode.mtime + 1n }, change)
}

export const now = (): bigint => BigInt(Date.now()) * 1_000_000n

export const later = (than: bigint, time = now()): bigint => (time > than ? time : than + 1n)
