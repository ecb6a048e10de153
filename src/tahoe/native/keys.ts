// Key pairs made ahead: a new directory needs one at once, and making it takes 10 to 100 ms.
// Many new directories must not take all threads and processors: files are read and written there as well.

import { availableParallelism } from 'node:os'
import { generateKey, type SigningKey } from '../format/ssk-keys.ts'
import { Turns } from '../turns.ts'

/** Keys that are made at a time: of the processors half, and of the pool's four threads too. */
export const MAKING = Math.min(2, Math.ceil(availableParallelism() / 2))

export class KeyPool {
  readonly #size: number
  readonly #make: () => Promise<SigningKey>
  readonly #ready: SigningKey[] = []
  #filling = false
  #closed = false
  readonly #making = new Turns(MAKING)

  /** Keeps up to `size` keys, made one after another in the background, off the main thread. */
  constructor(size = 16, make: () => Promise<SigningKey> = generateKey) {
    this.#size = size
    this.#make = make
    this.#fill()
  }

  /** A key that nobody else has: at once where one is ready. */
  async take(): Promise<SigningKey> {
    const key = this.#ready.shift() ?? (await this.#inTurn())
    this.#fill()
    return key
  }

  /** Keys that are ready. */
  get ready(): number {
    return this.#ready.length
  }

  /** No more keys are made ahead; take() still gives them. */
  close(): void {
    this.#closed = true
    this.#ready.length = 0
  }

  /** A pause before each, which keeps no process alive and lets what is waited for go first. */
  #fill(): void {
    if (this.#filling || this.#closed || this.#ready.length >= this.#size) return
    this.#filling = true
    const over = (again: boolean) => {
      this.#filling = false
      if (again) this.#fill()
    }
    setTimeout(() => {
      this.#one().then(
        () => over(true),
        () => over(false), // the next who takes one hears of it
      )
    }, 1).unref()
  }

  async #one(): Promise<void> {
    if (this.#closed) return
    const key = await this.#inTurn()
    if (!this.#closed) this.#ready.push(key)
  }

  async #inTurn(): Promise<SigningKey> {
    const done = await this.#making.take('make a key')
    return await this.#make().finally(done)
  }
}
