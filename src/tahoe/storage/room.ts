// What the disk of a folder has room for. It is asked now and then; what was written since, and
// what was promised and is not written yet, is counted.

import type { ShareDisk } from './disk.ts'

/** Milliseconds for which an answer is taken for true. */
const AGE = 500

/** What is left alone for everything else on this disk: a share of it, and bytes at most. */
export type Reserve = { readonly share: number; readonly most: number }

const RESERVE: Reserve = { share: 0.02, most: 512 << 20 }

/** What even the small changes leave alone: to remove something from a directory takes a write too. */
const LAST: Reserve = { share: 0.002, most: 64 << 20 }

export class Room {
  readonly #disk: ShareDisk
  readonly #dir: string
  readonly #reserve: Reserve
  #known = { at: Number.NEGATIVE_INFINITY, free: 0, total: 0 }
  #since = 0
  #promised = 0
  #asking: Promise<void> | null = null

  constructor(disk: ShareDisk, dir: string, reserve: Reserve = RESERVE) {
    this.#disk = disk
    this.#dir = dir
    this.#reserve = reserve
  }

  /** Bytes that may be promised, and bytes of the disk in all. */
  async left(): Promise<{ free: number; total: number }> {
    await this.#fresh()
    return { free: Math.max(0, Math.floor(this.#beyond(this.#reserve))), total: this.#known.total }
  }

  /** Keeps room for `bytes`, or says that there is none. What is small may take of the reserve. */
  async promise(bytes: number, small = false): Promise<boolean> {
    await this.#fresh()
    if (this.#beyond(small ? least(LAST, this.#reserve) : this.#reserve) < bytes) return false
    this.#promised += bytes
    return true
  }

  /** Of what was promised, so many bytes are on the disk now. */
  took(bytes: number): void {
    this.#promised -= bytes
    this.#since += bytes
  }

  /** Of what was promised, so many bytes will not be written. */
  release(bytes: number): void {
    this.#promised -= bytes
  }

  /** Something was removed: the next question goes to the disk. */
  forget(): void {
    this.#known.at = Number.NEGATIVE_INFINITY
  }

  #beyond({ share, most }: Reserve): number {
    const { free, total } = this.#known
    return free - this.#since - this.#promised - Math.min(most, total * share)
  }

  async #fresh(): Promise<void> {
    if (performance.now() - this.#known.at > AGE) await (this.#asking ??= this.#ask())
  }

  async #ask(): Promise<void> {
    try {
      const before = this.#since
      const { free, total } = await this.#disk.space(this.#dir)
      this.#known = { at: performance.now(), free, total }
      this.#since -= before // what was written meanwhile may not be in the answer
    } finally {
      this.#asking = null
    }
  }
}

const least = (a: Reserve, b: Reserve): Reserve => ({
  share: Math.min(a.share, b.share),
  most: Math.min(a.most, b.most),
})
