// fsync: what was written to files becomes durable, many at once. Bytes first, then the
// extents that lead to them; whoever comes while one commit runs is in the next.

import type { Op } from '../state/schema.ts'
import type { State } from '../state/state.ts'
import { setTimes } from '../tree/inode.ts'
import type { Draft, Entry } from './draft.ts'
import { segmentsOf } from './extents.ts'
import type { Staging } from './staging.ts'

type Batch = { readonly drafts: Set<Draft>; readonly done: PromiseWithResolvers<void> }

export class Committer {
  readonly #state: State
  readonly #staging: Staging
  /** The row of what is known of an inode here alone. */
  readonly #localRow: (draft: Draft) => Op
  #next: Batch | null = null
  #running = false

  constructor(state: State, staging: Staging, localRow: (draft: Draft) => Op) {
    this.#state = state
    this.#staging = staging
    this.#localRow = localRow
  }

  /** What was done to `draft` before is durable when this returns. */
  commit(draft: Draft): Promise<void> {
    this.#next ??= { drafts: new Set(), done: Promise.withResolvers() }
    const { drafts, done } = this.#next
    drafts.add(draft)
    if (!this.#running) void this.#run()
    return done.promise
  }

  /** One batch after the other: two at a time would pass each other on the way to the database. */
  async #run(): Promise<void> {
    this.#running = true
    while (this.#next) {
      const { drafts, done } = this.#next
      this.#next = null
      const living = [...drafts].filter(draft => !draft.dead)
      const { settled } = this.#staging.kept
      await this.#commit(living.map(draft => draft.entry(settled))).then(done.resolve, done.reject)
    }
    this.#running = false
  }

  async #commit(entries: readonly Entry[]): Promise<void> {
    const extents = entries.flatMap(({ extents }) => extents.flatMap(({ extent }) => extent ?? []))
    const segments = segmentsOf(extents)
    for (const segment of segments) segment.users++ // a file that is removed meanwhile lets them go
    try {
      await this.#staging.sync(segments)
      const living = entries.filter(({ draft }) => !draft.dead)
      await this.#state.commit([
        ...this.#staging.announce(segments),
        ...living.flatMap(entry => [...this.#opsOf(entry)]),
      ])
    } finally {
      for (const segment of segments) segment.users--
    }
    for (const { draft, released, seq } of entries) {
      for (const segment of released) segment.users--
      draft.committed = Math.max(draft.committed, seq)
      draft.known = true
    }
  }

  *#opsOf({ draft, extents, seq: last, size, valid, kept }: Entry): Generator<Op> {
    const { inode } = draft
    // Times as they are now: another change may have written later ones meanwhile.
    yield setTimes(inode)
    yield ['setSize', size, kept, inode.id]
    yield this.#localRow(draft)
    yield ['setValid', valid, last, inode.id]
    for (const { start, extent } of extents) {
      if (!extent) yield ['dropExtent', inode.id, start]
      else {
        const { length, segment, at, record, skip, plain, seq } = extent
        yield ['setExtent', inode.id, start, length, segment.id, at, record, skip, plain, seq]
      }
    }
  }
}
