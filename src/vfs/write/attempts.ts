// What was tried in vain is tried again: after pauses that grow, and at once when the grid
// is back.

import { FsError } from '../../errors.ts'
import type { Reach } from '../ask.ts'

/** How much a pause differs from its length at most, so that not everything is tried at the same moment. */
const SPREAD = 0.25

export class Attempts {
  readonly #delays: readonly number[]
  #failures = 0
  #failedAt = 0
  #retryAt: number | null = null
  #error: string | null = null

  constructor(delays: readonly number[]) {
    this.#delays = delays
  }

  /** Why the last attempt failed; null when it did not. */
  get error(): string | null {
    return this.#error
  }

  /** When it is tried again, in milliseconds since 1970; null when nothing has failed. */
  get retryAt(): number | null {
    return this.#retryAt
  }

  isDue(now: number, reach: Reach): boolean {
    if (this.#retryAt === null || now >= this.#retryAt) return true
    return reach.reachable && reach.since > this.#failedAt
  }

  /** Somebody wants it now. */
  hurry(): void {
    if (this.#retryAt !== null) this.#retryAt = Date.now()
  }

  failed(err: unknown): void {
    const delay = this.#delays[Math.min(this.#failures, this.#delays.length - 1)] ?? 0
    this.#failures++
    this.#failedAt = Date.now()
    this.#retryAt = this.#failedAt + delay * (1 - SPREAD + 2 * SPREAD * Math.random())
    this.#error = err instanceof FsError ? err.message : 'not meant to happen; the log says more'
  }

  succeeded(): void {
    this.#failures = 0
    this.#retryAt = null
    this.#error = null
  }
}
