// GETATTR, SETATTR, ACCESS: what is known of one inode, and who may do what with it.

import type { Attr } from '../../vfs/vfs.ts'
import { attrChange, fattr, nanoseconds, postOp, wcc, wccAfter } from '../attrs.ts'
import { type Nfs, procedure } from '../procedure.ts'
import { ACCESS3, fattr3, nfs_fh3, nfstime3, post_op_attr, sattr3, wcc_data } from '../types.ts'
import { nothing, optional, struct, uint32 } from '../xdr.ts'

/** GETATTR, RFC 1813 §3.3.1. */
export const GETATTR = procedure({
  name: 'GETATTR',
  args: struct({ object: nfs_fh3 }),
  resok: struct({ obj_attributes: fattr3 }),
  resfail: nothing,
  anyone: true,
  fromHere: true,

  async handle(nfs, { object }) {
    return { obj_attributes: fattr(await nfs.fresh(object)) }
  },

  async failed() {
    return undefined
  },
})

/** SETATTR, RFC 1813 §3.3.2. */
export const SETATTR = procedure({
  name: 'SETATTR',
  args: struct({ object: nfs_fh3, new_attributes: sattr3, guard: optional(nfstime3) }),
  resok: struct({ obj_wcc: wcc_data }),
  resfail: struct({ obj_wcc: wcc_data }),
  changes: true,

  async handle(nfs, { object, new_attributes, guard }) {
    const { id } = nfs.resolve(object)
    const change = attrChange(new_attributes)
    const obj_ctime = guard === null ? undefined : nanoseconds(guard)
    return { obj_wcc: wcc(await nfs.vfs.setattr(id, change, { ...nfs.call, guard: obj_ctime })) }
  },

  async failed(nfs, { object }) {
    return { obj_wcc: wccAfter(nfs.attrs(object)) }
  },
})

/** ACCESS, RFC 1813 §3.3.4. Lack of permission is an answer here, not an error. */
export const ACCESS = procedure({
  name: 'ACCESS',
  args: struct({ object: nfs_fh3, access: uint32 }),
  resok: struct({ obj_attributes: post_op_attr, access: uint32 }),
  resfail: struct({ obj_attributes: post_op_attr }),
  anyone: true,
  fromHere: true,

  async handle(nfs, { object, access }) {
    const attr = await nfs.fresh(object)
    return { obj_attributes: fattr(attr), access: access & granted(nfs, attr) }
  },

  async failed(nfs, { object }) {
    return { obj_attributes: postOp(nfs.attrs(object)) }
  },
})

/** Every bit that this caller has on this object. */
function granted({ vfs, standing }: Nfs, attr: Attr): number {
  if (standing === 'stranger') return 0
  const root = standing === 'root'
  const directory = attr.kind === 'directory'
  const mayRead = root || (attr.mode & 0o400) !== 0
  const mayWrite = (root || (attr.mode & 0o200) !== 0) && attr.writable && !vfs.readOnly
  // Root runs what anyone may run, and searches every directory.
  const mayExecute = root ? directory || (attr.mode & 0o111) !== 0 : (attr.mode & 0o100) !== 0

  let bits = 0
  if (mayRead) bits |= ACCESS3.READ
  if (mayWrite) bits |= ACCESS3.MODIFY | ACCESS3.EXTEND
  if (mayWrite && directory) bits |= ACCESS3.DELETE
  if (mayExecute) bits |= directory ? ACCESS3.LOOKUP : ACCESS3.EXECUTE
  return bits
}
