// A mount of the file system in memory, served by a child, for a test to use as any program
// would, and to change behind the kernel's back.

import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import type { ReaderKind } from '../../src/fuse/device.ts'
import { unmountFuse } from '../../src/fuse/mount.ts'
import type { FuseStats } from '../../src/fuse/server.ts'
import type { Vfs } from '../../src/vfs/vfs.ts'
import type { Answer, Ask } from './fuse-child.ts'

type Method = { [K in keyof Vfs]: Vfs[K] extends (...args: never) => unknown ? K : never }[keyof Vfs]
/** What somebody else does to the file system: not the kernel. */
type Others = { [K in Method]: (...args: Parameters<Vfs[K]>) => Promise<Awaited<ReturnType<Vfs[K]>>> }

export class FuseWorld {
  readonly dir: string
  readonly root: bigint
  readonly others: Others
  readonly complaints: string[] = []
  readonly #child: ChildProcess
  readonly #asked = new Map<number, PromiseWithResolvers<unknown>>()
  readonly #gone = Promise.withResolvers<void>()
  #number = 0

  private constructor(dir: string, child: ChildProcess, root: bigint) {
    this.dir = dir
    this.root = root
    this.#child = child
    child.on('message', (message: Answer | { complaint: string }) => {
      if ('complaint' in message) return void this.complaints.push(message.complaint)
      const { number, value, error } = message
      const asked = this.#asked.get(number)
      this.#asked.delete(number)
      if (error === undefined) asked?.resolve(value)
      else asked?.reject(new Error(error))
    })
    child.once('exit', () => this.#gone.resolve())
    this.others = new Proxy({} as Others, {
      get:
        (_, method: Method) =>
        (...args: readonly unknown[]) =>
          this.#ask({ ask: 'vfs', method, args }),
    })
  }

  /** Mounted until the test is over, which fails if the server complained. */
  static async open(t: ExecutionContext, reader?: ReaderKind): Promise<FuseWorld> {
    const dir = await mkdtemp(join(tmpdir(), 'tahoe-nfs-fuse-'))
    const args = [dir, reader ?? '']
    const child = fork(join(import.meta.dirname, 'fuse-child.ts'), args, {
      serialization: 'advanced',
      stdio: 'inherit',
    })
    const root = await new Promise<bigint>((resolve, reject) => {
      child.once('message', ({ value }: Answer) => resolve(value as bigint))
      child.once('exit', code => reject(new Error(`the server ended (${code}) before it served`)))
    })
    const world = new FuseWorld(dir, child, root)
    t.teardown(async () => {
      await world.end()
      if (world.complaints.length > 0) throw new Error(world.complaints.join('\n'))
    })
    return world
  }

  path(...names: readonly string[]): string {
    return join(this.dir, ...names)
  }

  /** From now on this operation waits for `letGo`. */
  hold(method: keyof Vfs): Promise<void> {
    return this.#ask({ ask: 'hold', method }) as Promise<void>
  }

  letGo(method: keyof Vfs): Promise<void> {
    return this.#ask({ ask: 'letGo', method }) as Promise<void>
  }

  /** Until so many operations are held. */
  waiting(count: number): Promise<void> {
    return until(async () => (await this.#ask({ ask: 'waiting' })) === count, `${count} operations wait`)
  }

  stats(): Promise<FuseStats> {
    return this.#ask({ ask: 'stats' }) as Promise<FuseStats>
  }

  /** How often the kernel asked for something, whatever it was told. */
  async asked(operation: string): Promise<number> {
    const { calls } = await this.stats()
    return Object.values(calls[operation] ?? {}).reduce((sum, each) => sum + each, 0)
  }

  abort(): Promise<void> {
    return this.#ask({ ask: 'abort' }) as Promise<void>
  }

  /** The server is gone. */
  get gone(): Promise<void> {
    return this.#gone.promise
  }

  async end(): Promise<void> {
    await unmountFuse(this.dir, { lazy: true })
    await Promise.race([this.gone, sleep(5_000, undefined, { ref: false })])
    this.#child.kill('SIGKILL')
    await this.gone
    await rm(this.dir, { recursive: true })
  }

  #ask(asked: Ask): Promise<unknown> {
    const number = ++this.#number
    const answer = Promise.withResolvers<unknown>()
    this.#asked.set(number, answer)
    this.#child.send({ number, asked })
    return answer.promise
  }
}

/** Looks again until it is so; what never comes is a failure. */
export async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  for (const end = Date.now() + 30_000; Date.now() < end; await sleep(10)) if (await isSo()) return
  throw new Error(`it did not come about: ${what}`)
}

/** Until a file reads like this. */
export const reads = (path: string, text: string): Promise<void> =>
  until(async () => (await readFile(path, 'utf8').catch(() => null)) === text, `${path} reads ${text}`)
