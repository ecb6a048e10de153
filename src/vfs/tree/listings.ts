// How fresh what is known is. One listing answers lookup, attributes and listing of a
// directory; it is fresh for `ttl`, served while one refresh runs for twice as long again,
// and older waited for. When the grid cannot be reached the last one is served at any age.

import { codeOf, FsError } from '../../errors.ts'
import type { Grid, Listing } from '../../tahoe/grid.ts'
import { type Asker, waitFor } from '../ask.ts'
import type { FileId } from '../vfs.ts'
import type { Change } from './change.ts'
import { Folder } from './folder.ts'
import { alter, type Inode, later, setInode } from './inode.ts'
import { merge, type Proof } from './merge.ts'
import { Snapshot } from './snapshot.ts'
import type { Tree } from './tree.ts'

/** Milliseconds that a caller waits for a refresh when there is an older listing to give it. */
const RATHER_OLD = 4_000

/** How often a listing that our own edit overtook is asked for again. */
const MAX_OVERTAKEN = 5

export type ListingsOptions = {
  readonly tree: Tree
  readonly grid: Grid
  readonly asker: Asker
  /** Milliseconds for which a listing is fresh; Infinity: it is read once. */
  readonly ttl: number
  /** Hears of directories that were gone on the grid and are made again. */
  readonly onMadeAgain?: (dir: FileId, name: string, change: Change) => void
}

export class Listings {
  readonly #tree: Tree
  readonly #grid: Grid
  readonly #asker: Asker
  readonly #ttl: number
  readonly #onMadeAgain: (dir: FileId, name: string, change: Change) => void
  readonly #refreshing = new Map<FileId, Promise<Folder>>()
  /** Since when somebody has waited for the answer to a question. */
  readonly #asked = new WeakMap<Promise<unknown>, number>()

  constructor({ tree, grid, asker, ttl, onMadeAgain = () => {} }: ListingsOptions) {
    this.#tree = tree
    this.#grid = grid
    this.#asker = asker
    this.#ttl = ttl
    this.#onMadeAgain = onMadeAgain
  }

