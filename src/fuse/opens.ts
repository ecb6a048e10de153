// Who has what open: an inode lives while it is, whatever becomes of its names.

import type { FileId, Vfs } from '../vfs/vfs.ts'

export class Opens {
  readonly #vfs: Vfs
  readonly #counts = new Map<FileId, number>()

  constructor(vfs: Vfs) {
    this.#vfs = vfs
  }

  /** Inodes that are open. */
  get size(): number {
    return this.#counts.size
  }

  /** ESTALE when it is gone. */
  open(id: FileId): void {
    this.#vfs.retain(id)
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1)
  }

  close(id: FileId): void {
    const count = this.#counts.get(id)
    if (count === undefined) return
    if (count > 1) this.#counts.set(id, count - 1)
    else this.#counts.delete(id)
    this.#vfs.release(id)
  }

  /** The kernel is gone, and will close nothing more. */
  closeAll(): void {
    for (const [id, count] of this.#counts) for (let i = 0; i < count; i++) this.#vfs.release(id)
    this.#counts.clear()
  }
}
