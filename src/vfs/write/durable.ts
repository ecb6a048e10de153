// What must be on this machine's disk before a caller is answered. A commit that failed is the end
// of all changes: nobody knows then what the disk holds, and a second try would lie.

import { FsError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { waitFor } from '../ask.ts'
import type { Op } from '../state/schema.ts'
import type { Change } from '../tree/change.ts'
import type { Inode } from '../tree/inode.ts'
import type { Tree } from '../tree/tree.ts'
import type { Committer } from './committer.ts'
import type { Draft } from './draft.ts'
import type { Publisher } from './publisher.ts'

export type DurableOptions = {
  readonly tree: Tree
  readonly committer: Committer
  readonly publisher: Publisher
  /** What a commit waits for: this machine's disk, or the grid. */
  readonly fsync: 'local' | 'grid'
  readonly log: Log
}

export class Durable {
  /** Another after each failure: what was not committed may be lost. */
  writeverf: Uint8Array = crypto.getRandomValues(new Uint8Array(8))
  readonly #options: DurableOptions
  #trouble: string | null = null

  constructor(options: DurableOptions) {
    this.#options = options
  }

  /** Why nothing may change any more until a restart. */
  get trouble(): string | null {
    return this.#trouble
  }

  /** A change is durable, and then that it was made: done again after a crash in between, it is the same. */
  async change(change: Change, made: readonly Op[]): Promise<void> {
    const { tree } = this.#options
    const { drafts } = change
    if (drafts.length === 0) change.ops.push(...made)
    await tree.commit(change)
    if (drafts.length === 0) return
    for (const draft of drafts) if (!draft.dead) await this.draft(draft)
    await tree.write(made)
  }

  async draft(draft: Draft): Promise<void> {
    const { committer, publisher } = this.#options
    try {
      await committer.commit(draft)
    } catch (err) {
      throw this.broken(err)
    }
    publisher.sweep()
  }

  /** What was done to an inode's content survives, here or on the grid. */
  async content(inode: Inode, signal: AbortSignal | undefined): Promise<void> {
    const { fsync, publisher } = this.#options
    const draft = inode.local?.draft
    if (draft && !draft.isDurable) await this.draft(draft)
    if (fsync === 'grid' && inode.local && inode.edges > 0)
      await waitFor(publisher.flush(inode.id), signal, 'fsync')
  }

  /** Something could not be kept. */
  broken(err: unknown): FsError {
    const message = err instanceof FsError ? err.message.replace(/^\w+: /, '') : (err as Error).message
    if (this.#trouble === null) {
      this.#options.log.error(
        { err },
        'what is written can no longer be kept: nothing may change until a restart',
      )
      this.stop(`${message}; nothing may change until a restart`)
    }
    return new FsError('EIO', message, { cause: err })
  }

  /** Nothing may change any more, and nothing is published. */
  stop(why: string): void {
    this.#trouble = why
    this.writeverf = crypto.getRandomValues(new Uint8Array(8))
    void this.#options.publisher.stop()
  }
}
