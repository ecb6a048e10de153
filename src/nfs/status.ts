// What an error becomes on the wire: one complete table from FsError's codes, the
// statuses that only the wire knows, and which status each procedure may answer.

import { type Code, codeOf, FsError } from '../errors.ts'
import type { Status } from './types.ts'

/** Thrown for what only the protocol knows: a bad handle, a reply that does not fit. */
export class Nfs3Error extends Error {
  readonly status: Status

  constructor(status: Status, what: string) {
    super(`${status}: ${what}`)
    this.name = 'Nfs3Error'
    this.status = status
  }
}

const statusFor = {
  EACCES: 'NFS3ERR_ACCES',
  EAGAIN: 'NFS3ERR_JUKEBOX', // nothing has happened, and the same call later may succeed: its very definition
  ECANCELED: 'NFS3ERR_NOT_SYNC', // only SETATTR's guard cancels
  EEXIST: 'NFS3ERR_EXIST',
  EFBIG: 'NFS3ERR_FBIG',
  EINVAL: 'NFS3ERR_INVAL',
  EIO: 'NFS3ERR_IO',
  EISDIR: 'NFS3ERR_ISDIR',
  EMLINK: 'NFS3ERR_MLINK',
  ENAMETOOLONG: 'NFS3ERR_NAMETOOLONG',
  ENOENT: 'NFS3ERR_NOENT',
  ENOSPC: 'NFS3ERR_NOSPC',
  ENOTDIR: 'NFS3ERR_NOTDIR',
  ENOTEMPTY: 'NFS3ERR_NOTEMPTY',
  ENOTSUP: 'NFS3ERR_NOTSUPP',
  EPERM: 'NFS3ERR_PERM',
  EROFS: 'NFS3ERR_ROFS',
  ESTALE: 'NFS3ERR_STALE',
  EXDEV: 'NFS3ERR_XDEV',
} satisfies Record<Code, Status>

/** The status of anything that was thrown. */
export const statusOf = (err: unknown): Status =>
  err instanceof Nfs3Error ? err.status : statusFor[codeOf(err)]

/** Whether someone meant to throw it; what nobody meant belongs in the log with its stack. */
export const meant = (err: unknown): boolean => err instanceof Nfs3Error || err instanceof FsError

// RFC 1813 §3.3 lists each procedure's errors "as a guide". Listed here is what the
// RFC lists, and beside it, with the reason, what clients expect though it does not.

/** Legal everywhere. JUKEBOX: §2.6 offers it to any procedure, and every client obeys it. */
const always: readonly Status[] = [
  'NFS3ERR_IO',
  'NFS3ERR_STALE',
  'NFS3ERR_BADHANDLE',
  'NFS3ERR_SERVERFAULT',
  'NFS3ERR_JUKEBOX',
]

const making: readonly Status[] = [
  'NFS3ERR_ACCES',
  'NFS3ERR_EXIST',
  'NFS3ERR_NOTDIR',
  'NFS3ERR_NOSPC',
  'NFS3ERR_ROFS',
  'NFS3ERR_NAMETOOLONG',
  'NFS3ERR_DQUOT',
  'NFS3ERR_NOTSUPP',
  'NFS3ERR_INVAL', // a name that is not UTF-8: "permission denied" would send the user the wrong way
]

const removing: readonly Status[] = [
  'NFS3ERR_NOENT',
  'NFS3ERR_ACCES',
  'NFS3ERR_NOTDIR',
  'NFS3ERR_NAMETOOLONG',
  'NFS3ERR_ROFS',
  'NFS3ERR_INVAL', // REMOVE of '.': as every server answers
]

const linking: readonly Status[] = [
  'NFS3ERR_ACCES',
  'NFS3ERR_EXIST',
  'NFS3ERR_XDEV',
  'NFS3ERR_NOTDIR',
  'NFS3ERR_ISDIR', // of LINK: POSIX's EPERM is not what Linux's server says, and Apple's tests want ISDIR
  'NFS3ERR_INVAL',
  'NFS3ERR_NOSPC',
  'NFS3ERR_ROFS',
  'NFS3ERR_MLINK',
  'NFS3ERR_NAMETOOLONG',
  'NFS3ERR_DQUOT',
  'NFS3ERR_NOTSUPP',
]

