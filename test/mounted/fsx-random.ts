// Chance that can be had again: the same seed, the same draws.

import { createHash } from 'node:crypto'

/** Drawn from, rather than made anew: a file of it is unlike itself moved by any distance. */
const noise = createHash('shake256', { outputLength: 4 * 2 ** 20 })
  .update('fsx')
  .digest()

export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** At least 0 and less than `n`, a whole number. */
  below(n: number): number {
    // mulberry32
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return Math.floor((((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32) * n)
  }

  /** Small ones as often as large ones, and those around powers of two more often. At most `most`. */
  size(most: number): number {
    if (most < 1) return 0
    if (this.below(2) === 0) return this.below(most + 1)
    return Math.min(2 ** this.below(Math.floor(Math.log2(most)) + 1) - 1 + this.below(3), most)
  }

  bytes(size: number): Buffer {
    const from = this.below(noise.length - size)
    return Buffer.from(noise.subarray(from, from + size))
  }

  /** One of `choices`, each as often as its weight says. */
  weighted<T>(choices: readonly (readonly [number, T])[]): T {
    let left = this.below(choices.reduce((sum, [weight]) => sum + weight, 0))
    for (const [weight, choice] of choices) if ((left -= weight) < 0) return choice
    throw new Error('no choices')
  }
}
