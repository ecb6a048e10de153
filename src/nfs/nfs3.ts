// The NFS version 3 program (RFC 1813 §3.3): its 22 procedures, in the RFC's order.

import type { Log } from '../log.ts'
import type { Vfs } from '../vfs/vfs.ts'
import { ACCESS, GETATTR, SETATTR } from './proc/attributes.ts'
import { COMMIT, READ, WRITE } from './proc/data.ts'
import { FSINFO, FSSTAT, PATHCONF } from './proc/filesystem.ts'
import { READDIR, READDIRPLUS } from './proc/listing.ts'
import { CREATE, MKDIR, MKNOD, SYMLINK } from './proc/making.ts'
import { LINK, LOOKUP, READLINK, REMOVE, RENAME, RMDIR } from './proc/names.ts'
import type { Export } from './procedure.ts'
import { type Program, plain } from './program.ts'
import { nothing } from './xdr.ts'

export const NFS_PROGRAM = 100003
export const NFS_V3 = 3

const NULL = plain({ name: 'NULL', args: nothing, res: nothing, handle: () => undefined })

const procedures = [
  { of: () => NULL },
  GETATTR,
  SETATTR,
  LOOKUP,
  ACCESS,
  READLINK,
  READ,
  WRITE,
  CREATE,
  MKDIR,
  SYMLINK,
  MKNOD,
  REMOVE,
  RMDIR,
  RENAME,
  LINK,
  READDIR,
  READDIRPLUS,
  FSSTAT,
  FSINFO,
  PATHCONF,
  COMMIT,
]

export function nfs3(options: { vfs: Vfs; owner: { uid: number }; log: Log }): Program {
  const of: Export = { ...options, atWork: new Map() }
  return { name: 'NFS', prog: NFS_PROGRAM, vers: NFS_V3, procedures: procedures.map(each => each.of(of)) }
}
