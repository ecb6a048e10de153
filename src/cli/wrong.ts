// What a user did or has that keeps us from going on: one line that says what is wrong
// and what to do, and an exit code.

export const FAILED = 1
export const USED_WRONGLY = 2

export class Wrong extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode = FAILED) {
    super(message)
    this.name = 'Wrong'
    this.exitCode = exitCode
  }
}