const legal = {
  NULL: [],
  GETATTR: [],
  SETATTR: [
    'NFS3ERR_PERM',
    'NFS3ERR_ACCES',
    'NFS3ERR_INVAL',
    'NFS3ERR_NOSPC',
    'NFS3ERR_ROFS',
    'NFS3ERR_DQUOT',
    'NFS3ERR_NOT_SYNC',
    'NFS3ERR_NOTSUPP',
  ],
  LOOKUP: ['NFS3ERR_NOENT', 'NFS3ERR_ACCES', 'NFS3ERR_NOTDIR', 'NFS3ERR_NAMETOOLONG'],
  ACCESS: [],
  READLINK: ['NFS3ERR_INVAL', 'NFS3ERR_ACCES', 'NFS3ERR_NOTSUPP'],
  READ: ['NFS3ERR_NXIO', 'NFS3ERR_ACCES', 'NFS3ERR_INVAL'],
  WRITE: ['NFS3ERR_ACCES', 'NFS3ERR_FBIG', 'NFS3ERR_DQUOT', 'NFS3ERR_NOSPC', 'NFS3ERR_ROFS', 'NFS3ERR_INVAL'],
  CREATE: making,
  MKDIR: making,
  SYMLINK: making,
  MKNOD: [...making, 'NFS3ERR_BADTYPE'],
  REMOVE: [...removing, 'NFS3ERR_ISDIR'], // as every server answers; a program cannot be told better
  RMDIR: [...removing, 'NFS3ERR_EXIST', 'NFS3ERR_NOTEMPTY', 'NFS3ERR_NOTSUPP'],
  RENAME: [...linking, 'NFS3ERR_NOENT', 'NFS3ERR_NOTEMPTY'],
  LINK: linking,
  READDIR: ['NFS3ERR_ACCES', 'NFS3ERR_NOTDIR', 'NFS3ERR_BAD_COOKIE', 'NFS3ERR_TOOSMALL'],
  READDIRPLUS: [
    'NFS3ERR_ACCES',
    'NFS3ERR_NOTDIR',
    'NFS3ERR_BAD_COOKIE',
    'NFS3ERR_NOTSUPP',
    'NFS3ERR_TOOSMALL',
  ],
  FSSTAT: [],
  FSINFO: [],
  PATHCONF: [],
  // ACCES: for those who may not call. INVAL: of a directory. NOSPC: the user must hear it, and Linux passes it on.
  COMMIT: ['NFS3ERR_ACCES', 'NFS3ERR_INVAL', 'NFS3ERR_NOSPC'],
} satisfies Record<string, readonly Status[]>
export type ProcName = keyof typeof legal

const legalSets = new Map<string, Set<Status>>(
  Object.entries(legal).map(([name, own]) => [name, new Set([...always, ...own])]),
)

/** Where a status is not legal, the nearest that says the same; then IO, which always is. */
const nearest: Partial<Record<Status, readonly Status[]>> = {
  NFS3ERR_ISDIR: ['NFS3ERR_EXIST', 'NFS3ERR_INVAL'],
  NFS3ERR_NOTDIR: ['NFS3ERR_INVAL'],
  NFS3ERR_NOTEMPTY: ['NFS3ERR_EXIST'],
  NFS3ERR_FBIG: ['NFS3ERR_INVAL'],
  NFS3ERR_XDEV: ['NFS3ERR_INVAL'],
  NFS3ERR_INVAL: ['NFS3ERR_ACCES'],
  NFS3ERR_PERM: ['NFS3ERR_ACCES'],
  NFS3ERR_MLINK: ['NFS3ERR_NOSPC'],
}

export function legalStatus(proc: ProcName, status: Status): Status {
  const set = legalSets.get(proc)!
  if (set.has(status)) return status
  return nearest[status]?.find(s => set.has(s)) ?? 'NFS3ERR_IO'
}

export const legalStatuses = (proc: ProcName): ReadonlySet<Status> => legalSets.get(proc)!
