// An immutable share while it is written. Its header goes with the first bytes and its lease with
// the last, so that a share that comes in one piece is one write.
//
// A close costs two syncs one after the other, of the file and of the slot's directory; where that
// directory is new, its own name is made durable beside the first.

import { FsError } from '../../errors.ts'
import { refused, type ShareDisk, type ShareFile } from './disk.ts'
import type { Folder } from './folder.ts'
import { IMMUTABLE_HEADER, immutableSize } from './immutable-container.ts'
import type { Berth, Incoming } from './incoming.ts'
import { type OpenShares, shareName } from './open-shares.ts'
import { Ranges } from './ranges.ts'
import type { Room } from './room.ts'
import type { ShareWriter, StorageIndex } from './server.ts'

/** Bytes after which what was written is synced while more comes: neither the close nor anybody else's write then waits for all of it. */
const SYNC_EVERY = 32 << 20

export type WriterWorld = {
  readonly folder: Folder
  readonly disk: ShareDisk
  readonly room: Room
  readonly incoming: Incoming
  readonly shares: OpenShares
}

export class ImmutableWriter implements ShareWriter {
  readonly #world: WriterWorld
  readonly #index: StorageIndex
  readonly #share: number
  readonly #size: number
  readonly #head: Buffer
  readonly #lease: Buffer
  readonly #over: boolean
  readonly #onEnd: (writer: ImmutableWriter) => void
  readonly #there = new Ranges()
  #opened: Promise<{ berth: Berth; file: ShareFile }> | null = null
  /** Of what `room` promised, bytes that are not on the disk. */
  #promised: number
  /** Bytes since the last sync was begun, and that sync. What failed there must not be forgotten: the next would not say it again. */
  #unsynced = 0
  #syncing: Promise<void> = Promise.resolve()
  #closing: Promise<void> | null = null
  #ended: Promise<void> | null = null

  /**
   * `room` has promised the whole container; `head` and `lease` are what stands around the data.
   * `over`: it takes the place of a share that is there, and else gives way to one that is whole.
   */
  constructor(
    world: WriterWorld,
    at: { index: StorageIndex; share: number },
    container: { size: number; head: Buffer; lease: Buffer; over?: boolean },
    onEnd: (writer: ImmutableWriter) => void,
  ) {
    this.#world = world
    this.#index = at.index
    this.#share = at.share
    this.#size = container.size
    this.#head = container.head
    this.#lease = container.lease
    this.#over = container.over ?? false
    this.#onEnd = onEnd
    this.#promised = immutableSize(container.size, 1)
  }

  async write(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    const what = `write ${this.#name}`
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    const end = offset + length
    if (!Number.isSafeInteger(offset) || offset < 0 || end > this.#size)
      throw new FsError('EINVAL', `${what}: ${length} bytes at ${offset} are not within its ${this.#size}`)
    if (this.#closing || this.#ended) throw new FsError('EINVAL', `${what}: it was closed or given up`)
    if (length === 0) return
    try {
      const { file } = await this.#open()
      const first = offset === 0
      const last = end === this.#size
      const whole = [...(first ? [this.#head] : []), ...parts, ...(last ? [this.#lease] : [])]
      await file.write(whole, first ? 0 : IMMUTABLE_HEADER + offset)
      this.#unsynced += length
      if (this.#unsynced >= SYNC_EVERY) await this.#syncMeanwhile(file)
    } catch (err) {
      await this.abort()
      throw refused(what, err)
    }
    const before = this.#there.bytes
    this.#there.add(offset, end)
    this.#took(this.#there.bytes - before)
  }

  /** Begins a sync once the one before has ended. */
  async #syncMeanwhile(file: ShareFile): Promise<void> {
    this.#unsynced = 0
    await this.#syncing
    this.#syncing = file.sync()
    this.#syncing.catch(() => {}) // whoever comes next hears of it
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async abort(): Promise<void> {
    if (this.#closing) await this.#closing.catch(() => {})
    await this.#end()
  }

  async #close(): Promise<void> {
    const what = `close ${this.#name}`
    if (this.#ended) throw new FsError('EINVAL', `${what}: it was given up`)
    if (!this.#there.has(0, this.#size)) {
      await this.#end()
      throw new FsError('EINVAL', `${what}: ${this.#there.bytes} of its ${this.#size} bytes were written`)
    }
    try {
      const { folder, disk, incoming } = this.#world
      const { berth, file } = await this.#open()
      if (this.#size === 0) await file.write([this.#head, this.#lease], 0)
      const slot = folder.slot(this.#index)
      await this.#syncing
      await Promise.all([file.sync(), folder.make(slot)])
      // Whoever came first has the same bytes. Its name may not be durable yet.
      if (!this.#over && (await this.#isThere())) await disk.syncDir(slot)
      else await incoming.land(berth)
    } catch (err) {
      throw refused(what, err)
    } finally {
      await this.#end()
    }
  }

  /** Whether the share is there, in a container that is whole as far as that can be seen. */
  async #isThere(): Promise<boolean> {
    try {
      const { release } = await this.#world.shares.hold(this.#index, this.#share)
      release()
      return true
    } catch (err) {
      if (err instanceof FsError && ['ENOENT', 'EIO'].includes(err.code)) return false
      throw err
    }
  }

  #open(): Promise<{ berth: Berth; file: ShareFile }> {
    return (this.#opened ??= this.#openNew())
  }

  async #openNew(): Promise<{ berth: Berth; file: ShareFile }> {
    const { incoming, disk } = this.#world
    const berth = await incoming.enter(this.#index, this.#share)
    try {
      return { berth, file: await disk.open(berth.path, 'new') }
    } catch (err) {
      await incoming.leave(berth)
      throw err
    }
  }

  /** Once, whatever the end is: nothing of it stays open or promised, or below `incoming`. */
  #end(): Promise<void> {
    return (this.#ended ??= this.#cleared())
  }

  async #cleared(): Promise<void> {
    const opened = await this.#opened?.catch(() => null)
    if (opened) {
      await this.#syncing.catch(() => {})
      await opened.file.close().catch(() => {}) // it was synced, or is removed now
      await this.#world.incoming.leave(opened.berth)
    }
    this.#world.room.release(this.#promised)
    this.#promised = 0
    this.#onEnd(this)
  }

  #took(bytes: number): void {
    if (this.#ended) return
    this.#promised -= bytes
    this.#world.room.took(bytes)
  }

  get #name(): string {
    return shareName(this.#index, this.#share)
  }
}
