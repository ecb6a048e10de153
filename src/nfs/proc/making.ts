// CREATE, MKDIR, SYMLINK, MKNOD: new names for new things.

import { FsError } from '../../errors.ts'
import type { CreateHow, Made } from '../../vfs/vfs.ts'
import { type attrChange, fattr, newAttrs, wcc, wccAfter } from '../attrs.ts'
import { fhandle } from '../fhandle.ts'
import { newName } from '../names.ts'
import { type Nfs, procedure } from '../procedure.ts'
import { Nfs3Error } from '../status.ts'
import {
  createhow3,
  diropargs3,
  mknoddata3,
  post_op_attr,
  post_op_fh3,
  sattr3,
  symlinkdata3,
  wcc_data,
} from '../types.ts'
import { struct, type TypeOf } from '../xdr.ts'

/** The four have one result and one failure in common (§3.3.8–11). */
const made = struct({ obj: post_op_fh3, obj_attributes: post_op_attr, dir_wcc: wcc_data })
const unmade = struct({ dir_wcc: wcc_data })

const result = ({ attr, dir }: Made): TypeOf<typeof made> => ({
  obj: fhandle(attr),
  obj_attributes: fattr(attr),
  dir_wcc: wcc(dir),
})

async function failed(
  nfs: Nfs,
  { where }: { where: TypeOf<typeof diropargs3> },
): Promise<TypeOf<typeof unmade>> {
  return { dir_wcc: wccAfter(nfs.attrs(where.dir)) }
}

/** CREATE, RFC 1813 §3.3.8. */
export const CREATE = procedure({
  name: 'CREATE',
  args: struct({ where: diropargs3, how: createhow3 }),
  resok: made,
  resfail: unmade,
  changes: true,
  failed,

  async handle(nfs, { where, how }) {
    const { id } = nfs.changing(where.dir)
    const name = newName(where.name, nfs.vfs.nameMax)
    return result(await nfs.vfs.create(id, name, createHow(how), nfs.call))
  },
})

function createHow(how: TypeOf<typeof createhow3>): CreateHow {
  if (how.is === 'EXCLUSIVE') return { mode: 'exclusive', createverf: how.value }
  return { mode: how.is === 'GUARDED' ? 'guarded' : 'unchecked', attrs: newAttrs(how.value) }
}

/** MKDIR, RFC 1813 §3.3.9. */
export const MKDIR = procedure({
  name: 'MKDIR',
  args: struct({ where: diropargs3, attributes: sattr3 }),
  resok: made,
  resfail: unmade,
  changes: true,
  failed,

  async handle(nfs, { where, attributes }) {
    const { id } = nfs.changing(where.dir)
    const name = newName(where.name, nfs.vfs.nameMax)
    return result(await nfs.vfs.mkdir(id, name, withoutSize(attributes), nfs.call))
  },
})

/** SYMLINK, RFC 1813 §3.3.10. The target is the caller's business, byte for byte. */
export const SYMLINK = procedure({
  name: 'SYMLINK',
  args: struct({ where: diropargs3, symlink: symlinkdata3 }),
  resok: made,
  resfail: unmade,
  changes: true,
  failed,

  async handle(nfs, { where, symlink }) {
    const { id } = nfs.changing(where.dir)
    const name = newName(where.name, nfs.vfs.nameMax)
    const target = symlink.symlink_data
    if (target.length === 0) throw new Nfs3Error('NFS3ERR_INVAL', 'a link to nothing')
    return result(await nfs.vfs.symlink(id, name, target, withoutSize(symlink.symlink_attributes), nfs.call))
  },
})

/** MKNOD, RFC 1813 §3.3.11. A grid has no devices, pipes or sockets; the other types have their own procedures. */
export const MKNOD = procedure({
  name: 'MKNOD',
  args: struct({ where: diropargs3, what: mknoddata3 }),
  resok: made,
  resfail: unmade,
  failed,

  async handle(nfs, { where, what }): Promise<never> {
    const dir = nfs.changing(where.dir)
    if (dir.kind !== 'directory') throw new FsError('ENOTDIR', 'mknod')
    newName(where.name, nfs.vfs.nameMax)
    if (what.is === 'NF3REG' || what.is === 'NF3DIR' || what.is === 'NF3LNK')
      throw new Nfs3Error('NFS3ERR_BADTYPE', what.is)
    throw new Nfs3Error('NFS3ERR_NOTSUPP', what.is)
  },
})

/** A size means nothing for what is no file. */
function withoutSize(s: TypeOf<typeof sattr3>): ReturnType<typeof attrChange> {
  return newAttrs({ ...s, size: null })
}
