// Names and what they lead to.

import { FsError } from '../../errors.ts'
import { entryOut, nothingOut } from '../attrs.ts'
import { Errno } from '../errno.ts'
import type { Body } from '../layout.ts'
import { givenName, soughtName } from '../names.ts'
import { bytes, none, nothing, operation } from '../operation.ts'
import * as k from '../protocol.ts'

export const LOOKUP = operation({
  args: soughtName,
  out: k.fuse_entry_out,
  async handle(fuse, request, name) {
    try {
      const attr = await fuse.vfs.lookup(request.id, name, request.call)
      return entryOut(fuse, request, request.id, name, attr)
    } catch (err) {
      if (err instanceof FsError && err.code === 'ENOENT') return nothingOut(fuse, request.id, name)
      throw err
    }
  },
})

export const READLINK = operation({
  args: none,
  out: bytes,
  async handle({ vfs }, { id, call }) {
    const { target } = await vfs.readlink(id, call)
    return [target]
  },
})

export const SYMLINK = operation({
  args: body => ({ name: givenName(body), target: Buffer.from(body.text()) }),
  out: k.fuse_entry_out,
  async handle(fuse, request, { name, target }) {
    const { attr } = await fuse.vfs.symlink(request.id, name, target, {}, request.call)
    return entryOut(fuse, request, request.id, name, attr)
  },
})

const S_IFMT = 0o170000
const S_IFREG = 0o100000

export const MKNOD = operation({
  args: body => ({ ...body.take(k.fuse_mknod_in), name: givenName(body) }),
  out: k.fuse_entry_out,
  async handle(fuse, request, { mode, name }) {
    if ((mode & S_IFMT) !== S_IFREG)
      throw new FsError('ENOTSUP', 'devices, pipes and sockets do not exist here')
    const how = { mode: 'guarded', attrs: { mode: mode & ~S_IFMT } } as const
    const { attr } = await fuse.vfs.create(request.id, name, how, request.call)
    return entryOut(fuse, request, request.id, name, attr)
  },
})

export const MKDIR = operation({
  args: body => ({ ...body.take(k.fuse_mkdir_in), name: givenName(body) }),
  out: k.fuse_entry_out,
  async handle(fuse, request, { mode, name }) {
    const { attr } = await fuse.vfs.mkdir(request.id, name, { mode: mode & ~S_IFMT }, request.call)
    return entryOut(fuse, request, request.id, name, attr)
  },
})

export const UNLINK = operation({
  args: givenName,
  out: nothing,
  async handle({ vfs }, { id, call }, name) {
    await vfs.remove(id, name, call)
  },
})

export const RMDIR = operation({
  args: givenName,
  out: nothing,
  async handle({ vfs }, { id, call }, name) {
    await vfs.rmdir(id, name, call)
  },
})

const RENAME_NOREPLACE = 1

const names = (body: Body) => ({ from: givenName(body), to: givenName(body) })

export const RENAME = operation({
  args: body => ({ ...body.take(k.fuse_rename_in), ...names(body) }),
  out: nothing,
  async handle({ vfs, nodeId }, { id, call }, { newdir, from, to }) {
    await vfs.rename(id, from, nodeId(newdir), to, call)
  },
})

export const RENAME2 = operation({
  args: body => ({ ...body.take(k.fuse_rename2_in), ...names(body) }),
  out: nothing,
  async handle({ vfs, nodeId }, { id, call }, { newdir, flags, from, to }) {
    // Two names that change places, or leave a whiteout behind, are no single edit of any grid.
    if ((flags & ~RENAME_NOREPLACE) !== 0) throw new Errno('EINVAL')
    await vfs.rename(id, from, nodeId(newdir), to, { ...call, replace: flags !== RENAME_NOREPLACE })
  },
})

export const LINK = operation({
  args: body => ({ ...body.take(k.fuse_link_in), name: givenName(body) }),
  out: k.fuse_entry_out,
  async handle(fuse, request, { oldnodeid, name }) {
    const { attr } = await fuse.vfs.link(fuse.nodeId(oldnodeid), request.id, name, request.call)
    return entryOut(fuse, request, request.id, name, attr)
  },
})
