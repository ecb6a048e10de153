// Where things stand in a folder of shares: as in the folder of a Tahoe storage node, and beside
// that what a node does not have and does not look at.
//
//   my_nodeid                                    base32
//   storage/shares/SI[:2]/SI/N                   a share
//   storage/shares/incoming/SI[:2]/SI/N          a share on its way; worth nothing to the next process
//   storage/corruption-advisories/
//   storage/prepared/SI/N                        what replaces a share once that is decided (prepared.ts)
//   storage/tahoe-nfs.lock                       locked while somebody has the folder open

import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import { LRUCache } from 'lru-cache'
import { FsError } from '../../errors.ts'
import { decode, encode } from '../format/base32.ts'
import { errno, isThere, refused, type ShareDisk } from './disk.ts'
import type { StorageIndex } from './server.ts'

export const ID_BYTES = 20

/** Share numbers are below this. */
export const SHARES_MAX = 256

/** EINVAL unless it is the base32 of 16 bytes: only then may it become a path. */
export function checkIndex(index: StorageIndex): void {
  if (typeof index !== 'string' || index.length !== 26 || decode(index) === null)
    throw new FsError('EINVAL', 'what was given is no storage index')
}

export function checkShare(share: number): void {
  if (!Number.isInteger(share) || share < 0 || share >= SHARES_MAX)
    throw new FsError('EINVAL', `there is no share number ${share}`)
}

/** The share number that a file is called by, or null when it is called otherwise. */
export const shareOf = (name: string): number | null =>
  /^(0|[1-9]\d{0,2})$/.test(name) && Number(name) < SHARES_MAX ? Number(name) : null

export const isIndex = (name: string): boolean => name.length === 26 && decode(name) !== null

export class Folder {
  readonly dir: string
  readonly storage: string
  readonly shares: string
  readonly incoming: string
  readonly prepared: string
  readonly advisories: string
  readonly #disk: ShareDisk
  /** Directories whose own names this process knows to be durable, or is making so. */
  readonly #durable = new LRUCache<string, Promise<void>>({ max: 2000 })

  constructor(dir: string, disk: ShareDisk) {
    this.dir = dir
    this.storage = join(dir, 'storage')
    this.shares = join(this.storage, 'shares')
    this.incoming = join(this.shares, 'incoming')
    this.prepared = join(this.storage, 'prepared')
    this.advisories = join(this.storage, 'corruption-advisories')
    this.#disk = disk
  }

  slot(index: StorageIndex): string {
    return join(this.shares, index.slice(0, 2), index)
  }

  share(index: StorageIndex, share: number): string {
    return join(this.slot(index), String(share))
  }

  incomingSlot(index: StorageIndex): string {
    return join(this.incoming, index.slice(0, 2), index)
  }

