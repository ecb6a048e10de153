// Encoding where it disturbs nobody: what is small at once, all else in a thread of its own, a
// segment at a time. Both are asked in the same way, and give the same bytes.

import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { FsError } from '../../../errors.ts'
import { ChkEncoder, type Encoded } from '../../format/chk/encoder.ts'
import { KEY_SIZE, keyHasher } from '../../format/chk/hashes.ts'
import type { Shape } from '../../format/chk/shape.ts'
import type { TaggedHash } from '../../format/hash.ts'
import type { Answer, Ask } from './encode-thread.ts'

/** Makes the key of a file, and then its shares, from its segments in order, twice the same. */
export interface Encoding {
  /** Takes the next segment into the key. Its memory is given away. */
  digest(segment: Uint8Array<ArrayBuffer>): Promise<void>
  /** The key of all that was taken in. */
  key(): Promise<Buffer>
  /** The blocks of the next segment, one for each share. Its memory is given away. */
  segment(plaintext: Uint8Array<ArrayBuffer>): Promise<readonly Uint8Array[]>
  finish(): Promise<Encoded>
  /** Forgets it. Nothing is asked afterwards. */
  end(): void
}

/** Encodes at once, on the thread that asks. */
export class DirectEncoding implements Encoding {
  readonly #shape: Shape
  readonly #hasher: TaggedHash
  #key: Buffer | null = null
  #encoder: ChkEncoder | null = null

  constructor(convergence: Uint8Array, shape: Shape) {
    this.#shape = shape
    this.#hasher = keyHasher(convergence, shape)
  }

  async digest(segment: Uint8Array): Promise<void> {
    this.#hasher.update(segment)
  }

  async key(): Promise<Buffer> {
    return (this.#key ??= this.#hasher.digest(KEY_SIZE))
  }

  async segment(plaintext: Uint8Array): Promise<readonly Uint8Array[]> {
    this.#encoder ??= new ChkEncoder(await this.key(), this.#shape)
    return this.#encoder.segment(plaintext)
  }

  async finish(): Promise<Encoded> {
    return this.#encoder!.finish()
  }

  end(): void {}
}

/** A thread that encodes for whoever asks. It does not keep the process alive. */
export class EncodeThread {
  readonly #worker: Worker
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #lastAsk = 0
  #lastJob = 0
  #dead: FsError | null = null

  constructor() {
    this.#worker = new Worker(new URL(`./encode-thread${extname(import.meta.url)}`, import.meta.url))
    this.#worker.unref()
    this.#worker.on('message', ({ id, value, error }: Answer) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(value)
      else waiting?.reject(new FsError('EIO', error))
    })
    this.#worker.on('error', err => this.#died(`the thread that encodes died: ${err.message}`))
    this.#worker.on('exit', () => this.#died('the thread that encodes is gone'))
  }

  open(convergence: Uint8Array, shape: Shape): Encoding {
    const job = ++this.#lastJob
    const about = (what: 'key' | 'finish' | 'end') => this.#ask({ job, what })
    const take = (what: 'digest' | 'segment', segment: Uint8Array<ArrayBuffer>) =>
      this.#ask({ job, what, segment }, [segment.buffer])
    this.#ask({ job, what: 'open', convergence, shape }).catch(() => {}) // whoever asks next hears of it
    return {
      digest: async segment => void (await take('digest', segment)),
      key: async () => Buffer.from((await about('key')) as Uint8Array),
      segment: async plaintext => (await take('segment', plaintext)) as readonly Uint8Array[],
      finish: async () => (await about('finish')) as Encoded,
      end: () => void about('end').catch(() => {}),
    }
  }

  /** Whether it is gone, and answers nobody any more. */
  get isDead(): boolean {
    return this.#dead !== null
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  #ask(ask: Omitted<Ask>, memory: readonly ArrayBuffer[] = []): Promise<unknown> {
    if (this.#dead) return Promise.reject(this.#dead)
    const id = ++this.#lastAsk
    const waiting = Promise.withResolvers<unknown>()
    this.#waiting.set(id, waiting)
    this.#worker.postMessage({ id, ...ask }, memory)
    return waiting.promise
  }

  #died(why: string): void {
    this.#dead ??= new FsError('EIO', why)
    for (const { reject } of this.#waiting.values()) reject(this.#dead)
    this.#waiting.clear()
  }
}

/** Of each kind of question, what the asker says. */
type Omitted<T> = T extends unknown ? Omit<T, 'id'> : never
