// `tahoe-nfs serve` over a root on a real node, or in a folder, in a process of its own: it can be killed, and
// comes back on the same port with the same state.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import type { Status } from '../../src/cli/places.ts'
import type { Cap } from '../../src/tahoe/cap.ts'
import { checkout } from './image.ts'

const bin = join(checkout, 'bin/tahoe-nfs.js')

export type ServedOptions = {
  /** What `--grid` is given. */
  readonly grid: string
  /** Null for the one that the folder has. */
  readonly root: Cap | null
  /** More options of `serve`. */
  readonly args?: readonly string[]
}

export class Served implements AsyncDisposable {
  readonly #options: ServedOptions
  #grid: string
  /** Holds the root cap, the state, and the home that the program is given. */
  readonly #dir: string
  #child: ChildProcess | null = null
  #port = 0
  readonly #exit = (): void => void this.#child?.kill('SIGKILL')

  private constructor(options: ServedOptions, dir: string) {
    this.#options = options
    this.#grid = options.grid
    this.#dir = dir
    process.on('exit', this.#exit)
  }

  static async start(options: ServedOptions): Promise<Served> {
    const dir = await mkdtemp(join(tmpdir(), 'served-'))
    if (options.root) await writeFile(join(dir, 'root'), options.root.uri(), { mode: 0o600 })
    const served = new Served(options, dir)
    await served.again()
    return served
  }

  get port(): string {
    return String(this.#port)
  }

  /** Starts the one that has ended, or was killed, anew; the node may be elsewhere by then. */
  async again(grid = this.#grid): Promise<void> {
    const { root, args = [] } = this.#options
    this.#grid = grid
    const own = ['--uid', '0', '--gid', '0', '--log-level', 'warn', ...args]
    const rootFile = root === null ? [] : ['--root-file', join(this.#dir, 'root')]
    const places = [...rootFile, '--state', this.#state]
    const child = spawn(
      process.execPath,
      [bin, 'serve', '--grid', grid, ...places, '--listen', `127.0.0.1:${this.#port}`, ...own],
      { stdio: ['ignore', 'pipe', 'inherit'], env: this.#env },
    )
    this.#child = child
    let said = ''
    for await (const line of createInterface({ input: child.stdout! })) {
      said += `${line}\n`
      const port = /^serving 127\.0\.0\.1:(\d+)/.exec(line)?.[1]
      if (port !== undefined) return void (this.#port = Number(port))
    }
    throw new Error(`the server did not serve: ${said}`)
  }

  /** Ends it as a user does; `again` starts it anew. */
  stop(): Promise<void> {
    return this.#end('SIGTERM')
  }

  /** kill -9. */
  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  /** The command `flush --wait`: everything is on the grid when it returns. */
  async flush(): Promise<void> {
    const args = [bin, 'flush', '--wait', '--state', this.#state]
    await promisify(execFile)(process.execPath, args, { env: this.#env })
  }

  /** What `status --json` says. */
  async status(): Promise<Status> {
    const args = [bin, 'status', '--json', '--state', this.#state]
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: this.#env })
    return JSON.parse(stdout) as Status
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    process.off('exit', this.#exit)
    await rm(this.#dir, { recursive: true, force: true })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child!
    if (child.exitCode !== null || child.signalCode !== null) return
    const closed = once(child, 'close')
    child.kill(signal)
    await closed
  }

  get #state(): string {
    return join(this.#dir, 'state')
  }

  get #env(): NodeJS.ProcessEnv {
    return { ...process.env, HOME: this.#dir, XDG_STATE_HOME: this.#dir, XDG_CACHE_HOME: this.#dir }
  }
}
