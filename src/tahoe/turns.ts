// A bound on how many do something at once. The others wait in order, and may give up.

import { FsError } from '../errors.ts'

export class Turns {
  #free: number
  readonly #waiting = new Set<() => void>()

  constructor(limit: number) {
    this.#free = limit
  }

  /** Resolves with the function that ends the turn; calling that twice is harmless. EAGAIN when `signal` aborts first. */
  async take(what: string, signal?: AbortSignal): Promise<() => void> {
    gaveUp(what, signal)
    if (this.#free > 0) this.#free -= 1
    else await this.#wait(what, signal)
    let held = true
    return () => {
      if (held) this.#pass()
      held = false
    }
  }

  #wait(what: string, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(enter)
        reject(new FsError('EAGAIN', `${what}: the caller gave up`))
      }
      const enter = () => {
        signal?.removeEventListener('abort', leave)
        resolve()
      }
      this.#waiting.add(enter)
      signal?.addEventListener('abort', leave, { once: true })
    })
  }

  /** Straight to the next in line, so that nobody can slip in between. */
  #pass(): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#free += 1
      return
    }
    this.#waiting.delete(next)
    next()
  }
}

/** EAGAIN once the caller's patience is over. */
export function gaveUp(what: string, signal?: AbortSignal): void {
  if (signal?.aborted) throw new FsError('EAGAIN', `${what}: the caller gave up`)
}

/** The promise, or EAGAIN as soon as the caller gives up; what it waits for goes on. */
export async function patiently<T>(work: Promise<T>, what: string, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return await work
  gaveUp(what, signal)
  const { promise, reject } = Promise.withResolvers<never>()
  const leave = () => reject(new FsError('EAGAIN', `${what}: the caller gave up`))
  signal.addEventListener('abort', leave, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', leave)
  }
}
