// Other people's programs, run in a directory.

import { type ChildProcess, spawn } from 'node:child_process'
import { path } from './rule.ts'

export type RunOptions = {
  readonly input?: string | Uint8Array
  readonly env?: Readonly<Record<string, string>>
  /** Descriptors that the program inherits, as its 3, 4 … */
  readonly inherit?: readonly number[]
  /** What it is told that it is called. */
  readonly argv0?: string
}

export type Ended = { readonly status: number | null; readonly stdout: string; readonly stderr: string }

/** Runs a program to its end, whatever that is. */
export async function ended(
  dir: string,
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  const child = started(dir, command, args, options)
  const [stdout, stderr] = [textOf(child.stdout!), textOf(child.stderr!)]
  child.stdin!.on('error', () => {}) // it need not read
  child.stdin!.end(options.input ?? '')
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  return { status, stdout: stdout(), stderr: stderr() }
}

/** What a program prints, when it succeeds. */
export async function run(
  dir: string,
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { status, stdout, stderr } = await ended(dir, command, args, options)
  if (status === 0) return stdout
  throw new Error(`${[command, ...args].join(' ')} ended with ${status}: ${stdout.slice(-1000)}${stderr}`)
}

/** A script of several commands; the first that fails is its end. */
export const sh = (dir: string, script: string, options?: RunOptions): Promise<string> =>
  run(dir, 'sh', ['-euc', script], options)

/** A program that goes on; its three streams are pipes. */
export function started(
  dir: string,
  command: string,
  args: readonly string[],
  { env = {}, inherit = [], argv0 }: RunOptions = {},
): ChildProcess {
  return spawn(command, args, {
    cwd: dir,
    env: { ...process.env, PATH: path, LC_ALL: 'C.UTF-8', TZ: 'UTC', ...env },
    stdio: ['pipe', 'pipe', 'pipe', ...inherit],
    ...(argv0 === undefined ? {} : { argv0 }),
  })
}

function textOf(stream: NonNullable<ChildProcess['stdout']>): () => string {
  let text = ''
  stream.setEncoding('utf8').on('data', (piece: string) => void (text += piece))
  return () => text
}
