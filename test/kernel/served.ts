// `tahoe-nfs serve` over a root on a real node, in a process of its own: it can be killed, and
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
  readonly url: string
  readonly root: Cap
  /** More options of `serve`. */
  readonly args?: readonly string[]
}

export class Served implements AsyncDisposable {
  readonly #options: ServedOptions
  #url: string
  /** Holds the root cap, the state, and the home that the program is given. */
  readonly #dir: string
  #child: ChildProcess | null = null
  #port = 0
  readonly #exit = (): void => void this.#child?.kill('SIGKILL')

  private constructor(options: ServedOptions, dir: string) {
    this.#options = options
    this.#url = options.url
    this.#dir = dir
    process.on('exit', this.#exit)
  }

  static async start(options: ServedOptions): Promise<Served> {
    const dir = await mkdtemp(join(tmpdir(), 'served-'))
    await writeFile(join(dir, 'root'), options.root.uri(), { mode: 0o600 })
    const served = new Served(options, dir)
    await served.again()
    return served
  }

  get port(): string {
    return String(this.#port)
  }

  /** Starts the one that has ended, or was killed, anew; the node may be elsewhere by then. */
  async again(url = this.#url): Promise<void> {
    const { args = [] } = this.#options
    this.#url = url
    const own = ['--uid', '0', '--gid', '0', '--log-level', 'warn', ...args]
    const places = ['--root-file', join(this.#dir, 'root'), '--state', this.#state]
    const child = spawn(
      process.execPath,
      [bin, 'serve', '--grid', `gateway:${url}`, ...places, '--listen', `127.0.0.1:${this.#port}`, ...own],
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
    await this.#end('SIGTERM')
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
