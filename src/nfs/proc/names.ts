// LOOKUP, READLINK, REMOVE, RMDIR, RENAME, LINK: names and what they lead to.

import { fattr, postOp, wcc, wccAfter } from '../attrs.ts'
import { fhandle } from '../fhandle.ts'
import { givenName, newName, soughtName } from '../names.ts'
import { procedure } from '../procedure.ts'
import { diropargs3, nfs_fh3, nfspath3, post_op_attr, wcc_data } from '../types.ts'
import { struct } from '../xdr.ts'

/** LOOKUP, RFC 1813 §3.3.3. */
export const LOOKUP = procedure({
  name: 'LOOKUP',
  args: struct({ what: diropargs3 }),
  resok: struct({ object: nfs_fh3, obj_attributes: post_op_attr, dir_attributes: post_op_attr }),
  resfail: struct({ dir_attributes: post_op_attr }),

  async handle(nfs, { what }) {
    const dir = nfs.resolve(what.dir)
    const attr = await nfs.vfs.lookup(dir.id, soughtName(what.name, nfs.vfs.nameMax), nfs.call)
    // Asked after the name, so that they are never older than the answer.
    return { object: fhandle(attr), obj_attributes: fattr(attr), dir_attributes: postOp(nfs.attrs(what.dir)) }
  },

  async failed(nfs, { what }) {
    return { dir_attributes: postOp(nfs.attrs(what.dir)) }
  },
})

/** READLINK, RFC 1813 §3.3.5. */
export const READLINK = procedure({
  name: 'READLINK',
  args: struct({ symlink: nfs_fh3 }),
  resok: struct({ symlink_attributes: post_op_attr, data: nfspath3 }),
  resfail: struct({ symlink_attributes: post_op_attr }),

  async handle(nfs, { symlink }) {
    const { id } = nfs.resolve(symlink)
    const { target, attr } = await nfs.vfs.readlink(id, nfs.call)
    return { symlink_attributes: fattr(attr), data: target }
  },

  async failed(nfs, { symlink }) {
    return { symlink_attributes: postOp(nfs.attrs(symlink)) }
  },
})

/** REMOVE, RFC 1813 §3.3.12. */
export const REMOVE = procedure({
  name: 'REMOVE',
  args: struct({ object: diropargs3 }),
  resok: struct({ dir_wcc: wcc_data }),
  resfail: struct({ dir_wcc: wcc_data }),
  changes: true,

  async handle(nfs, { object }) {
    const { id } = nfs.changing(object.dir)
    const { dir } = await nfs.vfs.remove(id, soughtName(object.name, nfs.vfs.nameMax), nfs.call)
    return { dir_wcc: wcc(dir) }
  },

  async failed(nfs, { object }) {
    return { dir_wcc: wccAfter(nfs.attrs(object.dir)) }
  },
})

/** RMDIR, RFC 1813 §3.3.13. */
export const RMDIR = procedure({
  name: 'RMDIR',
  args: struct({ object: diropargs3 }),
  resok: struct({ dir_wcc: wcc_data }),
  resfail: struct({ dir_wcc: wcc_data }),
  changes: true,

  async handle(nfs, { object }) {
    const { id } = nfs.changing(object.dir)
    const { dir } = await nfs.vfs.rmdir(id, soughtName(object.name, nfs.vfs.nameMax), nfs.call)
    return { dir_wcc: wcc(dir) }
  },

  async failed(nfs, { object }) {
    return { dir_wcc: wccAfter(nfs.attrs(object.dir)) }
  },
})

/** RENAME, RFC 1813 §3.3.14. The file system refuses '.' and '..' on either side. */
export const RENAME = procedure({
  name: 'RENAME',
  args: struct({ from: diropargs3, to: diropargs3 }),
  resok: struct({ fromdir_wcc: wcc_data, todir_wcc: wcc_data }),
  resfail: struct({ fromdir_wcc: wcc_data, todir_wcc: wcc_data }),
  changes: true,

  async handle(nfs, { from, to }) {
    const [fromDir, toDir] = [nfs.changing(from.dir), nfs.changing(to.dir)]
    const fromName = soughtName(from.name, nfs.vfs.nameMax)
    const toName = givenName(to.name, nfs.vfs.nameMax)
    const done = await nfs.vfs.rename(fromDir.id, fromName, toDir.id, toName, nfs.call)
    return { fromdir_wcc: wcc(done.from), todir_wcc: wcc(done.to) }
  },

  async failed(nfs, { from, to }) {
    const [fromDir, toDir] = [nfs.attrs(from.dir), nfs.attrs(to.dir)]
    return { fromdir_wcc: wccAfter(fromDir), todir_wcc: wccAfter(toDir) }
  },
})

/** LINK, RFC 1813 §3.3.15. */
export const LINK = procedure({
  name: 'LINK',
  args: struct({ file: nfs_fh3, link: diropargs3 }),
  resok: struct({ file_attributes: post_op_attr, linkdir_wcc: wcc_data }),
  resfail: struct({ file_attributes: post_op_attr, linkdir_wcc: wcc_data }),
  changes: true,

  async handle(nfs, { file, link }) {
    const [object, into] = [nfs.resolve(file), nfs.changing(link.dir)]
    const name = newName(link.name, nfs.vfs.nameMax)
    const { attr, dir } = await nfs.vfs.link(object.id, into.id, name, nfs.call)
    return { file_attributes: fattr(attr), linkdir_wcc: wcc(dir) }
  },

  async failed(nfs, { file, link }) {
    const [object, into] = [nfs.attrs(file), nfs.attrs(link.dir)]
    return { file_attributes: postOp(object), linkdir_wcc: wccAfter(into) }
  },
})
