// What the kernel holds of ours, and what it must be told to let go of because somebody else
// changed it: another frontend, or somebody on the grid.
//
// Telling it waits for locks that the kernel's own requests hold while they wait for us: so it is
// done on threads, by two hands, one for names and one for contents, and never while an answer
// is owed by whoever tells.

import type { FileId, News } from '../vfs/vfs.ts'
import * as k from './protocol.ts'

/** Its code, a struct of fuse_notify_…, and what follows that. */
export type Notice = { readonly code: number; readonly body: Buffer }

export type NoticesOptions = {
  readonly nodeId: (id: FileId) => bigint
  /** Hands a notice to the kernel, and returns when it has been heard. */
  readonly tell: (notice: Notice) => Promise<void>
}

export class Notices {
  readonly #nodeId: (id: FileId) => bigint
  readonly #tell: (notice: Notice) => Promise<void>
  /** How often the kernel was led to an inode, less how often it forgot. */
  readonly #held = new Map<FileId, number>()
  readonly #names = new Map<FileId, Set<string>>()
  /** Inodes of which attributes are to be forgotten, or with `true` bytes (or a listing) too. */
  readonly #inodes = new Map<FileId, boolean>()
  #telling: { names: Promise<void> | null; inodes: Promise<void> | null } = { names: null, inodes: null }
  #inode: FileId | null = null
  #ended = false

  constructor({ nodeId, tell }: NoticesOptions) {
    this.#nodeId = nodeId
    this.#tell = tell
  }

  /** Inodes that the kernel holds. */
  get size(): number {
    return this.#held.size
  }

  looked(id: FileId): void {
    this.#held.set(id, (this.#held.get(id) ?? 0) + 1)
  }

  forget(id: FileId, times: bigint): void {
    const left = (this.#held.get(id) ?? 0) - Number(times)
    if (left > 0) this.#held.set(id, left)
    else this.#held.delete(id)
  }

  /** Whether the kernel has been told all there is to tell of an inode's bytes. */
  isTold(id: FileId): boolean {
    return this.#inodes.get(id) !== true && this.#inode !== id
  }

  /** Something changed that the kernel has not changed itself. */
  hear(news: News): void {
    if (this.#ended) return
    const id = news.what === 'name' ? news.dir : news.id
    if (!this.#holds(id)) return
    if (news.what === 'name') {
      let names = this.#names.get(id)
      if (!names) this.#names.set(id, (names = new Set()))
      names.add(news.name)
    }
    this.#inodes.set(id, this.#inodes.get(id) === true || news.what !== 'attributes')
    // Not in the turn of the change: what else changes with it comes first.
    this.#telling.names ??= this.#names.size > 0 ? this.#tellNames() : null
    this.#telling.inodes ??= this.#tellInodes()
  }

  /** Tells nothing more, and waits for what is being told. */
  async end(): Promise<void> {
    this.#ended = true
    this.#names.clear()
    this.#inodes.clear()
    await Promise.all([this.#telling.names, this.#telling.inodes])
  }

  #holds(id: FileId): boolean {
    return this.#held.has(id) || this.#nodeId(id) === k.FUSE_ROOT_ID
  }

  async #tellNames(): Promise<void> {
    await turn()
    for (let dir = first(this.#names); dir !== undefined; dir = first(this.#names)) {
      const names = this.#names.get(dir)!
      this.#names.delete(dir)
      for (const name of names) if (!this.#ended) await this.#tell(entryNotice(this.#nodeId(dir), name))
    }
    this.#telling.names = null
  }

  async #tellInodes(): Promise<void> {
    await turn()
    for (let id = first(this.#inodes); id !== undefined; id = first(this.#inodes)) {
      const bytes = this.#inodes.get(id)!
      this.#inodes.delete(id)
      if (!this.#holds(id)) continue
      this.#inode = bytes ? id : null
      await this.#tell(inodeNotice(this.#nodeId(id), bytes))
      this.#inode = null
    }
    this.#telling.inodes = null
  }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

const first = <K>(map: ReadonlyMap<K, unknown>): K | undefined => map.keys().next().value

function entryNotice(parent: bigint, name: string): Notice {
  const head = k.fuse_notify_inval_entry_out
  const text = Buffer.from(name)
  const body = Buffer.alloc(head.bytes + text.length + 1)
  head.write(body, 0, { parent, namelen: text.length, flags: 0 })
  text.copy(body, head.bytes)
  return { code: k.FUSE_NOTIFY_INVAL_ENTRY, body }
}

function inodeNotice(ino: bigint, bytes: boolean): Notice {
  const head = k.fuse_notify_inval_inode_out
  const body = Buffer.alloc(head.bytes)
  head.write(body, 0, { ino, off: bytes ? 0n : -1n, len: 0n })
  return { code: k.FUSE_NOTIFY_INVAL_INODE, body }
}
