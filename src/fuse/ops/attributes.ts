// What is known of an inode, and of the whole.

import { FsError } from '../../errors.ts'
import { attrChange, attrOut } from '../attrs.ts'
import { none, nothing, operation } from '../operation.ts'
import * as k from '../protocol.ts'

export const GETATTR = operation({
  args: none,
  anyone: true,
  out: k.fuse_attr_out,
  async handle(fuse, { id, call }) {
    return attrOut(fuse, await fuse.vfs.getattr(id, call))
  },
})

export const SETATTR = operation({
  args: body => body.take(k.fuse_setattr_in),
  out: k.fuse_attr_out,
  async handle(fuse, { id, call }, wanted) {
    const change = attrChange(wanted, () => fuse.vfs.known(id))
    const { after } = await fuse.vfs.setattr(id, change, call)
    return attrOut(fuse, after)
  },
})

const W_OK = 2

/** The kernel judges by mode and owner itself; what a cap cannot do, it cannot know. */
export const ACCESS = operation({
  args: body => body.take(k.fuse_access_in),
  out: nothing,
  async handle({ vfs }, { id, call }, { mask }) {
    const { writable } = await vfs.getattr(id, call)
    if ((mask & W_OK) !== 0 && (!writable || vfs.readOnly)) throw new FsError('EROFS', 'access')
  },
})

const BLOCK = 4096

export const STATFS = operation({
  args: none,
  anyone: true,
  out: k.fuse_statfs_out,
  async handle({ vfs }, { call }) {
    const { totalBytes, freeBytes, totalFiles, freeFiles } = await vfs.statfs(call)
    const free = Math.floor(freeBytes / BLOCK)
    return {
      blocks: Math.floor(totalBytes / BLOCK),
      bfree: free,
      bavail: free,
      files: totalFiles,
      ffree: freeFiles,
      bsize: BLOCK,
      namelen: vfs.nameMax,
      frsize: BLOCK,
    }
  },
})
