// Which blocks are on disk and which goes next. A block seen once is on probation, one used
// again later is protected: reading one large file through does not push out what is in use.
// Whatever is dropped was least recently used on its side.

/** The share of the limit that protected blocks may take. */
const PROTECTED = 0.8

/** A second use counts as another one only after this long: a reader asks for one block many times in a row. */
const SAME_USE_MS = 60_000

type Item = { bytes: number; since: number }

export class Lru {
  readonly #limit: number
  readonly #probation = new Map<string, Item>()
  readonly #protected = new Map<string, Item>()
  #protectedBytes = 0
  #bytes = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get bytes(): number {
    return this.#bytes
  }

  has(key: string): boolean {
    return this.#probation.has(key) || this.#protected.has(key)
  }

  add(key: string, bytes: number, since = Date.now()): void {
    this.delete(key)
    this.#probation.set(key, { bytes, since })
    this.#bytes += bytes
  }

  /** Notes a use. */
  touch(key: string): void {
    const kept = this.#protected.get(key)
    if (kept) {
      this.#protected.delete(key)
      this.#protected.set(key, kept)
      return
    }
    const item = this.#probation.get(key)
    if (!item) return
    this.#probation.delete(key)
    if (Date.now() - item.since < SAME_USE_MS) {
      this.#probation.set(key, item)
      return
    }
    this.#protected.set(key, item)
    this.#protectedBytes += item.bytes
    for (const [oldest, old] of this.#protected) {
      if (this.#protectedBytes <= this.#limit * PROTECTED) break
      this.#protected.delete(oldest)
      this.#protectedBytes -= old.bytes
      this.#probation.set(oldest, { bytes: old.bytes, since: Date.now() })
    }
  }

  delete(key: string): void {
    const item = this.#probation.get(key) ?? this.#protected.get(key)
    if (!item) return
    if (this.#protected.delete(key)) this.#protectedBytes -= item.bytes
    this.#probation.delete(key)
    this.#bytes -= item.bytes
  }

  /** The block to drop next. */
  oldest(): string | undefined {
    return this.#probation.keys().next().value ?? this.#protected.keys().next().value
  }
}
