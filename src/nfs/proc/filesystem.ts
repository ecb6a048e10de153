// FSSTAT, FSINFO, PATHCONF: what the file system as a whole holds and can do.

import { fattr, postOp } from '../attrs.ts'
import { type Nfs, procedure } from '../procedure.ts'
import { FSF3, maxdata, nfs_fh3, nfstime3, post_op_attr } from '../types.ts'
import { bool, size64, struct, type TypeOf, uint32 } from '../xdr.ts'

const args = struct({ fsroot: nfs_fh3 })
const resfail = struct({ obj_attributes: post_op_attr })

async function failed(nfs: Nfs, { fsroot }: TypeOf<typeof args>): Promise<TypeOf<typeof resfail>> {
  return { obj_attributes: postOp(nfs.attrs(fsroot)) }
}

/** FSSTAT, RFC 1813 §3.3.18. */
export const FSSTAT = procedure({
  name: 'FSSTAT',
  args,
  resok: struct({
    obj_attributes: post_op_attr,
    tbytes: size64,
    fbytes: size64,
    abytes: size64,
    tfiles: size64,
    ffiles: size64,
    afiles: size64,
    invarsec: uint32,
  }),
  resfail,
  anyone: true,
  fromHere: true,
  failed,

  async handle(nfs, { fsroot }) {
    const attr = nfs.resolve(fsroot)
    const s = await nfs.vfs.statfs(nfs.call)
    return {
      obj_attributes: fattr(attr),
      tbytes: s.totalBytes,
      fbytes: s.freeBytes,
      abytes: s.freeBytes,
      tfiles: s.totalFiles,
      ffiles: s.freeFiles,
      afiles: s.freeFiles,
      invarsec: 0,
    }
  },
})

/** FSINFO, RFC 1813 §3.3.19. macOS fails the mount if this fails, and believes a rtpref of 0. */
export const FSINFO = procedure({
  name: 'FSINFO',
  args,
  resok: struct({
    obj_attributes: post_op_attr,
    rtmax: uint32,
    rtpref: uint32,
    rtmult: uint32,
    wtmax: uint32,
    wtpref: uint32,
    wtmult: uint32,
    dtpref: uint32,
    maxfilesize: size64,
    time_delta: nfstime3,
    properties: uint32,
  }),
  resfail,
  anyone: true,
  fromHere: true,
  failed,

  async handle(nfs, { fsroot }) {
    return {
      obj_attributes: fattr(nfs.resolve(fsroot)),
      rtmax: maxdata,
      rtpref: maxdata,
      rtmult: 4096,
      wtmax: maxdata,
      wtpref: maxdata,
      wtmult: 4096,
      dtpref: 65_536,
      maxfilesize: Number.MAX_SAFE_INTEGER,
      time_delta: { seconds: 0, nseconds: 1 },
      properties: FSF3.LINK | FSF3.SYMLINK | FSF3.HOMOGENEOUS | FSF3.CANSETTIME,
    }
  },
})

/** PATHCONF, RFC 1813 §3.3.20. */
export const PATHCONF = procedure({
  name: 'PATHCONF',
  args: struct({ object: nfs_fh3 }),
  resok: struct({
    obj_attributes: post_op_attr,
    linkmax: uint32,
    name_max: uint32,
    no_trunc: bool,
    chown_restricted: bool,
    case_insensitive: bool,
    case_preserving: bool,
  }),
  resfail,
  anyone: true,
  fromHere: true,

  async handle(nfs, { object }) {
    return {
      obj_attributes: fattr(nfs.resolve(object)),
      linkmax: 0x7fff_ffff, // names are rows, and nothing else counts them
      name_max: nfs.vfs.nameMax,
      no_trunc: true,
      chown_restricted: true,
      case_insensitive: false,
      case_preserving: true,
    }
  },

  async failed(nfs, { object }) {
    return { obj_attributes: postOp(nfs.attrs(object)) }
  },
})
