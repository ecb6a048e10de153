// Where what the rooms say goes: lines of JSON on standard error, or in the background
// in a file of the state directory.

import { writeSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { type DestinationStream, type Logger, pino } from 'pino'

const STDERR: DestinationStream = { write: line => void writeSync(2, line) }

/** Synchronous, so that the last words before an end are not lost. */
export const logger = (level: string, to: DestinationStream = STDERR): Logger =>
  pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, to)

/** Begun anew when it has grown to this. */
const MAX_LOG = 10 << 20

/** A file that there may be only later: until it is opened, lines wait in memory. */
export class LogFile implements DestinationStream {
  #file: FileHandle | null = null
  #waiting: string[] = []

  write(line: string): void {
    if (this.#file) writeSync(this.#file.fd, line)
    else this.#waiting.push(line)
  }

  async open(path: string): Promise<void> {
    const file = await open(path, 'a', 0o600)
    if ((await file.stat()).size > MAX_LOG) await file.truncate()
    this.#file = file
    for (const line of this.#waiting.splice(0)) this.write(line)
  }
}
