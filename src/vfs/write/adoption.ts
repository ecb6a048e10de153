// A mutable file about to be written to. Its content on the grid may be replaced by others at any
// time, and so all of it is brought here first: what a draft of it is made of is on this machine.

import { FsError } from '../../errors.ts'
import { waitFor } from '../ask.ts'
import type { Contents } from '../read/content.ts'
import type { Reader } from '../read/reader.ts'
import type { Inode } from '../tree/inode.ts'
import type { Listings } from '../tree/listings.ts'
import type { Tree } from '../tree/tree.ts'
import type { FileId } from '../vfs.ts'
import type { Changes } from './changes.ts'
import type { Draft } from './draft.ts'
import type { Run } from './segment.ts'
import type { Staging } from './staging.ts'

/** Bytes that a mutable file may have to be written to here: the grid stores all of it anew each time. */
export const MUTABLE_MAX = 64 << 20

/** Bytes that are brought here at a time. */
const STEP = 1 << 20

/** How often it is begun again when others write meanwhile. */
const TRIES = 5

export type AdoptionOptions = {
  readonly tree: Tree
  readonly listings: Listings
  readonly reader: Reader
  readonly contents: Contents
  readonly staging: Staging
  readonly changes: Changes
  /** Hears that a file waits for the grid. */
  readonly waits: (inode: Inode) => void
  /** Makes a draft durable. */
  readonly commit: (draft: Draft) => Promise<void>
}

export class Adoption {
  readonly #options: AdoptionOptions
  readonly #running = new Map<FileId, Promise<void>>()

  constructor(options: AdoptionOptions) {
    this.#options = options
  }

  /** Whether a file must be brought here before it is written to. */
  isDue({ kind, cap, local }: Inode): boolean {
    return kind === 'file' && cap?.mutable === true && !local?.draft
  }

  /**
   * Brings it here, or when it is to be cut to nothing asks for its version only. It may be due again
   * by the time that this resolves. EFBIG for one that is too large; EAGAIN and EIO as a read of it.
   */
  async ready(id: FileId, size: number | undefined, signal: AbortSignal | undefined): Promise<void> {
    const { tree, listings } = this.#options
    if (!this.isDue(tree.inode(id))) return
    if (size === 0) {
      await listings.sized(tree.inode(id), signal, 'content')
      return
    }
    let running = this.#running.get(id)
    if (!running) {
      running = this.#bring(id).finally(() => this.#running.delete(id))
      this.#running.set(id, running)
    }
    await waitFor(running, signal, 'write to a mutable file')
  }

  async #bring(id: FileId): Promise<void> {
    const { tree, listings, reader, contents, staging, changes, waits, commit } = this.#options
    for (let tries = 0; tries < TRIES; tries++) {
      const inode = await listings.sized(tree.inode(id), undefined, 'content')
      const content = contents.of(inode)
      if (!content) throw new FsError('EIO', 'write: its content is not known')
      if (content.size > MUTABLE_MAX) throw new FsError('EFBIG', 'write to a mutable file of this size')
      const runs: Run[] = []
      let draft: Draft | null = null
      try {
        for (let at = 0; at < content.size; at += STEP) {
          const end = Math.min(at + STEP, content.size)
          const bytes = Buffer.concat(await reader.read(content, at, end, undefined))
          runs.push((await staging.append(bytes)).run)
        }
        const now = tree.inode(id)
        if (!this.isDue(now)) return // cut to nothing, or replaced, meanwhile
        if (contents.of(now)?.key !== content.key || now.size !== content.size) continue
        const change = tree.change()
        draft = changes.emptyDraft(now, change)
        for (const [i, run] of runs.entries()) draft.write(run, i * STEP, null, change)
        draft.published = draft.replaced = draft.seq
        tree.commit(change).catch(() => {}) // what follows in the database needs it to come first
        waits(now)
      } finally {
        if (!draft) for (const { segment } of runs) segment.users--
      }
      await commit(draft) // who asked for it may be gone, and then nobody else would
      return
    }
    throw new FsError('EAGAIN', 'write: others write to this file all the time')
  }
}
