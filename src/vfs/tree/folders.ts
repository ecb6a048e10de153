// The folders in memory: for good those in which something waits or that are being written down,
// the others as long as there is room.

import { LRUCache } from 'lru-cache'
import type { FileId } from '../vfs.ts'
import type { Folder } from './folder.ts'

export class Folders {
  readonly #pinned = new Map<FileId, Folder>()
  readonly #held: LRUCache<FileId, Folder>
  readonly #evicted = new Set<FileId>()

  /** `maxEdges`: names that are held of folders in which nothing waits. `evicted` hears of those that make room. */
  constructor(maxEdges: number, evicted: (folder: Folder) => void) {
    this.#held = new LRUCache({
      maxSize: maxEdges,
      sizeCalculation: folder => Math.min(folder.snapshot.edges.length + 1, maxEdges),
      dispose: (folder, id, reason) => {
        if (reason !== 'evict') return
        this.#evicted.add(id)
        evicted(folder)
      },
    })
  }

  get(id: FileId): Folder | undefined {
    return this.#pinned.get(id) ?? this.#held.get(id)
  }

  /** The same, without counting as a use. Null: one was here, and made room. */
  peek(id: FileId): Folder | null | undefined {
    return this.#pinned.get(id) ?? this.#held.peek(id) ?? (this.#evicted.has(id) ? null : undefined)
  }

  /** Those with names that the grid does not have yet as they are here, and those that are being written down. */
  get pinned(): Iterable<Folder> {
    return this.#pinned.values()
  }

  keep(folder: Folder): Folder {
    this.#evicted.delete(folder.id)
    this.#held.delete(folder.id)
    if (folder.intents.size > 0 || folder.writing > 0) {
      this.#pinned.set(folder.id, folder)
    } else {
      this.#pinned.delete(folder.id)
      this.#held.set(folder.id, folder)
    }
    return folder
  }

  drop(id: FileId): void {
    this.#pinned.delete(id)
    this.#held.delete(id)
    this.#evicted.delete(id)
  }
}
