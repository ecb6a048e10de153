// Shares that are open for reading. To open one costs an open, an fstat and a read of what stands
// before the data; the most recently used stay open, so that a read then is one read of the disk.
//
// A share that is replaced or removed must be forgotten here. Who reads the old one meanwhile
// goes on reading the old one.

import { LRUCache } from 'lru-cache'
import { FsError } from '../../errors.ts'
import { refused, type ShareDisk, type ShareFile } from './disk.ts'
import type { Folder } from './folder.ts'
import { IMMUTABLE_HEADER, type ImmutableHeader, parseImmutableHeader } from './immutable-container.ts'
import {
  MUTABLE_HEADER,
  type MutableHeader,
  mutableVersion,
  parseMutableHeader,
} from './mutable-container.ts'
import type { StorageIndex } from './server.ts'

/** A container, looked into. `size` is the file's, in bytes. */
export type Container = { readonly file: ShareFile; readonly size: number } & (
  | { readonly kind: 'immutable'; readonly header: ImmutableHeader }
  | { readonly kind: 'mutable'; readonly header: MutableHeader }
)

export type MutableContainer = Container & { readonly kind: 'mutable' }

/** A container that stays open until it is released; twice is once. */
export type Held = { readonly container: Container; release(): void }

/** Bytes of one read. */
export const READ_MAX = 256 << 20

export const shareName = (index: StorageIndex, share: number): string => `share ${share} of ${index}`

/** Looks into what `file` holds; EIO when that is no container. */
export async function lookInto(file: ShareFile, what: string): Promise<Container> {
  const size = await file.size()
  const head = Buffer.allocUnsafe(Math.min(size, MUTABLE_HEADER))
  const bytes = head.subarray(0, await file.read(head, 0))
  return mutableVersion(bytes)
    ? { file, size, kind: 'mutable', header: parseMutableHeader(bytes, size, what) }
    : { file, size, kind: 'immutable', header: parseImmutableHeader(bytes, size, what) }
}

/** The bytes `start` to `end` of the data, fewer where it ends before. EINVAL for more than READ_MAX of them. */
export async function readData(
  container: Container,
  start: number,
  end: number,
  what: string,
): Promise<Buffer> {
  const { file, header } = container
  const stop = Math.min(end, header.length)
  if (!(start >= 0) || stop <= start) return Buffer.alloc(0)
  if (stop - start > READ_MAX) throw new FsError('EINVAL', `${what}: a read of ${stop - start} bytes at once`)
  const bytes = Buffer.allocUnsafe(stop - start)
  const got = await file.read(
    bytes,
    (container.kind === 'mutable' ? MUTABLE_HEADER : IMMUTABLE_HEADER) + start,
  )
  if (got < bytes.length) throw new FsError('EIO', `${what} is damaged: it ended while it was read`)
  return bytes
}

type Entry = { readonly opened: Promise<Container>; users: number; dropped: boolean }

export class OpenShares {
  readonly #folder: Folder
  readonly #disk: ShareDisk
  readonly #entries: LRUCache<string, Entry>

  /** `most` of them stay open besides those in use. */
  constructor(folder: Folder, disk: ShareDisk, most = 256) {
    this.#folder = folder
    this.#disk = disk
    this.#entries = new LRUCache<string, Entry>({
      max: most,
      dispose: entry => {
        entry.dropped = true
        closeUnused(entry)
      },
    })
  }

  /** The share, open. ENOENT when it is not there, EIO when it is damaged. */
  async hold(index: StorageIndex, share: number): Promise<Held> {
    const path = this.#folder.share(index, share)
    let entry = this.#entries.get(path)
    if (!entry) {
      entry = { opened: this.#open(path, shareName(index, share)), users: 0, dropped: false }
      this.#entries.set(path, entry)
    }
    entry.users += 1
    const release = once(() => {
      entry.users -= 1
      closeUnused(entry)
    })
    try {
      return { container: await entry.opened, release }
    } catch (err) {
      release()
      if (this.#entries.peek(path) === entry) this.#entries.delete(path)
      throw err
    }
  }

  forget(index: StorageIndex, share: number): void {
    this.#entries.delete(this.#folder.share(index, share))
  }

  close(): void {
    this.#entries.clear()
  }

  async #open(path: string, what: string): Promise<Container> {
    let file: ShareFile
    try {
      file = await this.#disk.open(path, 'read')
    } catch (err) {
      throw refused(what, err)
    }
    try {
      return await lookInto(file, what)
    } catch (err) {
      await file.close()
      throw refused(what, err)
    }
  }
}

function closeUnused(entry: Entry): void {
  if (!entry.dropped || entry.users > 0) return
  entry.opened.then(({ file }) => file.close()).catch(() => {}) // nothing was written through it
}

function once(act: () => void): () => void {
  let done = false
  return () => {
    if (!done) act()
    done = true
  }
}
