// The directories that name an inode of several names. One of a single name has its parent.

import type { State } from '../state/state.ts'
import type { FileId } from '../vfs.ts'
import type { Change } from './change.ts'
import type { Folder } from './folder.ts'
import type { Inode } from './inode.ts'

export class Links {
  readonly #dirs = new Map<FileId, Set<FileId>>()

  constructor(state: State) {
    for (const row of state.all('SELECT id, dir FROM link'))
      this.#of(row['id'] as bigint).add(row['dir'] as bigint)
  }

  /** The directories that name an inode. */
  dirs({ id, parent }: Inode): Iterable<FileId> {
    return this.#dirs.get(id) ?? [parent]
  }

  /** `dir` names an inode once more. */
  named({ id, parent, edges }: Inode, dir: FileId, { ops }: Change): void {
    if (edges < 2) return
    for (const each of [parent, dir]) {
      this.#of(id).add(each)
      ops.push(['addLink', id, each])
    }
  }

  /** `folder` names an inode once less, and others still do. */
  unnamed(inode: Inode, folder: Folder, { ops }: Change): void {
    const dirs = this.#dirs.get(inode.id)
    if (!dirs) return
    // Where one of two names is left, it need not be looked for.
    const gone = inode.edges === 1 ? dirs.size > 1 : folder.namesOf(inode.id).length === 0
    if (gone) {
      dirs.delete(folder.id)
      ops.push(['dropLink', inode.id, folder.id])
    }
    if (!dirs.has(inode.parent)) inode.parent = [...dirs][0]!
    if (inode.edges > 1) return
    this.#dirs.delete(inode.id)
    ops.push(['dropLinks', inode.id])
  }

  /** Nothing names it any more. */
  gone(id: FileId, { ops }: Change): void {
    this.#dirs.delete(id)
    ops.push(['dropLinks', id])
  }

  #of(id: FileId): Set<FileId> {
    let dirs = this.#dirs.get(id)
    if (!dirs) this.#dirs.set(id, (dirs = new Set()))
    return dirs
  }
}
