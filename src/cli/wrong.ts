// What a user did or has that keeps us from going on: one line that says what is wrong
// and what to do, and an exit code.

export const FAILED = 1
export const USED_WRONGLY = 2
/** Done, but not everything is on the grid. */
export const BACKLOG_KEPT = 3

export class Wrong extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode = FAILED) {
    super(message)
    this.name = 'Wrong'
    this.exitCode = exitCode
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'you may not',
  EISDIR: 'it is a directory',
  ELOOP: 'its links lead in a circle',
  ENOENT: 'it does not exist',
  ENOSPC: 'the disk is full',
  ENOTCONN: 'the server of what is mounted there is gone',
  ENOTDIR: 'its path leads through a file',
  EPERM: 'you may not',
  EROFS: 'the disk is read-only',
}

/** Why the system refused, in words. */
export function reason(err: unknown): string {
  const { code = 'unknown' } = err as NodeJS.ErrnoException
  return reasons[code] ?? code
}
