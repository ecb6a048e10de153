// Files on their way: they are written below `incoming` and renamed into their place once they are
// whole and durable. The next process clears what is left there.

import { join } from 'node:path'
import type { ShareDisk } from './disk.ts'
import { errno } from './disk.ts'
import type { Folder } from './folder.ts'
import type { OpenShares } from './open-shares.ts'
import type { StorageIndex } from './server.ts'

/** A name below `incoming` that nobody else in this process has. */
export type Berth = { readonly index: StorageIndex; readonly share: number; readonly path: string }

export class Incoming {
  readonly #folder: Folder
  readonly #disk: ShareDisk
  readonly #shares: OpenShares
  /** By directory, the names in use there. */
  readonly #names = new Map<string, Set<string>>()
  readonly #dropping = new Map<string, Promise<void>>()

  constructor(folder: Folder, disk: ShareDisk, shares: OpenShares) {
    this.#folder = folder
    this.#disk = disk
    this.#shares = shares
  }

  /** A name for a new file, in a directory that stays until it is left. */
  async enter(index: StorageIndex, share: number): Promise<Berth> {
    const dir = this.#folder.incomingSlot(index)
    const names = this.#names.get(dir) ?? new Set()
    this.#names.set(dir, names)
    let name = String(share)
    for (let i = 2; names.has(name); i++) name = `${share}.${i}`
    names.add(name)
    const berth = { index, share, path: join(dir, name) }
    try {
      await this.#dropping.get(dir)
      await this.#folder.makeForNow(dir)
    } catch (err) {
      await this.leave(berth)
      throw err
    }
    return berth
  }

  /** Puts the file, which is durable, in the place of the share; there it is durable when this returns. */
  async land({ index, share, path }: Berth): Promise<void> {
    const slot = this.#folder.slot(index)
    await this.#folder.make(slot)
    await this.#rename(path, slot, this.#folder.share(index, share))
    this.#shares.forget(index, share)
    // Whoever made the directory anew meanwhile may still be about to make its name durable.
    await Promise.all([this.#disk.syncDir(slot), this.#folder.make(slot)])
  }

  /** Where somebody else removed the last share of the slot meanwhile, its directory is made once more. */
  async #rename(path: string, slot: string, place: string): Promise<void> {
    for (let tries = 5; ; tries--) {
      try {
        await this.#disk.rename(path, place)
        return
      } catch (err) {
        if (errno(err) !== 'ENOENT' || tries === 0) throw err
        this.#folder.forget(slot)
        await this.#folder.make(slot)
      }
    }
  }

  /** Gives the name back; a file that is still there is removed. */
  async leave({ index, path }: Berth): Promise<void> {
    await this.#disk.unlink(path).catch(() => {}) // it landed, or the next process clears it
    const dir = this.#folder.incomingSlot(index)
    const names = this.#names.get(dir)
    names?.delete(path.slice(dir.length + 1))
    if (names?.size !== 0) return
    this.#names.delete(dir)
    const dropping = this.#folder.drop(dir).catch(() => {})
    this.#dropping.set(dir, dropping)
    await dropping
    if (this.#dropping.get(dir) === dropping) this.#dropping.delete(dir)
  }
}
