// Results of changing calls, so that one that comes again gets the answer it had. A result
// is written down with its effect; the newest of them are kept, in a ring.

import type { Op } from '../state/schema.ts'
import type { State } from '../state/state.ts'

/** More than a client has on its way at once, many times over. */
const KEPT = 16_384

export class Once {
  readonly #state: State
  /** By key, the slot of what is written down. */
  readonly #slots = new Map<string, number>()
  readonly #keys = new Map<number, string>()
  /** Calls under way. */
  readonly #running = new Map<string, Promise<unknown>>()
  #seq: number

  constructor(state: State) {
    this.#state = state
    for (const row of state.all('SELECT slot, key FROM once'))
      this.#note(Number(row['slot']), row['key'] as string)
    this.#seq = Number(state.get('SELECT max(seq) AS last FROM once')?.['last'] ?? -1n) + 1
  }

  /**
   * `work`, or the result that `key` had before. What `work` gives is kept if it writes
   * down the operation that `kept` gives for it, in the transaction of its effect.
   */
  async do<T>(key: string | undefined, work: (kept: (result: T) => readonly Op[]) => Promise<T>): Promise<T> {
    if (key === undefined) return work(() => [])
    const running = this.#running.get(key)
    if (running) return running as Promise<T>
    const slot = this.#slots.get(key)
    if (slot !== undefined) {
      const row = this.#state.get('SELECT result FROM once WHERE slot = ? AND key = ?', slot, key)
      if (row) return JSON.parse(row['result'] as string, revived) as T
    }
    const done = work(result => [this.#keep(key, result)]).finally(() => this.#running.delete(key))
    this.#running.set(key, done)
    return done
  }

  #keep(key: string, result: unknown): Op {
    const seq = this.#seq++
    const slot = seq % KEPT
    this.#note(slot, key)
    return ['setOnce', slot, seq, key, JSON.stringify(result, written)]
  }

  #note(slot: number, key: string): void {
    const old = this.#keys.get(slot)
    if (old !== undefined && this.#slots.get(old) === slot) this.#slots.delete(old)
    this.#keys.set(slot, key)
    this.#slots.set(key, slot)
  }
}

const written = (_: string, value: unknown): unknown =>
  typeof value === 'bigint' ? { bigint: value.toString() } : value

const revived = (_: string, value: unknown): unknown => {
  const bigint = (value as { bigint?: unknown } | null)?.bigint
  return typeof bigint === 'string' ? BigInt(bigint) : value
}
