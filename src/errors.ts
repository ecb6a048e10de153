// The one error every layer throws on purpose. Its codes are POSIX names, so
// they read the same in a log, in a test, and beside Node's own fs errors.

export const codes = [
  'EACCES',
  'EAGAIN', // not now: the grid is out of reach, or a wait ran out of patience; nothing has happened
  'ECANCELED', // a guard did not hold (SETATTR's obj_ctime); nothing has happened
  'EEXIST',
  'EFBIG',
  'EINVAL',
  'EIO',
  'EISDIR',
  'EMLINK',
  'ENAMETOOLONG',
  'ENOENT',
  'ENOSPC',
  'ENOTDIR',
  'ENOTEMPTY',
  'ENOTSUP',
  'EPERM',
  'EROFS',
  'ESTALE',
  'EXDEV',
] as const
export type Code = (typeof codes)[number]

export class FsError extends Error {
  readonly code: Code

  /** `what` names the operation and its object: `lookup "cat.jpg"`. Never a cap. */
  constructor(code: Code, what: string, options?: ErrorOptions) {
    super(`${code}: ${what}`, options)
    this.name = 'FsError'
    this.code = code
  }
}

/** The code to report for anything that was thrown. What we did not mean to throw is EIO. */
export const codeOf = (err: unknown): Code => (err instanceof FsError ? err.code : 'EIO')
