// One inode as it is held in memory: what its row in the database holds, and for a file
// what its bytes are. It survives renaming, restart and a change of content.

import type { Cap } from '../../tahoe/cap.ts'
import type { Op } from '../state/schema.ts'
import type { Row } from '../state/state.ts'
import type { Attr, FileId, Kind } from '../vfs.ts'

export type Inode = {
  readonly id: FileId
  readonly generation: bigint
  readonly kind: Kind
  mode: number
  size: number
  atime: bigint
  mtime: bigint
  ctime: bigint
  writable: boolean
  /** The directory whose listing names it; for a directory, one of them. */
  parent: FileId
  /** How many listings name it. A directory that none names is stale. */
  edges: number
  /** Of a mutable file: tells which version `size` and the times are of; 0 until the grid was asked. */
  mark: bigint
  /** A directory's, or a file's, cap; null until the listing that holds it is read. */
  cap: Cap | null
  /** A mutable file's content at one moment; null until the grid was asked. */
  version: { readonly version: string; readonly at: number } | null
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
    nlink: inode.kind === 'directory' ? 2 : 1,
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
]

export type InodeChange = Partial<
  Pick<Inode, 'mode' | 'size' | 'atime' | 'mtime' | 'ctime' | 'writable' | 'mark' | 'cap' | 'version'>
>

/** The row after `change`, which the caller applies in memory once it is durable. */
export function setInode(inode: Inode, change: InodeChange): Op {
  const i = { ...inode, ...change }
  return ['setInode', i.mode, i.size, i.atime, i.mtime, i.ctime, i.writable ? 1 : 0, i.mark, i.id]
}
