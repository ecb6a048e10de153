// A file that is not on the grid as it is here. Its bytes are staged extents over what is
// still valid of its cap's content, and zeros beyond: writing and cutting never read. A
// generation is the file frozen for publishing; a write after that begins the next one.
//
// What lies below must not change meanwhile. A mutable file's content may, and so a draft of one
// holds all of its bytes itself, and knows the version that it is to replace.

import type { Cap } from '../../tahoe/cap.ts'
import type { Change } from '../tree/change.ts'
import { alter, type Inode } from '../tree/inode.ts'
import { type Extent, Extents, segmentsOf } from './extents.ts'
import type { Mark } from './kept.ts'
import type { Run, Segment } from './segment.ts'

/** What a file's bytes are made of at one moment. */
export type Content = {
  readonly size: number
  /** Bytes of `base` that are its own where no extent lies; beyond them are zeros. */
  readonly valid: number
  readonly base: Cap | null
  readonly extents: readonly Extent[]
}

/** A file frozen for publishing. */
export type Generation = Content & {
  /** The last change that is in it. */
  readonly seq: number
  readonly sealedAt: number
  /** Its cap, once it is on the grid. */
  cap: Cap | null
}

/** One draft's part of a commit, as it was when the commit began. */
export type Entry = {
  readonly draft: Draft
  readonly extents: readonly { readonly start: number; readonly extent: Extent | undefined }[]
  /** What no longer leads into staging once this is durable. */
  readonly released: readonly Segment[]
  readonly seq: number
  readonly size: number
  readonly valid: number
  /** The last kept write that is in it. */
  readonly kept: number
}

export class Draft {
  readonly inode: Inode
  readonly extents: Extents
  /** Bytes of the inode's cap that are still the file's. */
  valid: number
  /** Counts the changes of content. */
  seq: number
  /** The last change that is durable. */
  committed: number
  /** When it began to differ from what was published, and was changed last, in milliseconds since 1970. */
  dirtyAt: number
  changedAt: number
  /** The last change that the grid has. */
  published = 0
  /** The last write that was kept, by its number in the log; 0 when none was. */
  kept = 0
  /** Whether the database knows that there is a draft. */
  known = false
  generation: Generation | null = null
  /** Of a mutable file: the version that it replaces; null for any other, which gets a new cap. */
  replaces: string | null = null
  /** The last change that is in that version; 0 when none of this draft is. */
  replaced = 0
  /** Somebody else replaced that version: it is to be published as another file. */
  overtaken = false
  /** Its inode is gone: nothing of it is to be kept. */
  dead = false
  #changed = new Set<number>()
  #released: Segment[] = []
  /** The smallest it was cut to since the generation was frozen. */
  #cut = Number.POSITIVE_INFINITY

  /** `rows`: its extents as they are durable, since `since`, with all changes up to `seq`. */
  constructor(inode: Inode, valid: number, rows: readonly Extent[] = [], since = Date.now(), seq = 1) {
    this.inode = inode
    this.valid = valid
    this.dirtyAt = this.changedAt = since
    for (const { segment } of rows) segment.users++
    const watch = {
      added: (extent: Extent) => {
        extent.segment.users++
        this.#changed.add(extent.start)
      },
      removed: (extent: Extent) => {
        this.#released.push(extent.segment)
        this.#changed.add(extent.start)
      },
    }
    this.extents = new Extents(watch, rows)
    this.seq = this.committed = Math.max(seq, 1)
  }

  /** Whether everything that was changed is durable. */
  get isDurable(): boolean {
    return this.committed === this.seq
  }

  /** Whether the newest change is in the generation that is frozen. */
  get isSealed(): boolean {
    return this.generation?.seq === this.seq
  }

  /** Whether its bytes are exactly those of its cap. */
  get isPublished(): boolean {
    const { cap, size } = this.inode
    if (this.replaces !== null) return this.published === this.seq
    return cap !== null && this.extents.all.length === 0 && this.valid === size && cap.size === size
  }

  get content(): Content {
    const { valid, inode, extents } = this
    return { size: inode.size, valid, base: inode.cap, extents: extents.all }
  }

  /** The bytes of a run are at `start`; the run was held by whoever appended it, and is let go. */
  write(run: Run, start: number, mark: Mark | null, change: Change): void {
    this.#change()
    if (mark) this.kept = mark.number
    this.extents.put(run, start, this.seq, this.generation?.seq)
    run.segment.users--
    alter(this.inode, { size: Math.max(this.inode.size, start + run.plain) }, change)
  }

  resize(size: number, change: Change): void {
    this.#change()
    if (size < this.inode.size) {
      this.extents.cut(size)
      this.valid = Math.min(this.valid, size)
      this.#cut = Math.min(this.#cut, size)
    }
    alter(this.inode, { size }, change)
  }

  /** Freezes what there is. Its segments stay until it is thawed. */
  seal(): Generation {
    const extents = this.extents.frozen()
    for (const segment of segmentsOf(extents)) segment.users++
    this.#cut = Number.POSITIVE_INFINITY
    this.generation = { ...this.content, extents, seq: this.seq, sealedAt: Date.now(), cap: null }
    return this.generation
  }

  /** Gives up the generation, which nobody reads any more. */
  thaw(): void {
    if (!this.generation) return
    for (const segment of segmentsOf(this.generation.extents)) segment.users--
    this.generation = null
  }

  /** The grid has the generation under this file's names: its cap is what lies below from now on. */
  rebase(cap: Cap): void {
    const { seq, size } = this.generation!
    this.inode.cap = cap
    this.published = seq
    if (this.replaces === null) {
      this.valid = Math.min(size, this.#cut)
      this.extents.dropUntil(seq)
    }
    this.thaw()
    this.dirtyAt = this.changedAt
  }

  /** It is a file of its own from now on, which has no cap yet. */
  setAside(): void {
    this.overtaken = false
    this.replaces = null
    this.inode.cap = null
    this.thaw()
  }

  /** What has to be written down, as it is at this moment. `settled`: the kept writes up to it are made, or never will be. */
  entry(settled = 0): Entry {
    const extents = [...this.#changed].map(start => ({ start, extent: this.extents.at(start) }))
    const { seq, valid, inode } = this
    const kept = Math.max(this.kept, settled)
    const entry = { draft: this, extents, released: this.#released, seq, size: inode.size, valid, kept }
    this.#changed = new Set()
    this.#released = []
    return entry
  }

  /** Lets go of everything, for an inode that is gone, or whose bytes are its cap's. */
  dispose(): void {
    this.dead = true
    this.thaw()
    for (const { segment } of [...this.extents.all, ...this.#released.map(segment => ({ segment }))])
      segment.users--
    this.#released = []
  }

  #change(): void {
    const now = Date.now()
    if (this.isSealed) this.dirtyAt = now
    this.changedAt = now
    this.seq++
  }
}
