// New shares beside the old ones, in `storage/prepared`. What is there for one slot is one decision:
//
//   SI.part     is being written; worth nothing to the next process
//   SI          is whole and durable, and may be committed or aborted, by the next process too
//   SI.commit   is decided: its shares are moved into their places, by the next process if need be
//
// In each, the file N is the new container of share N, and an empty file N.gone says that the share goes.
// A rename of the directory is the step from one state to the next, so all shares of a slot take it
// at once. That what was moved or removed is no longer here must be durable before the slot
// changes again: else it would be moved once more, over what came later.

import { join } from 'node:path'
import { errno, isThere, type ShareDisk } from './disk.ts'
import { type Folder, isIndex, shareOf } from './folder.ts'
import { lookInto, type OpenShares, readData, shareName } from './open-shares.ts'
import { type Replacement, writeReplacement } from './replacement.ts'
import type { StorageIndex } from './server.ts'

const GONE = '.gone'

/** By share, what replaces it; null where it goes. */
export type Replacements = ReadonlyMap<number, Replacement | null>

export class Prepared {
  readonly #folder: Folder
  readonly #disk: ShareDisk
  readonly #shares: OpenShares

  constructor(folder: Folder, disk: ShareDisk, shares: OpenShares) {
    this.#folder = folder
    this.#disk = disk
    this.#shares = shares
  }

  /**
   * Makes them durable, decided on or not. One sync for each share, all at once, then two of
   * directories: of that with the shares, and of that with the slots.
   */
  async write(index: StorageIndex, replacements: Replacements, decided: boolean): Promise<void> {
    const part = this.#path(index, '.part')
    await this.#folder.make(this.#folder.prepared)
    await this.#folder.clear(part) // of an attempt that failed
    await this.#folder.makeForNow(part)
    try {
      const writes = [...replacements].map(([share, made]) => this.#writeOne(part, index, share, made))
      const failed = (await Promise.allSettled(writes)).find(each => each.status === 'rejected')
      if (failed) throw failed.reason
      await this.#disk.syncDir(part)
      await this.#disk.rename(part, this.#path(index, decided ? '.commit' : ''))
    } catch (err) {
      await this.#folder.clear(part).catch(() => {}) // the next process clears it
      throw err
    }
    try {
      await this.#disk.syncDir(this.#folder.prepared)
    } catch (err) {
      if (!decided) await this.abort(index).catch(() => {}) // who asked does not get the choice
      throw err
    }
  }

  async #writeOne(dir: string, index: StorageIndex, share: number, made: Replacement | null): Promise<void> {
    const path = join(dir, String(share))
    if (made) return await writeReplacement(this.#disk, path, made, shareName(index, share))
    const file = await this.#disk.open(path + GONE, 'new')
    await file.close() // its name says all, and that is its directory's
  }

  /**
   * Decides on it, and moves it. Three syncs of directories: of the decision, of the slot, and of
   * what is no longer prepared; a single share needs no word of the decision, the move is it.
   * After a failure it may be called again.
   */
  async commit(index: StorageIndex): Promise<void> {
    const path = this.#path(index, '')
    const { length } = await this.#files(path)
    if (length === 1) return await this.#move(index, path)
    if (length > 1) await this.#disk.rename(path, this.#path(index, '.commit'))
    await this.#disk.syncDir(this.#folder.prepared)
    await this.finish(index)
  }

  /** Moves what was decided on; does nothing where nothing is left to move. Again after a failure, until it succeeds. */
  finish(index: StorageIndex): Promise<void> {
    return this.#move(index, this.#path(index, '.commit'))
  }

  /** All of it at once: of a part of it nobody could say what it was. One sync. */
  async abort(index: StorageIndex): Promise<void> {
    const part = this.#path(index, '.part')
    await this.#disk.rename(this.#path(index, ''), part).catch(unlessGone)
    await this.#disk.syncDir(this.#folder.prepared)
    await this.#folder.clear(part)
  }

  /** Ends what an earlier process had decided on or not ended writing, and gives the slots that it left undecided. */
  async recover(): Promise<StorageIndex[]> {
    const { prepared } = this.#folder
    const names = await this.#folder.names(prepared)
    for (const name of names) if (name.endsWith('.part')) await this.#folder.clear(join(prepared, name))
    const decided = names
      .filter(name => name.endsWith('.commit'))
      .map(name => name.slice(0, -'.commit'.length))
    for (const index of decided.filter(isIndex)) await this.finish(index)
    const left: StorageIndex[] = []
    for (const name of names.filter(isIndex))
      if ((await this.#files(join(prepared, name))).length > 0) left.push(name)
      else await this.#folder.drop(join(prepared, name))
    return left
  }

  /** The shares that wait for a decision on a slot. */
  async list(index: StorageIndex): Promise<number[]> {
    return (await this.#files(this.#path(index, ''))).map(({ share }) => share)
  }

  /** Bytes of a share as it would become; null where it would go. */
  async read(index: StorageIndex, share: number, start: number, end: number): Promise<Buffer | null> {
    const what = `prepared ${shareName(index, share)}`
    const found = (await this.#files(this.#path(index, ''))).find(each => each.share === share)
    if (found?.gone) return null
    const file = await this.#disk.open(join(this.#path(index, ''), String(share)), 'read')
    try {
      return await readData(await lookInto(file, what), start, end, what)
    } finally {
      await file.close()
    }
  }

  async #move(index: StorageIndex, from: string): Promise<void> {
    const files = await this.#files(from)
    const slot = this.#folder.slot(index)
    for (const { share, path, gone } of files) {
      const place = this.#folder.share(index, share)
      if (gone) await this.#disk.unlink(place).catch(unlessGone)
      else {
        await this.#folder.make(slot)
        await this.#disk.rename(path, place)
      }
      this.#shares.forget(index, share)
    }
    if (await isThere(this.#disk, slot)) await this.#disk.syncDir(slot)
    const markers = files.filter(({ gone }) => gone)
    for (const { path } of markers) await this.#disk.unlink(path).catch(unlessGone)
    if (markers.length > 0) await this.#folder.drop(slot)
    await this.#folder.drop(from)
    await this.#disk.syncDir(this.#folder.prepared)
  }

  /** What is in one of the directories, by share. */
  async #files(dir: string): Promise<{ share: number; path: string; gone: boolean }[]> {
    return (await this.#folder.names(dir))
      .map(name => {
        const gone = name.endsWith(GONE)
        return { share: shareOf(gone ? name.slice(0, -GONE.length) : name), path: join(dir, name), gone }
      })
      .filter((each): each is { share: number; path: string; gone: boolean } => each.share !== null)
      .sort((a, b) => a.share - b.share)
  }

  #path(index: StorageIndex, state: '' | '.part' | '.commit'): string {
    return join(this.#folder.prepared, `${index}${state}`)
  }
}

function unlessGone(err: unknown): void {
  if (errno(err) !== 'ENOENT') throw err
}
