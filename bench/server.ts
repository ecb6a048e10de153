// A tahoe-nfs server in a process of its own, started as a user starts it.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { controlSocket } from '../src/cli/places.ts'
import { askControl } from '../src/control/client.ts'
import type { Cap } from '../src/tahoe/cap.ts'
import type { Load } from './loop-watch.ts'

const bin = join(import.meta.dirname, '../bin/tahoe-nfs.js')
const watch = join(import.meta.dirname, 'loop-watch.ts')

/** Milliseconds that a server has to end by itself: it writes its profile, when it was told to make one. */
const PATIENCE = 15_000

/** Milliseconds after which publishing is given up. */
const FLUSH_MS = 600_000

export class Server {
  readonly pid: number
  /** What it said when it was ready. */
  readonly #said: string
  readonly #process: ChildProcess
  readonly #state: string

  private constructor(process: ChildProcess, said: string, state: string) {
    this.#process = process
    this.pid = process.pid!
    this.#said = said
    this.#state = state
  }

  /** Serves `root` (null: the one that a folder has) of a grid, as `--grid` is given it, with a new state in `dir`. */
  static start(dir: string, grid: string, root: Cap | null): Promise<Server> {
    return Server.#begin(dir, grid, root, ['serve'])
  }

  /** The same over FUSE, at `mountpoint`. */
  static mount(dir: string, grid: string, root: Cap | null, mountpoint: string): Promise<Server> {
    return Server.#begin(dir, grid, root, ['mount', '--foreground', '--frontend', 'fuse', mountpoint])
  }

  static async #begin(dir: string, grid: string, root: Cap | null, command: string[]): Promise<Server> {
    const home = await mkdtemp(join(dir, 'server-'))
    const [rootFile, state] = [join(home, 'root.cap'), join(home, 'state')]
    if (root) await writeFile(rootFile, root.uri(), { mode: 0o600 })
    const options = ['--grid', grid, ...(root ? ['--root-file', rootFile] : []), '--state', state]
    const child = spawn(
      process.execPath,
      ['--import', watch, bin, ...command, ...options, '--log-level', 'warn'],
      {
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        env: { ...process.env, XDG_STATE_HOME: home },
      },
    )
    child.stderr!.pipe(process.stderr)
    const lines = createInterface({ input: child.stdout! })
    const [line] = await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => [''])])
    if (line === '') throw new Error('the server did not start')
    return new Server(child, line as string, state)
  }

  /** Where it listens, if it does. */
  get port(): number {
    return Number(/:(\d+)/.exec(this.#said)?.[1])
  }

  /** Publishes what waits, and returns when it is on the grid. */
  async flush(): Promise<void> {
    const signal = AbortSignal.timeout(FLUSH_MS)
    await askControl(controlSocket(this.#state), 'POST', '/flush?wait=yes', { timeoutMs: 0, signal })
  }

  /** How late its event loop was, and how long it computed, since the last call. */
  async load(): Promise<Load> {
    const answer = once(this.#process, 'message')
    this.#process.send('load')
    return (await answer)[0] as Load
  }

  /** The most memory it has had so far, in MiB. */
  async peakMemory(): Promise<string> {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8').catch(() => '')
    const kilobytes = Number(/VmHWM:\s*(\d+)/.exec(status)?.[1])
    return Number.isNaN(kilobytes) ? '?' : `${Math.round(kilobytes / 1024)} MiB`
  }

  /** Ends it; what is not on the grid is not waited for, and what it says of that not shown. */
  async stop(): Promise<void> {
    const server = this.#process
    if (server.exitCode !== null || server.signalCode !== null) return
    const gone = once(server, 'exit')
    const timer = setTimeout(() => server.kill('SIGKILL'), PATIENCE)
    server.stderr!.unpipe().resume()
    await askControl(controlSocket(this.#state), 'POST', '/stop').catch(() => server.kill('SIGKILL'))
    await gone
    clearTimeout(timer)
  }
}
