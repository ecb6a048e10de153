// Asking a grid that may not answer now. EAGAIN from the grid means "not now", never
// "gone": it is asked again after 1, 2, 4 … 30 s for five minutes; then the answer is
// EIO, remembered for thirty seconds, before it is asked again.

import { codeOf, FsError } from '../errors.ts'
import type { Log } from '../log.ts'

export type Patience = {
  /** Milliseconds before each further try; the last is repeated. */
  readonly delays: readonly number[]
  /** Milliseconds after which asking ends. */
  readonly giveUp: number
  /** Milliseconds for which a failure is the answer. */
  readonly memo: number
}

export const patience: Patience = { delays: [1e3, 2e3, 4e3, 8e3, 16e3, 30e3], giveUp: 300e3, memo: 30e3 }

/** What is known of the way to the grid: whether it answers, since when it does or does not, and what it does not answer. */
export type Reach = {
  reachable: boolean
  since: number
  lastError: string
  /** What was asked for in vain of late, one line each. */
  troubles: readonly string[]
}

/** Questions whose failing is remembered. */
const MAX_TROUBLES = 1000

/** Milliseconds after which a question that is no longer asked is no trouble any more. */
const TROUBLE_AGE = 600_000

export class Asker {
  #reachable = true
  #since = Date.now()
  #lastError = ''
  /** By question: what was said, when, and how many answers there had been by then. */
  readonly #troubles = new Map<string, { message: string; at: number; answers: number }>()
  #answers = 0
  readonly patience: Patience
  readonly #log: Log
  readonly #closing = new AbortController()
  readonly #asking = new Map<string, Promise<unknown>>()
  readonly #failed = new Map<string, { until: number; error: FsError }>()

  constructor(log: Log, wanted: Patience = patience) {
    this.#log = log
    this.patience = wanted
  }

  /**
   * The answer to a question, asked as often as it takes; the same `key` is asked once
   * at a time. `what` names it for errors. Errors other than EAGAIN are answers.
   */
  ask<T>(key: string, what: string, question: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const running = this.#asking.get(key)
    if (running) return running as Promise<T>
    const failed = this.#failed.get(key)
    if (failed && failed.until > Date.now()) return Promise.reject(failed.error)
    this.#failed.delete(key)
    const asking = this.#persist(key, what, question)
      .catch((err: unknown) => {
        if (err instanceof FsError && err.code === 'EIO') this.#remember(key, err)
        throw err
      })
      .finally(() => this.#asking.delete(key))
    this.#asking.set(key, asking)
    return asking
  }

  /** One try, whose outcome is noted in `reach` under its `key`, unless `stop` ended it. */
  async once<T>(key: string, question: (signal: AbortSignal) => Promise<T>, stop?: AbortSignal): Promise<T> {
    const closing = this.#closing.signal
    const signal = stop ? AbortSignal.any([closing, stop]) : closing
    try {
      const answer = await question(signal)
      this.#answered(key)
      return answer
    } catch (err) {
      if (!signal.aborted) this.#noteFailure(key, err)
      throw err
    }
  }

  get reach(): Reach {
    const recent = [...this.#troubles.values()].filter(({ at }) => Date.now() - at < TROUBLE_AGE)
    const troubles = [...new Set(recent.map(({ message }) => message))]
    return { reachable: this.#reachable, since: this.#since, lastError: this.#lastError, troubles }
  }

  close(): void {
    this.#closing.abort(new FsError('EIO', 'the file system is closed'))
  }

  async #persist<T>(key: string, what: string, question: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const end = Date.now() + this.patience.giveUp
    for (let tries = 0; ; tries++) {
      try {
        return await this.once(key, question)
      } catch (err) {
        if (codeOf(err) !== 'EAGAIN') throw err
        const delay = this.patience.delays[Math.min(tries, this.patience.delays.length - 1)] ?? 0
        if (Date.now() + delay > end)
          throw new FsError('EIO', `${what}: the grid did not answer`, { cause: err })
        await pause(delay, this.#closing.signal)
      }
    }
  }

  #remember(key: string, error: FsError): void {
    if (this.#failed.size >= 1000) this.#failed.delete(this.#failed.keys().next().value as string)
    this.#failed.set(key, { until: Date.now() + this.patience.memo, error })
  }

  #answered(key: string): void {
    this.#answers++
    this.#troubles.delete(key)
    if (this.#reachable) return
    this.#reachable = true
    this.#since = Date.now()
    this.#log.info({}, 'the grid answers again')
  }

  #noteFailure(key: string, err: unknown): void {
    const code = codeOf(err)
    if (code === 'EAGAIN') {
      this.#unanswered(key, (err as FsError).message)
      return
    }
    // Anything but "not now" came from a grid that answered.
    this.#answered(key)
    if (code === 'ESTALE') return // a mutable file moved on: it is asked anew
    // Whoever asked may be served what there was before, and would never hear of it.
    const message = err instanceof FsError ? err.message : 'not meant to happen; the log says more'
    this.#trouble(key, message)
    this.#log.warn({ err }, 'the grid was asked in vain')
  }

  /** A question that fails again while others are answered is trouble of its own, and not the grid's. */
  #unanswered(key: string, message: string): void {
    this.#lastError = message
    const before = this.#troubles.get(key)
    this.#trouble(key, message)
    const alone = before !== undefined && before.answers < this.#answers
    if (!this.#reachable || alone) return
    this.#reachable = false
    this.#since = Date.now()
    this.#log.warn({ error: message }, 'the grid does not answer')
  }

  #trouble(key: string, message: string): void {
    this.#troubles.delete(key)
    this.#troubles.set(key, { message, at: Date.now(), answers: this.#answers })
    if (this.#troubles.size > MAX_TROUBLES)
      this.#troubles.delete(this.#troubles.keys().next().value as string)
  }
}

/** `promise`, for as long as `signal` lets this caller wait; the work itself goes on. */
export function waitFor<T>(promise: Promise<T>, signal: AbortSignal | undefined, what: string): Promise<T> {
  if (!signal) return promise
  const impatient = () => new FsError('EAGAIN', `${what}: still waiting for the grid`)
  if (signal.aborted) {
    promise.catch(() => {}) // whoever started it hears of it
    return Promise.reject(impatient())
  }
  return new Promise((resolve, reject) => {
    const leave = () => reject(impatient())
    signal.addEventListener('abort', leave, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
  })
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const stop = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal.addEventListener('abort', stop, { once: true })
  })
}
