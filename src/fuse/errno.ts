// What an error becomes for the kernel: one complete table from FsError's codes, and what
// only the protocol knows.

import { constants } from 'node:os'
import { type Code, codeOf, FsError } from '../errors.ts'

const { errno } = constants

const errnoFor = {
  EACCES: errno.EACCES,
  EAGAIN: errno.EINTR, // only a wait that was interrupted comes this far; anything else was tried again
  ECANCELED: errno.ECANCELED, // no guard is ever set here
  EEXIST: errno.EEXIST,
  EFBIG: errno.EFBIG,
  EINVAL: errno.EINVAL,
  EIO: errno.EIO,
  EISDIR: errno.EISDIR,
  EMLINK: errno.EMLINK,
  ENAMETOOLONG: errno.ENAMETOOLONG,
  ENOENT: errno.ENOENT,
  ENOSPC: errno.ENOSPC,
  ENOTDIR: errno.ENOTDIR,
  ENOTEMPTY: errno.ENOTEMPTY,
  ENOTSUP: errno.EOPNOTSUPP,
  EPERM: errno.EPERM,
  EROFS: errno.EROFS,
  ESTALE: errno.ESTALE, // the kernel looks the path up once more
  EXDEV: errno.EXDEV,
} satisfies Record<Code, number>

/** Thrown for what only the kernel's protocol has a word for. */
export class Errno extends Error {
  readonly errno: number

  constructor(name: keyof typeof errno) {
    super(name)
    this.errno = errno[name]
  }
}

/** A positive number of <errno.h> for anything that was thrown. */
export const errnoOf = (err: unknown): number => (err instanceof Errno ? err.errno : errnoFor[codeOf(err)])

/** Whether someone meant to throw it; what nobody meant belongs in the log with its stack. */
export const meant = (err: unknown): boolean => err instanceof Errno || err instanceof FsError

const names = new Map(Object.entries(errno).map(([name, number]) => [number, name]))

/** What it is called, for the log and for who counts. */
export const errnoName = (number: number): string =>
  number === 0 ? 'OK' : (names.get(number) ?? String(number))
