// What this disk has room for. It is asked now and then; what was written since is counted.

import type { Disk } from './disk.ts'

/** Milliseconds for which an answer is taken for true. */
const AGE = 500

/** What is left alone for everything else that must be written: a share of the disk, and bytes at most. */
const RESERVE = { share: 0.02, most: 512 << 20 }

/** What even names and attributes leave alone. */
const LAST = { share: 0.002, most: 64 << 20 }

export class Space {
  readonly #disk: Disk
  readonly #dir: string
  #known = { at: Number.NEGATIVE_INFINITY, free: 0, total: 0 }
  #since = 0
  #asking: Promise<void> | null = null

  constructor(disk: Disk, dir: string) {
    this.#disk = disk
    this.#dir = dir
  }

  /** Whether `bytes` of content can be written. */
  fits(bytes: number): Promise<boolean> {
    return this.#leaves(bytes, RESERVE)
  }

  /** Whether names and attributes can be: they need little, and the reserve is for them. */
  hasReserve(): Promise<boolean> {
    return this.#leaves(0, LAST)
  }

  /** So many bytes were written. */
  took(bytes: number): void {
    this.#since += bytes
  }

  /** Something was removed: the next question goes to the disk. */
  forget(): void {
    this.#known.at = Number.NEGATIVE_INFINITY
  }

  async #leaves(bytes: number, { share, most }: { share: number; most: number }): Promise<boolean> {
    if (performance.now() - this.#known.at > AGE) await (this.#asking ??= this.#ask())
    const { free, total } = this.#known
    return free - this.#since - bytes > Math.min(most, total * share)
  }

  async #ask(): Promise<void> {
    try {
      const { free, total } = await this.#disk.space(this.#dir)
      this.#known = { at: performance.now(), free, total }
      this.#since = 0
    } finally {
      this.#asking = null
    }
  }
}