  /** A directory, as fresh as its age demands. */
  list(id: FileId, signal: AbortSignal | undefined): Promise<Folder> | Folder {
    const inode = this.#tree.directory(id)
    const folder = this.#tree.folder(id)
    if (!folder) return waitFor(this.#refresh(inode, 'insist'), signal, 'list a directory')
    const freshness = inode.cap?.mutable ? this.#freshness(folder.listedAt) : 'fresh'
    if (freshness === 'fresh') return folder
    if (this.#failedJustNow(folder)) return folder
    const refreshed = this.#refresh(inode, 'once')
    return freshness === 'stale'
      ? folder
      : waitFor(this.#patiently(refreshed, folder), signal, 'list a directory')
  }

  /** A directory at any age: what is changed in it is judged again when it is published. */
  known(id: FileId, signal: AbortSignal | undefined): Promise<Folder> | Folder {
    const inode = this.#tree.directory(id)
    return this.#tree.folder(id) ?? waitFor(this.#refresh(inode, 'insist'), signal, 'list a directory')
  }

  /** The inode that a name leads to, its size known. ENOENT only from a complete listing. */
  async find(dir: FileId, name: string, signal: AbortSignal | undefined): Promise<Inode> {
    for (;;) {
      const folder = await this.list(dir, signal)
      const found = folder.find(name)
      if (!found) throw new FsError('ENOENT', 'lookup')
      const inode = this.#tree.known(found.id)
      try {
        if (inode) return await this.sized(inode, signal)
      } catch (err) {
        if (codeOf(err) !== 'ESTALE') throw err
      }
      // The name went, or leads elsewhere, while this looked: then something newer is known.
      if (this.#tree.folder(dir)?.find(name)?.id === found.id)
        throw new FsError('EIO', 'lookup: its inode is lost')
    }
  }

  /** Sees that an inode's attributes are as fresh as the listing they come from. */
  async settle(id: FileId, signal: AbortSignal | undefined): Promise<Inode> {
    const inode = this.#tree.inode(id)
    if (inode.edges === 0) return inode // retained, and named by nobody
    if (inode.kind === 'directory') {
      if (this.#tree.folder(id)) await this.list(id, signal) // otherwise there is nothing newer to show
      return this.#tree.inode(id)
    }
    if (inode.local) return inode
    await this.list(inode.parent, signal)
    return this.sized(this.#tree.inode(id), signal)
  }

  /**
   * A mutable file's size and version, asked once per directory lifetime; anything else is known.
   * While the grid does not answer, what it said last will do: for content the version too, which
   * does not outlive this process.
   */
  async sized(
    inode: Inode,
    signal: AbortSignal | undefined,
    wanted: 'attributes' | 'content' = 'attributes',
  ): Promise<Inode> {
    const { cap, version } = inode
    if (!cap?.mutable || cap.type !== 'file') return inode
    const freshness = version ? this.#freshness(version.at) : 'old'
    if (freshness === 'fresh') return inode
    const asked = this.restat(inode)
    if (freshness === 'stale') {
      asked.catch(() => {}) // noted by the asker
      return inode
    }
    const enough = wanted === 'content' ? version !== null : inode.mark !== 0n
    await waitFor(enough ? this.#patiently(asked, undefined) : asked, signal, 'ask for a size')
    return this.#tree.inode(inode.id)
  }

  /** Asks the grid for a mutable file's size and version. */
  restat(inode: Inode): Promise<void> {
    return this.#asker.ask(`stat ${inode.id}`, 'ask for a size', async signal => {
      const { cap, version: before } = inode
      const { size, version } = await this.#grid.stat(cap!, { signal })
      // It is something else by now, or a version of ours came after this question.
      if (inode.cap !== cap || inode.local?.draft || inode.version !== before) return
      const mark = this.#tree.rows.mark(version)
      inode.version = { version, at: Date.now() }
      if (mark === inode.mark) return
      // Nothing was shown before the first answer; what is shown now differs from what was.
      const first = inode.mark === 0n
      const times = first ? {} : { mtime: later(inode.mtime), ctime: later(inode.ctime) }
      const change = this.#tree.change()
      alter(inode, { size, mark, ...times }, change)
      change.ops.push(setInode(inode))
      await this.#tree.commit(change)
    })
  }

  /**
   * Milliseconds for which an inode as it is known need not be asked for: those of the listing that it
   * comes from, or of a directory's own. Infinity where the grid cannot change it; 0 where it is due, or
   * what would tell is not in memory.
   */
  freshFor(id: FileId): number {
    const inode = this.#tree.present(id)
    if (!inode) return 0
    if (inode.edges === 0) return Number.POSITIVE_INFINITY // retained, and named by nobody
    if (inode.kind === 'directory') {
      const isListed = this.#tree.presentFolder(id) !== undefined
      return this.#listingFor(isListed ? inode : this.#tree.present(inode.parent))
    }
    const listing = this.#listingFor(this.#tree.present(inode.parent))
    if (!inode.cap?.mutable || inode.cap.type !== 'file' || inode.local?.draft) return listing
    return Math.min(listing, this.#left(inode.version?.at ?? null))
  }

  #listingFor(dir: Inode | undefined): number {
    if (dir?.cap?.mutable === false) return Number.POSITIVE_INFINITY
    const folder = dir && this.#tree.presentFolder(dir.id)
    if (!folder) return 0
    return dir.cap === null ? this.#ttl : this.#left(folder.listedAt) // once the grid has it, it is listed
  }

  /** Milliseconds until what was asked for then is fresh no more. */
  #left(at: number | null): number {
    return at === null ? 0 : Math.max(0, this.#ttl - Math.abs(Date.now() - at))
  }

  /** Merges a listing, shows it, and makes it durable. */
  async take(dir: Inode, listing: Listing, proof?: Proof, change = this.#tree.change()): Promise<Folder> {
    const folder = this.#tree.folder(dir.id) ?? new Folder(dir.id, new Snapshot([], 1n))
    merge(this.#tree, dir, folder, listing, change, proof)
    for (const { dir, name } of change.madeAgain) this.#onMadeAgain(dir, name, change)
    await this.#tree.during(folder, () => this.#tree.commit(change))
    return folder
  }

  #freshness(at: number | null): 'fresh' | 'stale' | 'old' {
    if (at === null) return 'old'
    // A clock that was set back must not make a listing young for ever.
    const age = Math.abs(Date.now() - at)
    return age < this.#ttl ? 'fresh' : age < 3 * this.#ttl ? 'stale' : 'old'
  }

  /** One listing from the grid at a time; `insist` asks until it answers, `once` leaves the next try to a later caller. */
  #refresh(dir: Inode, how: 'insist' | 'once'): Promise<Folder> {
    const running = this.#refreshing.get(dir.id)
    if (running) return running
    const list = async (signal: AbortSignal) => {
      for (let tries = 0; tries < MAX_OVERTAKEN; tries++) {
        const edits = this.#tree.folder(dir.id)?.edits
        const listing = await this.#grid.list(dir.cap!, { signal })
        const folder = this.#tree.folder(dir.id)
        // It began before what we know to be there, and would take it away again.
        if (folder?.edits === edits || !folder) return this.take(dir, listing)
      }
      return this.#tree.folder(dir.id)!
    }
    const asked =
      how === 'once'
        ? this.#asker.once(`list ${dir.id}`, list)
        : this.#asker.ask(`list ${dir.id}`, 'list a directory', list)
    const refreshing = asked
      .catch((err: unknown) => {
        const folder = this.#tree.folder(dir.id)
        if (folder) {
          folder.failures++
          folder.failedAt = performance.now()
        }
        throw err
      })
      .finally(() => this.#refreshing.delete(dir.id))
    refreshing.catch(() => {}) // whoever waits hears of it, and the asker has noted it
    this.#refreshing.set(dir.id, refreshing)
    return refreshing
  }

  /** Whether the grid was out of reach a moment ago; the moments grow. */
  #failedJustNow({ failures, failedAt }: Folder): boolean {
    const { delays } = this.#asker.patience
    return failures > 0 && performance.now() - failedAt < (delays[Math.min(failures, delays.length) - 1] ?? 0)
  }

  /** What was asked for, or what there was before when it fails, or was asked for some time ago. */
  async #patiently<T>(asked: Promise<T>, before: T): Promise<T> {
    const since = this.#asked.get(asked) ?? performance.now()
    this.#asked.set(asked, since)
    const left = since + RATHER_OLD - performance.now()
    asked.catch(() => {}) // the asker has noted it
    if (left <= 0) return before
    let timer: NodeJS.Timeout
    const enough = new Promise<T>(resolve => {
      timer = setTimeout(() => resolve(before), left)
    })
    return Promise.race([asked.catch(() => before), enough]).finally(() => clearTimeout(timer))
  }
}
