// Everything below some caps, each object once, whatever ways lead to it. In memory are a key for
// each object that was met, the directories that wait to be listed, and one listing.

import { createHash } from 'node:crypto'
import { FsError } from '../../../errors.ts'
import type { Authority, Cap } from '../../cap.ts'
import type { Listing, Waiting } from '../../grid.ts'

/** What was met, and its path: the names that lead to it. */
export type Met =
  /** Something with shares. `again`: it was met before, by a cap that allows less. */
  | { readonly what: 'object'; readonly cap: Cap; readonly path: string; readonly again: boolean }
  /** Content that is its own cap. */
  | { readonly what: 'literal'; readonly path: string }
  /** A cap of a kind that is not known here. */
  | { readonly what: 'unknown'; readonly path: string }
  /** A directory that is not listed: `why` in words, or null where its cap does not allow it. */
  | { readonly what: 'unlisted'; readonly cap: Cap; readonly path: string; readonly why: string | null }

/** `again`: it was listed before, by a cap that allows less. */
type Place = { readonly cap: Cap; readonly path: string; readonly again: boolean }

const ranks: Record<Authority, number> = { verify: 1, read: 2, write: 3 }

export class Walk {
  readonly #list: (dir: Cap, waiting: Waiting) => Promise<Listing>
  /** Of each object, how much the strongest cap that led to it allows. */
  readonly #met = new Map<string, number>()
  readonly #waiting: Place[] = []
  readonly #begun: Place[] = []

  constructor(list: (dir: Cap, waiting: Waiting) => Promise<Listing>) {
    this.#list = list
  }

  /** A cap to begin at; also one more, when `run` has ended and is called again. */
  add(cap: Cap, path: string): void {
    this.#begun.push({ cap, path, again: false })
  }

  /** All that was not met yet. Directories come before what is in them. */
  async *run({ signal }: Waiting = {}): AsyncGenerator<Met, void, undefined> {
    for (let place: Place | undefined; (place = this.#begun.pop()); ) yield* this.#meet(place)
    for (let place: Place | undefined; (place = this.#waiting.pop()); ) {
      signal?.throwIfAborted()
      yield* this.#listed(place, signal)
    }
  }

  async *#listed({ cap, path, again }: Place, signal: AbortSignal | undefined): AsyncGenerator<Met> {
    if (cap.authority === 'verify') return yield { what: 'unlisted', cap, path, why: null }
    let listing: Listing
    try {
      listing = await this.#list(cap, { signal })
    } catch (err) {
      signal?.throwIfAborted()
      if (!(err instanceof FsError)) throw err
      return yield { what: 'unlisted', cap, path, why: err.message.replace(/^\w+: (list [^:]*: )?/, '') }
    }
    for (const [name, child] of listing.children)
      yield* this.#meet({ cap: child.cap, path: `${path === '/' ? '' : path}/${name}`, again })
  }

  *#meet({ cap, path, again }: Place): Generator<Met> {
    if (cap.kind === 'unknown') {
      if (!again) yield { what: 'unknown', path }
      return
    }
    const key = keyOf(cap)
    if (key !== null) {
      const [before, now] = [this.#met.get(key) ?? 0, ranks[cap.authority]]
      if (before >= now) return
      this.#met.set(key, now)
      yield { what: 'object', cap, path, again: before > 0 }
      // By a cap that only verifies nothing was listed.
      if (cap.type === 'directory') this.#waiting.push({ cap, path, again: before > ranks.verify })
      return
    }
    if (!again) yield { what: 'literal', path }
    if (cap.type === 'directory') this.#waiting.push({ cap, path, again })
  }
}

/**
 * Equal for caps of the same object, whatever they allow; null for what has no shares. Of the whole
 * verify cap: two that differ in more than the storage index are two objects, of which one is wrong.
 */
export function keyOf(cap: Cap): string | null {
  const verify = cap.verify()
  return verify && createHash('sha256').update(verify.uri()).digest('base64').slice(0, 22)
}
