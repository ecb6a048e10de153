// The types of RFC 1813 §2.5, §2.6 and §3.3, spelt as it spells them.

import {
  enumeration,
  fixed,
  nothing,
  opaque,
  optional,
  size64,
  struct,
  type TypeOf,
  uint32,
  uint64,
  union,
} from './xdr.ts'

/** The most that one READ or WRITE carries. Linux takes no more than this. */
export const maxdata = 1_048_576

/** A handle may have 64 bytes on the wire; a longer one is no nfs_fh3 at all. */
export const nfs_fh3 = opaque(64)

/** `string<>`: as long as the record. Its length, its UTF-8 and its characters are judged in names.ts. */
export const filename3 = opaque(65_536)
export const nfspath3 = opaque(65_536)

export const cookieverf3 = fixed(8)
export const createverf3 = fixed(8)
export const writeverf3 = fixed(8)

export const nfsstats = {
  NFS3_OK: 0,
  NFS3ERR_PERM: 1,
  NFS3ERR_NOENT: 2,
  NFS3ERR_IO: 5,
  NFS3ERR_NXIO: 6,
  NFS3ERR_ACCES: 13,
  NFS3ERR_EXIST: 17,
  NFS3ERR_XDEV: 18,
  NFS3ERR_NODEV: 19,
  NFS3ERR_NOTDIR: 20,
  NFS3ERR_ISDIR: 21,
  NFS3ERR_INVAL: 22,
  NFS3ERR_FBIG: 27,
  NFS3ERR_NOSPC: 28,
  NFS3ERR_ROFS: 30,
  NFS3ERR_MLINK: 31,
  NFS3ERR_NAMETOOLONG: 63,
  NFS3ERR_NOTEMPTY: 66,
  NFS3ERR_DQUOT: 69,
  NFS3ERR_STALE: 70,
  NFS3ERR_REMOTE: 71,
  NFS3ERR_BADHANDLE: 10001,
  NFS3ERR_NOT_SYNC: 10002,
  NFS3ERR_BAD_COOKIE: 10003,
  NFS3ERR_NOTSUPP: 10004,
  NFS3ERR_TOOSMALL: 10005,
  NFS3ERR_SERVERFAULT: 10006,
  NFS3ERR_BADTYPE: 10007,
  NFS3ERR_JUKEBOX: 10008,
} as const
export type Status = keyof typeof nfsstats
export const nfsstat3 = enumeration(nfsstats)

const ftypes = { NF3REG: 1, NF3DIR: 2, NF3BLK: 3, NF3CHR: 4, NF3LNK: 5, NF3SOCK: 6, NF3FIFO: 7 } as const
export const ftype3 = enumeration(ftypes)

export const specdata3 = struct({ specdata1: uint32, specdata2: uint32 })
export const nfstime3 = struct({ seconds: uint32, nseconds: uint32 })

export const fattr3 = struct({
  type: ftype3,
  mode: uint32,
  nlink: uint32,
  uid: uint32,
  gid: uint32,
  size: size64,
  used: size64,
  rdev: specdata3,
  fsid: uint64,
  fileid: uint64,
  atime: nfstime3,
  mtime: nfstime3,
  ctime: nfstime3,
})
/** Its bytes on the wire, always. */
export const fattr3Bytes = 84

export const post_op_attr = optional(fattr3)
export const wcc_attr = struct({ size: size64, mtime: nfstime3, ctime: nfstime3 })
export const pre_op_attr = optional(wcc_attr)
export const wcc_data = struct({ before: pre_op_attr, after: post_op_attr })
export const post_op_fh3 = optional(nfs_fh3)

const time_how = enumeration({ DONT_CHANGE: 0, SET_TO_SERVER_TIME: 1, SET_TO_CLIENT_TIME: 2 })
const set_time = union(time_how, {
  DONT_CHANGE: nothing,
  SET_TO_SERVER_TIME: nothing,
  SET_TO_CLIENT_TIME: nfstime3,
})

export const sattr3 = struct({
  mode: optional(uint32),
  uid: optional(uint32),
  gid: optional(uint32),
  size: optional(size64),
  atime: set_time,
  mtime: set_time,
})

export const diropargs3 = struct({ dir: nfs_fh3, name: filename3 })

export const stable_how = enumeration({ UNSTABLE: 0, DATA_SYNC: 1, FILE_SYNC: 2 })

export const createhow3 = union(enumeration({ UNCHECKED: 0, GUARDED: 1, EXCLUSIVE: 2 }), {
  UNCHECKED: sattr3,
  GUARDED: sattr3,
  EXCLUSIVE: createverf3,
})

export const symlinkdata3 = struct({ symlink_attributes: sattr3, symlink_data: nfspath3 })

const devicedata3 = struct({ dev_attributes: sattr3, spec: specdata3 })
export const mknoddata3 = union(ftype3, {
  NF3REG: nothing,
  NF3DIR: nothing,
  NF3BLK: devicedata3,
  NF3CHR: devicedata3,
  NF3LNK: nothing,
  NF3SOCK: sattr3,
  NF3FIFO: sattr3,
})

export const ACCESS3 = { READ: 1, LOOKUP: 2, MODIFY: 4, EXTEND: 8, DELETE: 16, EXECUTE: 32 } as const
export const FSF3 = { LINK: 1, SYMLINK: 2, HOMOGENEOUS: 8, CANSETTIME: 16 } as const

export type Fhandle = TypeOf<typeof nfs_fh3>
export type Fattr3 = TypeOf<typeof fattr3>
export type WccData = TypeOf<typeof wcc_data>
export type Sattr3 = TypeOf<typeof sattr3>
export type Nfstime3 = TypeOf<typeof nfstime3>
