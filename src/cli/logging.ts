// Where what the rooms say goes: to standard error, as lines for a person or of JSON for
// programs, or in the background to a file of the state directory. Nothing here may throw:
// a full disk or a reader that has gone is no reason to stop serving.

import { fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { type DestinationStream, type Logger, pino } from 'pino'
import { withoutCaps } from './secrets.ts'

const names: Readonly<Record<number, string>> = { 20: 'debug', 30: 'info', 40: 'warning', 50: 'error' }

/** One line for a person. */
export function plainly(line: string): string {
  const { level, time, msg = '', ...rest } = JSON.parse(line) as Record<string, unknown>
  const more = Object.keys(rest).length === 0 ? '' : ` ${JSON.stringify(rest)}`
  return `${String(time).slice(11, 19)} ${names[Number(level)] ?? level}: ${msg}${more}\n`
}

/** Standard error. Until it serves, lines wait: a start that fails says why in one line, and only that. */
export class Stderr implements DestinationStream {
  #waiting: string[] | null = []

  write(line: string): void {
    if (this.#waiting) return void this.#waiting.push(line)
    try {
      // The line of live status, where there is one, makes room.
      writeSync(2, process.stderr.isTTY ? `\r\x1b[2K${plainly(line)}` : line)
    } catch {}
  }

  open(): void {
    const waiting = this.#waiting ?? []
    this.#waiting = null
    for (const line of waiting) this.write(line)
  }
}

/** Synchronous, so that the last words before an end are not lost. */
export const logger = (level: string, to: DestinationStream): Logger =>
  pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    { write: (line: string) => to.write(withoutCaps(line)) },
  )

/** Begun anew when it has grown to this. */
const MAX_LOG = 10 << 20

/** A file that there may be only later: until it is opened, lines wait in memory. */
export class LogFile implements DestinationStream {
  #file: number | null = null
  #size = 0
  #waiting: string[] = []
  readonly #max: number

  constructor(max = MAX_LOG) {
    this.#max = max
  }

  write(line: string): void {
    if (this.#file === null) return void this.#waiting.push(line)
    try {
      if (this.#size > this.#max) {
        ftruncateSync(this.#file)
        this.#size = 0
      }
      this.#size += writeSync(this.#file, line)
    } catch {}
  }

  open(path: string): void {
    this.#file = openSync(path, 'a', 0o600)
    this.#size = fstatSync(this.#file).size
    for (const line of this.#waiting.splice(0)) this.write(line)
  }
}
