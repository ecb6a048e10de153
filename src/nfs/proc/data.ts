// READ, WRITE, COMMIT: bytes, and when they are safe.

import { FsError } from '../../errors.ts'
import { fattr, postOp, wcc, wccAfter } from '../attrs.ts'
import { procedure } from '../procedure.ts'
import { Nfs3Error } from '../status.ts'
import { maxdata, nfs_fh3, post_op_attr, stable_how, wcc_data, writeverf3 } from '../types.ts'
import { bool, opaque, pieces, size64, struct, type TypeOf, uint32 } from '../xdr.ts'

/** READ, RFC 1813 §3.3.6. */
export const READ = procedure({
  name: 'READ',
  args: struct({ file: nfs_fh3, offset: size64, count: uint32 }),
  resok: struct({ file_attributes: post_op_attr, count: uint32, eof: bool, data: pieces(maxdata) }),
  resfail: struct({ file_attributes: post_op_attr }),
  weight: ({ count }) => Math.min(count, maxdata),

  async handle(nfs, { file, offset, count }) {
    const found = nfs.resolve(file)
    if (found.kind !== 'file') throw new Nfs3Error('NFS3ERR_INVAL', `read a ${found.kind}`)
    const wanted = Math.min(count, maxdata)
    if (wanted === 0 || !Number.isSafeInteger(offset + wanted)) {
      // Nothing wanted, or an offset that no file reaches: answered by the size alone.
      const now = await nfs.fresh(file)
      return { file_attributes: fattr(now), count: 0, eof: offset >= now.size, data: [] }
    }
    const { data, eof, attr } = await nfs.vfs.read(found.id, offset, wanted, nfs.call)
    let length = 0
    for (const piece of data) length += piece.length
    return { file_attributes: fattr(attr), count: length, eof, data }
  },

  async failed(nfs, { file }) {
    return { file_attributes: postOp(nfs.attrs(file)) }
  },
})

/** Bytes of a WRITE's arguments before its data, and some of that: all that tells two calls apart, and no pass over the rest. */
const HEAD = 4096

/** WRITE, RFC 1813 §3.3.7. */
export const WRITE = procedure({
  name: 'WRITE',
  args: struct({ file: nfs_fh3, offset: size64, count: uint32, stable: stable_how, data: opaque(maxdata) }),
  resok: struct({ file_wcc: wcc_data, count: uint32, committed: stable_how, verf: writeverf3 }),
  resfail: struct({ file_wcc: wcc_data }),
  changes: true,
  repeatable: HEAD,

  async handle(nfs, { file, offset, count, stable, data }) {
    // Read before the data is taken: should a commit fail in between, the client sees
    // another value in its COMMIT and sends the data again.
    const verf = nfs.vfs.writeverf
    const found = nfs.resolve(file)
    if (found.kind !== 'file') throw new Nfs3Error('NFS3ERR_INVAL', `write a ${found.kind}`)
    if (count !== data.length) throw new Nfs3Error('NFS3ERR_INVAL', `${count} is not ${data.length}`)
    if (!Number.isSafeInteger(offset + count)) throw new FsError('EFBIG', 'write')
    if (nfs.vfs.readOnly || !found.writable) throw new FsError('EROFS', 'write')
    if (count === 0) return { file_wcc: wccAfter(found), count, committed: stable, verf }
    const durability = stable === 'UNSTABLE' ? 'unstable' : 'stable'
    const written = await nfs.vfs.write(found.id, offset, data, durability, nfs.call)
    const committed: TypeOf<typeof stable_how> = written.stable ? 'FILE_SYNC' : 'UNSTABLE'
    return { file_wcc: wcc(written), count: written.count, committed, verf }
  },

  async failed(nfs, { file }) {
    return { file_wcc: wccAfter(nfs.attrs(file)) }
  },
})

/** COMMIT, RFC 1813 §3.3.21. Always the whole file: more than was asked is allowed, and an fsync is one anyway. */
export const COMMIT = procedure({
  name: 'COMMIT',
  args: struct({ file: nfs_fh3, offset: size64, count: uint32 }),
  resok: struct({ file_wcc: wcc_data, verf: writeverf3 }),
  resfail: struct({ file_wcc: wcc_data }),

  async handle(nfs, { file }) {
    const found = nfs.resolve(file)
    if (found.kind !== 'file') throw new Nfs3Error('NFS3ERR_INVAL', `commit a ${found.kind}`)
    const attr = await nfs.vfs.commit(found.id, nfs.call)
    // Read after the deed: a value that changed meanwhile must reach the client.
    return { file_wcc: wccAfter(attr), verf: nfs.vfs.writeverf }
  },

  async failed(nfs, { file }) {
    return { file_wcc: wccAfter(nfs.attrs(file)) }
  },
})
