// fsync: what was written to files becomes durable, many at once. Bytes first, then the
// extents that lead to them; whoever comes while one commit runs is in the next.

import type { Op } from '../state/schema.ts'
import type { State } from '../state/state.ts'
import { setTimes } from '../tree/inode.ts'
import type { Draft, Entry } from './draft.ts'
import { segmentsOf } from './extents.ts'
import type { Staging } from './staging.ts'

export class Committer {
  readonly #state: State
  readonly #staging: Staging
  /** The row of what is known of an inode here alone. */
  readonly #localRow: (draft: Draft) => Op
  #next = new Set<Draft>()
  #running: Promise<void> | null = null
  #following: Promise<void> | null = null

  constructor(state: State, staging: Staging, localRow: (draft: Draft) => Op) {
    this.#state = state
    this.#staging = staging
    this.#localRow = localRow
  }

  /** What was done to `draft` before is durable when this returns. */
  commit(draft: Draft): Promise<void> {
    this.#next.add(draft)
    if (!this.#running) return this.#start()
    this.#following ??= this.#running.catch(() => {}).then(() => this.#start())
    return this.#following
  }

  #start(): Promise<void> {
    const drafts = this.#next
    this.#next = new Set()
    this.#following = null
    this.#running = this.#commit([...drafts].map(draft => draft.entry())).finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async #commit(entries: readonly Entry[]): Promise<void> {
    const extents = entries.flatMap(({ extents }) => extents.flatMap(({ extent }) => extent ?? []))
    const segments = segmentsOf(extents)
    await this.#staging.sync(segments)
    const living = entries.filter(({ draft }) => !draft.dead)
    await this.#state.commit([
      ...this.#staging.announce(segments),
      ...living.flatMap(entry => [...this.#opsOf(entry)]),
    ])
    for (const { draft, released, seq } of entries) {
      for (const segment of released) segment.users--
      draft.committed = Math.max(draft.committed, seq)
    }
  }

  *#opsOf({ draft, extents, size, valid }: Entry): Generator<Op> {
    const { inode } = draft
    // Times as they are now: another change may have written later ones meanwhile.
    yield setTimes(inode)
    yield ['setSize', size, inode.id]
    yield this.#localRow(draft)
    yield ['setValid', valid, inode.id]
    for (const { start, extent } of extents) {
      if (!extent) yield ['dropExtent', inode.id, start]
      else {
        const { length, segment, at, record, skip, plain, seq } = extent
        yield ['setExtent', inode.id, start, length, segment.id, at, record, skip, plain, seq]
      }
    }
  }
}
