// Those who wait until what they saw waiting is on the grid.

import { FsError } from '../../errors.ts'
import { ancestors, isAtOrBelow } from '../tree/paths.ts'
import type { Tree } from '../tree/tree.ts'
import type { FileId } from '../vfs.ts'
import type { Linker } from './linker.ts'
import { waitingIntents } from './report.ts'
import { isLocalAlone, type Uploads } from './uploads.ts'

/** Somebody waits until each of `awaited` is true, and these directories are hurried until then. */
type Flush = {
  readonly awaited: (() => boolean)[]
  readonly directories: ReadonlySet<FileId>
  readonly done: PromiseWithResolvers<void>
}

export class Flushes {
  readonly #tree: Tree
  readonly #uploads: Uploads
  readonly #linker: Linker
  readonly #flushes = new Set<Flush>()
  #ended = false

  constructor(tree: Tree, uploads: Uploads, linker: Linker) {
    this.#tree = tree
    this.#uploads = uploads
    this.#linker = linker
  }

  /** Hurries what waits at or below an inode, until all of it is on the grid. */
  begin(id: FileId): Flush {
    if (this.#ended) throw over()
    const directories = new Set<FileId>()
    const awaited = [...this.#contents(id), ...this.#names(id, directories)]
    const flush: Flush = { awaited, directories, done: Promise.withResolvers() }
    this.#flushes.add(flush)
    return flush
  }

  /** The directories that are hurried. */
  *directories(): Generator<FileId> {
    for (const { directories } of this.#flushes) yield* directories
  }

  /** Tells those who wait of what has come true. */
  progress(): void {
    for (const flush of this.#flushes) {
      while (flush.awaited.length > 0 && flush.awaited.at(-1)!()) flush.awaited.pop()
      if (flush.awaited.length > 0) continue
      this.#flushes.delete(flush)
      flush.done.resolve()
    }
  }

  end(): void {
    this.#ended = true
    for (const { done } of this.#flushes) done.reject(over())
    this.#flushes.clear()
  }

  *#contents(id: FileId): Generator<() => boolean> {
    const tree = this.#tree
    for (const upload of this.#uploads.all) {
      const { inode } = upload
      if (!isAtOrBelow(tree, inode.id, id) || isLocalAlone(tree, inode)) continue
      upload.urgent = true
      upload.attempts.hurry()
      const draft = inode.local?.draft
      const { seq } = draft ?? { seq: 0 }
      const isOver = () => inode.edges === 0 || isLocalAlone(tree, inode)
      yield draft
        ? () => isOver() || inode.local?.draft !== draft || draft.published >= seq
        : () => isOver() || inode.cap !== null
    }
  }

  /** Its own names, those below it, and those that lead to it; their directories go into `directories`. */
  *#names(id: FileId, directories: Set<FileId>): Generator<() => boolean> {
    const above = new Set(ancestors(this.#tree, id))
    for (const { folder, dir, key, intent, inode } of waitingIntents(this.#tree)) {
      const leads = inode !== null && (inode.id === id || above.has(inode.id))
      if (!leads && !isAtOrBelow(this.#tree, dir.id, id)) continue
      directories.add(folder.id)
      if (inode?.kind === 'directory') directories.add(inode.id)
      const mark = this.#linker.mark(intent)
      yield () =>
        folder.intents.get(key) !== intent || this.#linker.hasProved(intent, mark) || dir.edges === 0
    }
  }
}

const over = (): FsError => new FsError('EIO', 'flush: nothing is published any more')
