// Writes of one process to one slot stand in line. Changes that wait together are made together:
// one publish for all of them.

export class Lines {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Does `work` when all that came before it, of the same name, is over. */
  run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name)
    const mine = before ? before.then(work, work) : work()
    this.#last.set(name, mine)
    const over = () => {
      if (this.#last.get(name) === mine) this.#last.delete(name)
    }
    mine.then(over, over)
    return mine
  }
}

/** What follows from the content: new content, or null where it shall stay. It must not change the buffer that it is given. */
export type Change = (old: Buffer) => Promise<Buffer | null> | Buffer | null

/** Changes that wait for one slot. */
export class Batch {
  readonly #jobs: {
    readonly change: Change
    readonly signal: AbortSignal | undefined
    readonly end: PromiseWithResolvers<Buffer>
    failure: { err: unknown } | null
  }[] = []

  /** The content after all changes of the batch. Who has given up before its turn is left out. */
  add(change: Change, signal?: AbortSignal): Promise<Buffer> {
    const end = Promise.withResolvers<Buffer>()
    end.promise.catch(() => {}) // who gave up does not hear of it
    this.#jobs.push({ change, signal, end, failure: null })
    return end.promise
  }

  /** Whether nobody waits any more. */
  get abandoned(): boolean {
    return this.#jobs.every(({ signal }) => signal?.aborted)
  }

  /** Each change after the other; null if none wants anything. May be done again, from other content. */
  async apply(old: Buffer): Promise<Buffer | null> {
    let content: Buffer | null = null
    for (const job of this.#jobs) {
      job.failure = null
      if (job.signal?.aborted) continue
      try {
        content = (await job.change(content ?? old)) ?? content
      } catch (err) {
        job.failure = { err }
      }
    }
    return content
  }

  settle(content: Buffer): void {
    for (const { end, failure } of this.#jobs) {
      if (failure) end.reject(failure.err)
      else end.resolve(content)
    }
  }

  fail(err: unknown): void {
    for (const { end, failure } of this.#jobs) end.reject(failure ? failure.err : err)
  }
}
