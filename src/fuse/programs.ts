// Running the system's programs beside a mount. One that touches a mount whose server hangs
// cannot even be killed, so nobody here waits for longer than its time.

import { spawn } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { FsError } from '../errors.ts'

export type Ended = { readonly code: number | null; readonly out: string; readonly err: string }

export type RunOptions = {
  /** Descriptors that the program finds as 3, 4 … */
  readonly fds?: readonly number[]
  readonly env?: Readonly<Record<string, string>>
  /** Milliseconds. */
  readonly time?: number
  /** As whom; only root may choose. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
}

const TIME = 20_000

/** Where they are, also for a user or a service who cannot see them. */
const path = [
  ...new Set([...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/bin', '/usr/sbin', '/sbin']),
]

/** Ours, but the words of what is run are read. */
export const environment = { ...process.env, PATH: path.join(delimiter), LC_ALL: 'C' }

/** What the program said, without its own name; null when it has not ended in its time. ENOTSUP where it is not installed. */
export function run(
  program: string,
  args: readonly string[],
  { fds = [], env = {}, time = TIME, user }: RunOptions = {},
): Promise<Ended | null> {
  const child = spawn(program, args, {
    cwd: '/',
    ...user,
    env: { ...environment, ...env },
    stdio: ['ignore', 'pipe', 'pipe', ...fds],
  })
  const texts = ['', '']
  const streams = [child.stdout!, child.stderr!]
  streams.forEach((stream, i) => {
    stream.setEncoding('utf8').on('data', (text: string) => {
      texts[i] += text
    })
  })
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      child.unref()
      for (const stream of streams) stream.destroy()
      resolve(null)
    }, time)
    child.once('error', (err: NodeJS.ErrnoException) => {
      clearTimeout(timer)
      const why = err.code === 'ENOENT' ? 'is not installed' : `cannot be run (${err.code ?? err.message})`
      reject(new FsError('ENOTSUP', `${program} ${why}`))
    })
    child.once('close', code => {
      clearTimeout(timer)
      const [out, err] = texts as [string, string]
      resolve({ code, out, err: oneLine(err, program) })
    })
  })
}

const oneLine = (text: string, program: string): string =>
  text
    .trim()
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '' && !/^dmesg\(1\) may have more/.test(line))
    .map(line => (line.startsWith(`${program}: `) ? line.slice(program.length + 2) : line))
    .join(' ')

/** Whether a program of this name can be run. */
export async function isInstalled(program: string): Promise<boolean> {
  for (const dir of path) {
    const found = await access(join(dir, program), constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return true
  }
  return false
}
