// Our bytes inside an nfs_fh3: a magic with its version, the inode's id, and the 64
// random bits drawn with it. Nothing here is computed or remembered, so a handle
// survives rename, restart and eviction because its inode does. It is never a path
// and never a cap; knowing the id of a file does not make its handle.

import { timingSafeEqual } from 'node:crypto'
import { FsError } from '../errors.ts'
import type { Attr, FileId, Vfs } from '../vfs/vfs.ts'
import { Nfs3Error } from './status.ts'

/** Bytes; a multiple of four, or Linux's client goes wrong. */
export const fhandleBytes = 20
const magic = Buffer.from([0x74, 0x6e, 0x66, 1]) // 'tnf', version 1

export function fhandle({ id, generation }: Pick<Attr, 'id' | 'generation'>): Uint8Array {
  const bytes = Buffer.allocUnsafe(fhandleBytes)
  magic.copy(bytes)
  bytes.writeBigUInt64BE(id, 4)
  bytes.writeBigUInt64BE(BigInt.asUintN(64, generation), 12)
  return bytes
}

/** The id that a handle claims, or null for what we never issued. */
export function claimedId(handle: Uint8Array): FileId | null {
  const bytes = Buffer.from(handle.buffer, handle.byteOffset, handle.length)
  if (bytes.length !== fhandleBytes || !magic.equals(bytes.subarray(0, 4))) return null
  return bytes.readBigUInt64BE(4)
}

/** The inode behind a handle, as it is known. STALE: it is gone, or the random bits are others; nobody learns which. */
export function resolve(vfs: Vfs, handle: Uint8Array): Attr {
  const id = claimedId(handle)
  if (id === null) throw new Nfs3Error('NFS3ERR_BADHANDLE', 'not of our making')
  const attr = vfs.known(id)
  if (!timingSafeEqual(handle, fhandle(attr))) throw new FsError('ESTALE', 'a handle of another file')
  return attr
}
