// Who has what open: an inode lives while it is, whatever becomes of its names. And what was
// written to it that no fsync has made durable: when that may be lost, a close says so.

import type { FileId, Vfs } from '../vfs/vfs.ts'

type Open = {
  count: number
  /** What the file system said before the first write that is not durable for sure; null: none is. */
  writeverf: Uint8Array | null
  writes: number
}

export class Opens {
  readonly #vfs: Vfs
  readonly #all = new Map<FileId, Open>()

  constructor(vfs: Vfs) {
    this.#vfs = vfs
  }

  /** Inodes that are open. */
  get size(): number {
    return this.#all.size
  }

  /** ESTALE when it is gone. */
  open(id: FileId): void {
    this.#vfs.retain(id)
    const found = this.#all.get(id)
    if (found) found.count++
    else this.#all.set(id, { count: 1, writeverf: null, writes: 0 })
  }

  close(id: FileId): void {
    const found = this.#all.get(id)
    if (!found) return
    if (--found.count === 0) this.#all.delete(id)
    this.#vfs.release(id)
  }

  /** Something was written to it. */
  wrote(id: FileId): void {
    const found = this.#all.get(id)
    if (!found) return
    found.writes++
    found.writeverf ??= this.#vfs.writeverf
  }

  /** Does `commit`, which makes durable what was written before. */
  async durable(id: FileId, commit: () => Promise<unknown>): Promise<void> {
    const found = this.#all.get(id)
    const writes = found?.writes
    await commit()
    if (found && found.writes === writes) found.writeverf = null
  }

  /** Whether something that was written may be lost; it is said once. */
  hasLost(id: FileId): boolean {
    const found = this.#all.get(id)
    if (!found?.writeverf || Buffer.compare(found.writeverf, this.#vfs.writeverf) === 0) return false
    found.writeverf = null
    return true
  }

  /** The kernel is gone, and will close nothing more. */
  closeAll(): void {
    for (const [id, { count }] of this.#all) for (let i = 0; i < count; i++) this.#vfs.release(id)
    this.#all.clear()
  }
}
