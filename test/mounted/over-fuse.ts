// `tahoe-nfs mount --frontend fuse` over a folder of shares, in a process of its own: it can be killed, and is
// mounted anew in the same place with the same state.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import type { Status } from '../../src/cli/places.ts'

const bin = resolve(import.meta.dirname, '../../bin/tahoe-nfs.js')

export class OverFuse implements AsyncDisposable {
  readonly mountpoint: string
  readonly #dir: string
  #child: ChildProcess | null = null
  readonly #exit = (): void => void this.#child?.kill('SIGKILL')

  private constructor(dir: string) {
    this.#dir = dir
    this.mountpoint = join(dir, 'mounted')
    process.on('exit', this.#exit)
  }

  static async start(): Promise<OverFuse> {
    const dir = await mkdtemp(join(tmpdir(), 'over-fuse-'))
    const mounted = new OverFuse(dir)
    await mkdir(mounted.mountpoint)
    await mounted.again()
    return mounted
  }

  /** Mounts anew what was unmounted, or was killed. */
  async again(): Promise<void> {
    const where = [
      '--frontend',
      'fuse',
      '--grid',
      `local:${join(this.#dir, 'store')}`,
      '--state',
      this.#state,
    ]
    const child = spawn(
      process.execPath,
      [bin, 'mount', '--foreground', '--log-level', 'warn', ...where, this.mountpoint],
      { stdio: ['ignore', 'pipe', 'pipe'], env: this.#env },
    )
    this.#child = child
    let said = ''
    createInterface({ input: child.stderr! }).on('line', line => {
      said += `${line}\n`
      if (line.startsWith('{')) console.error(line) // its log, where something is amiss
    })
    for await (const line of createInterface({ input: child.stdout! })) {
      said += `${line}\n`
      if (line.includes(' is mounted')) return void child.stdout!.resume()
    }
    throw new Error(`it did not mount: ${said}`)
  }

  /** As a user ends it. */
  stop(): Promise<void> {
    return this.#end('SIGTERM')
  }

  /** kill -9. */
  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  /** Everything is on the grid when it returns. */
  async flush(): Promise<void> {
    await this.#command('flush', '--wait')
  }

  async status(): Promise<Status> {
    return JSON.parse(await this.#command('status', '--json')) as Status
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    process.off('exit', this.#exit)
    await rm(this.#dir, { recursive: true, force: true })
  }

  async #command(name: string, ...options: string[]): Promise<string> {
    const args = [bin, name, ...options, '--state', this.#state]
    return (await promisify(execFile)(process.execPath, args, { env: this.#env })).stdout
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