  /**
   * Makes a directory below this folder and those above it, durably. One that was there is
   * synced once as well: whoever made it may not have come that far.
   */
  make(path: string): Promise<void> {
    const found = this.#durable.get(path)
    if (found) return found
    const making = this.#make(path)
    this.#durable.set(path, making)
    making.catch(() => this.#forget(path, making))
    return making
  }

  async #make(path: string): Promise<void> {
    if (path !== this.dir) await this.make(dirname(path))
    if (path === this.dir) return await this.#makeOutermost(path)
    await makeOne(this.#disk, path)
    await this.#disk.syncDir(dirname(path))
  }

  /** The folder itself: what is above it is synced where that is ours to make. */
  async #makeOutermost(path: string): Promise<void> {
    const missing: string[] = []
    for (let at = path; !(await isThere(this.#disk, at)) && dirname(at) !== at; at = dirname(at))
      missing.unshift(at)
    for (const each of missing) {
      await makeOne(this.#disk, each)
      await this.#disk.syncDir(dirname(each))
    }
  }

  /** Makes a directory and the one above it, which the next process need not find. */
  async makeForNow(path: string): Promise<void> {
    try {
      await makeOne(this.#disk, path)
    } catch (err) {
      if (errno(err) !== 'ENOENT') throw err
      await makeOne(this.#disk, dirname(path))
      await makeOne(this.#disk, path)
    }
  }

  /** Removes a directory if it is empty; it may be made again. */
  async drop(path: string): Promise<void> {
    this.#durable.delete(path)
    await this.#disk.rmdir(path).catch((err: unknown) => {
      if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(errno(err) ?? '')) throw err
    })
  }

  #forget(path: string, making: Promise<void>): void {
    if (this.#durable.peek(path) === making) this.#durable.delete(path)
  }

  /** Someone removed a directory while it was being used. */
  forget(path: string): void {
    this.#durable.delete(path)
  }

  /** The names in a directory; none where it is not there. */
  async names(path: string): Promise<readonly string[]> {
    try {
      return await this.#disk.list(path)
    } catch (err) {
      if (errno(err) === 'ENOENT') return []
      throw err
    }
  }

  /** The shares under an index, in order. */
  async list(index: StorageIndex): Promise<number[]> {
    const names = await this.names(this.slot(index))
    return names
      .map(shareOf)
      .filter(share => share !== null)
      .sort((a, b) => a - b)
  }

  /** Removes a directory and all that is below it. */
  async clear(path: string): Promise<void> {
    for (const name of await this.names(path)) {
      const each = join(path, name)
      try {
        await this.#disk.unlink(each)
      } catch (err) {
        if (!['EISDIR', 'EPERM'].includes(errno(err) ?? '')) throw err // EPERM is macOS's word for a directory
        await this.clear(each)
      }
    }
    await this.drop(path)
  }

  /**
   * The id of this folder, which is made when it has none and then never changes: write enablers
   * hang on it. EIO when what is there is none, EINVAL when it is not the one that was asked for.
   */
  async id(wanted?: Buffer): Promise<Buffer> {
    const path = join(this.dir, 'my_nodeid')
    const text = await this.#text(path)
    if (text === null) return await this.#makeId(path, wanted ?? randomBytes(ID_BYTES))
    const id = decode(text.trim())
    if (id?.length !== ID_BYTES)
      throw new FsError('EIO', 'the file my_nodeid is damaged; without the id no share here can be changed')
    if (wanted && !wanted.equals(id))
      throw new FsError(
        'EINVAL',
        `${this.dir} has another id than it had here: a Tahoe node may have written its own into my_nodeid`,
      )
    return id
  }

  async #makeId(path: string, id: Buffer): Promise<Buffer> {
    if (id.length !== ID_BYTES)
      throw new FsError('EINVAL', `an id of ${id.length} bytes instead of ${ID_BYTES}`)
    const beside = `${path}.new`
    await this.#disk.unlink(beside).catch(() => {})
    const file = await this.#disk.open(beside, 'new')
    try {
      await file.write([Buffer.from(`${encode(id)}\n`)], 0)
      await file.sync()
    } finally {
      await file.close()
    }
    await this.#disk.rename(beside, path)
    await this.#disk.syncDir(this.dir)
    return id
  }

  async #text(path: string): Promise<string | null> {
    try {
      const file = await this.#disk.open(path, 'read')
      try {
        const bytes = Buffer.alloc(64)
        return bytes.toString('latin1', 0, await file.read(bytes, 0))
      } finally {
        await file.close()
      }
    } catch (err) {
      if (errno(err) === 'ENOENT') return null
      throw err
    }
  }

  /** Takes the lock. EACCES when another process has the folder open. */
  lock(): () => void {
    try {
      return this.#disk.lock(join(this.storage, 'tahoe-nfs.lock'))
    } catch (err) {
      if ((err as { errcode?: number }).errcode !== SQLITE_BUSY)
        throw refused('lock the folder of shares', err)
      throw new FsError('EACCES', `the shares in ${this.dir} are in use by another process`, { cause: err })
    }
  }
}

const SQLITE_BUSY = 5

async function makeOne(disk: ShareDisk, path: string): Promise<void> {
  await disk.mkdir(path).catch((err: unknown) => {
    if (errno(err) !== 'EEXIST') throw err
  })
}
