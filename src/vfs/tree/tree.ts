// Inodes and folders as they are in memory and in the database. A change is made in memory
// in one turn of the event loop and written down behind it, in the order of the changes:
// what a caller is told of is awaited first, and the disk always holds some earlier moment.

import { randomBytes } from 'node:crypto'
import { FsError } from '../../errors.ts'
import type { Cap } from '../../tahoe/cap.ts'
import { nameKey } from '../names.ts'
import type { Op } from '../state/schema.ts'
import type { State } from '../state/state.ts'
import type { FileId, News } from '../vfs.ts'
import { Change } from './change.ts'
import { Folder } from './folder.ts'
import { Folders } from './folders.ts'
import { addInode, alter, type Inode, inodeOf, now, ROOT, setPlace } from './inode.ts'
import { rest } from './intents.ts'
import { Links } from './links.ts'
import { Watch } from './news.ts'
import { Rows } from './rows.ts'
import { Snapshot } from './snapshot.ts'

const MAX_EDGES = 300_000

export type TreeOptions = {
  /** Names that are held in memory, of directories in which nothing waits. */
  readonly maxEdges?: number
  /** Hears of a change that could not be made durable: what is in memory is then more than the disk has. */
  readonly failed?: (err: unknown) => void
}

export class Tree {
  readonly root = ROOT
  readonly state: State
  readonly rows: Rows
  readonly #watch = new Watch()
  readonly #failed: (err: unknown) => void
  readonly #inodes = new Map<FileId, Inode>()
  /** Inodes that are gone, as far as the database does not know it yet. */
  readonly #leaving = new Set<FileId>()
  /** Directories by their locator that the database does not know yet. */
  readonly #arriving = new Map<string, FileId>()
  readonly #retained = new Map<FileId, number>()
  readonly #links: Links
  readonly #folders: Folders
  #lastId: FileId

  constructor(state: State, root: Cap, { maxEdges = MAX_EDGES, failed = () => {} }: TreeOptions = {}) {
    this.state = state
    this.#failed = failed
    this.rows = new Rows(state)
    this.#folders = new Folders(maxEdges, folder => this.#forget(folder))
    this.#links = new Links(state)
    this.#lastId = (state.get("SELECT value FROM meta WHERE key = 'lastId'")?.['value'] as bigint) ?? ROOT
    const row = state.get('SELECT * FROM inode WHERE id = ?', ROOT)
    if (row) this.#inodes.set(ROOT, { ...inodeOf(row), cap: root })
  }

  /** Makes the root's inode when this state is new. */
  async start(root: Cap): Promise<void> {
    if (this.#inodes.has(ROOT)) return
    const time = now()
    const writable = root.authority === 'write'
    const inode: Inode = {
      id: ROOT,
      generation: randomBytes(8).readBigUInt64BE(),
      kind: 'directory',
      mode: writable ? 0o700 : 0o500,
      size: 0,
      atime: time,
      mtime: time,
      ctime: time,
      writable,
      parent: ROOT,
      edges: 1,
      cap: root,
      mark: 0n,
      version: null,
      createverf: null,
      key: null,
      publishedAt: 0,
      local: null,
    }
    const change = this.change()
    this.add(inode, change)
    change.ops.push(['setMeta', 'lastId', ROOT])
    await this.commit(change)
  }

  watch(listener: (news: News) => void): () => void {
    return this.#watch.add(listener)
  }

  /** A change that begins, in the turn in which it is made and committed. `by`: whose call it is. */
  change(by?: object): Change {
    return new Change(this.#watch.begin(), by)
  }

  /** Tells of a change and makes it durable. It is made in memory already: nobody else may come before it. */
  async commit({ ops, after, before, by }: Change): Promise<void> {
    if (before) this.#watch.tell(before, by, id => !this.nameless(id)?.edges)
    await this.write(ops)
    for (const each of after) each()
  }

  /** Writes down what nobody is shown. */
  async write(ops: readonly Op[]): Promise<void> {
    try {
      await this.state.commit(ops)
    } catch (err) {
      this.#failed(err)
      throw err
    }
  }

  /** The inode of an id, without asking the grid. ESTALE when there is none, or none any more. */
  inode(id: FileId): Inode {
    const inode = this.known(id)
    if (!inode) throw new FsError('ESTALE', `inode ${id}`)
    return inode
  }

  /** The same; undefined when there is none, or none any more. */
  known(id: FileId): Inode | undefined {
    const inode = this.#inodes.get(id) ?? this.#load(id)
    return inode && (inode.edges > 0 || this.#retained.has(id)) ? inode : undefined
  }

  /** The same, also of a directory that has no name any more. */
  nameless(id: FileId): Inode | undefined {
    return this.#inodes.get(id) ?? this.#load(id)
  }

  /** The same, as far as it is in memory: nothing is read for it. */
  present(id: FileId): Inode | undefined {
    const inode = this.#inodes.get(id)
    return inode && (inode.edges > 0 || this.#retained.has(id)) ? inode : undefined
  }

  /** A folder, as far as it is in memory; null when one was, and made room; undefined when none was. */
  presentFolder(id: FileId): Folder | null | undefined {
    return this.#folders.peek(id)
  }

  /** The inode of a directory; ENOTDIR for anything else. */
  directory(id: FileId): Inode {
    const inode = this.inode(id)
    if (inode.kind !== 'directory') throw new FsError('ENOTDIR', `inode ${id}`)
    return inode
  }

  /** A directory as it was last seen; undefined when it never was. */
  folder(id: FileId): Folder | undefined {
    const held = this.#folders.get(id)
    if (held) return held
    const row = this.state.get('SELECT cap IS NULL AS fresh, listing, next FROM directory WHERE id = ?', id)
    if (!row) return undefined
    const listing = row['listing']
    if (!(listing instanceof Uint8Array))
      return row['fresh'] === 1n ? this.begin(id, row['next'] as bigint) : undefined
    const folder = new Folder(id, this.rows.openListing(id, listing), row['next'] as bigint)
    folder.known = true
    this.adopt(folder)
    return this.keep(folder)
  }

  /** Holds a folder for as long as `work` takes: it is the one that is changed. */
  async during<T>(folder: Folder, work: () => Promise<T>): Promise<T> {
    folder.writing++
    this.keep(folder)
    try {
      return await work()
    } finally {
      folder.writing--
      if (this.nameless(folder.id)) this.keep(folder)
    }
  }

  /** The folder of a directory that is new here, and empty. */
  begin(id: FileId, next = 1n): Folder {
    const folder = new Folder(id, new Snapshot([], next), next)
    folder.known = true
    return this.keep(folder)
  }

  /** The folders with names that the grid does not have yet as they are here. */
  get pending(): Iterable<Folder> {
    return this.#folders.pinned
  }

  /** Inodes that somebody uses, whether they have a name or not. */
  get retained(): Inode[] {
    return [...this.#retained.keys()].flatMap(id => this.#inodes.get(id) ?? [])
  }

  /** Holds a folder: for good while it has intents or is being written down, else as long as there is room. */
  keep(folder: Folder): Folder {
    return this.#folders.keep(folder)
  }

  /** Brings the inodes that a folder's snapshot shows into memory. */
  adopt(folder: Folder): void {
    const rows = new Map(
      this.state
        .all('SELECT * FROM inode WHERE parent = ?', folder.id)
        .map(row => [row['id'] as bigint, row]),
    )
    for (const edge of folder.snapshot.edges) {
      if (!folder.shows(edge)) continue
      let inode = this.#inodes.get(edge.id)
      if (!inode) {
        const row = rows.get(edge.id) ?? this.state.get('SELECT * FROM inode WHERE id = ?', edge.id)
        if (!row) continue
        this.#inodes.set(edge.id, (inode = inodeOf(row)))
        inode.key = nameKey(edge.name)
      }
      if (inode.local) continue // it knows better
      if (inode.kind !== 'directory' || !inode.cap || inode.cap.authority !== 'write') inode.cap = edge.cap
    }
  }

  /** A new id, and what must not be guessed of its handle. */
  draw(): { id: FileId; generation: bigint } {
    return { id: ++this.#lastId, generation: randomBytes(8).readBigUInt64BE() }
  }

  get lastId(): FileId {
    return this.#lastId
  }

  /** An inode that is new here. */
  add(inode: Inode, change: Change): void {
    this.#inodes.set(inode.id, inode)
    const directory = inode.kind === 'directory'
    const locator = directory && inode.cap ? this.#arrives(inode.id, inode.cap, change) : null
    change.ops.push(addInode(inode, locator))
    if (directory)
      change.ops.push(['addDirectory', inode.id, inode.cap && this.rows.cap(inode.id, inode.cap)])
  }

  /** A directory of ours is on the grid. */
  arrived(inode: Inode, cap: Cap, change: Change): void {
    inode.cap = cap
    change.ops.push(
      ['setDirectoryCap', this.rows.cap(inode.id, cap), inode.id],
      ['setLocator', this.#arrives(inode.id, cap, change), inode.id],
      this.rows.listing(this.folder(inode.id)!), // it is known, though nobody has listed it
    )
  }

  #arrives(id: FileId, cap: Cap, { after }: Change): Uint8Array {
    const locator = this.rows.locator(cap)
    const key = locator.toString('hex')
    this.#arriving.set(key, id)
    after.push(() => this.#arriving.delete(key))
    return locator
  }

  /** An inode that is known here by itself, from its row; undefined when it has no name. */
  restored(id: FileId): Inode | undefined {
    const row = this.#inodes.has(id) ? undefined : this.state.get('SELECT * FROM inode WHERE id = ?', id)
    const inode = row && inodeOf(row)
    if (inode && inode.kind !== 'directory') this.#inodes.set(id, inode)
    return this.known(id)
  }

  /** The inode of a directory that is known already, wherever it hangs. */
  locate(cap: Cap): Inode | undefined {
    const locator = this.rows.locator(cap)
    const found =
      this.#arriving.get(locator.toString('hex')) ??
      (this.state.get('SELECT id FROM inode WHERE locator = ?', locator)?.['id'] as FileId | undefined)
    return found === undefined ? undefined : this.nameless(found)
  }

  /** The names that lead to an inode, with their folders. */
  *namesOf(inode: Inode): Generator<{ folder: Folder; key: string }> {
    for (const dir of this.#links.dirs(inode)) {
      const folder = this.folder(dir)
      if (!folder) continue
      if (inode.edges === 1 && inode.key !== null && folder.find(inode.key)?.id === inode.id) {
        yield { folder, key: inode.key }
        return
      }
      for (const key of folder.namesOf(inode.id)) yield { folder, key: (inode.key = key) }
    }
  }

  /** `dir` names the inode once more; the folder shows it already. `parent`: where a directory's `..` leads from now on. */
  named(inode: Inode, dir: FileId, change: Change, parent = dir): void {
    alter(inode, { edges: inode.edges + 1 }, change)
    this.#links.named(inode, dir, change)
    if (inode.edges === 1 || inode.kind === 'directory') inode.parent = parent
    change.ops.push(setPlace(inode))
  }

  /** `folder` names the inode once less, and does not show that name any more. */
  unnamed(inode: Inode, folder: Folder, change: Change): void {
    alter(inode, { edges: inode.edges - 1 }, change)
    if (inode.edges === 0) this.#gone(inode, change)
    else {
      this.#links.unnamed(inode, folder, change)
      rest(this, inode, change)
    }
    change.ops.push(setPlace(inode))
  }

  retain(id: FileId): void {
    this.inode(id)
    this.#retained.set(id, (this.#retained.get(id) ?? 0) + 1)
  }

  /** The inode whose last holder this was. */
  release(id: FileId): Inode | null {
    const count = this.#retained.get(id)
    if (count === undefined) throw new Error('released more often than retained')
    if (count > 1) {
      this.#retained.set(id, count - 1)
      return null
    }
    const inode = this.nameless(id)
    this.#retained.delete(id)
    if (inode?.edges === 0) {
      inode.local?.draft?.dispose()
      if (inode.kind !== 'directory' || inode.cap === null) this.#inodes.delete(id)
    }
    return inode ?? null
  }

  /** A directory that is on the grid keeps its row: it may have moved, or the grid may not let it go. */
  #gone(inode: Inode, change: Change): void {
    const { ops, after } = change
    const { id, local } = inode
    const held = this.#retained.has(id)
    if (inode.kind === 'directory') {
      if (inode.cap !== null) {
        inode.local = null
        ops.push(['dropLocal', id])
        this.#links.gone(id, change)
        return
      }
      ops.push(['dropDirectory', id], ['dropIntents', id])
      this.#folders.drop(id)
    }
    ops.push(['dropInode', id], ['dropLocal', id])
    this.#links.gone(id, change)
    this.#leaving.add(id)
    after.push(() => this.#leaving.delete(id))
    if (local?.draft) {
      const { draft } = local
      ops.push(['dropExtents', id])
      draft.dead = true
      if (!held) after.push(() => draft.dispose())
    }
    if (!held) this.#inodes.delete(id)
  }

  /** A file's inode lives in memory with the snapshot that names it, unless it is known here alone. */
  #forget(folder: Folder): void {
    for (const edge of folder.snapshot.edges) {
      const inode = this.#inodes.get(edge.id)
      if (inode && inode.kind !== 'directory' && !inode.local && !this.#retained.has(edge.id))
        this.#inodes.delete(edge.id)
    }
  }

  #load(id: FileId): Inode | undefined {
    if (this.#leaving.has(id)) return undefined
    const row = this.state.get('SELECT * FROM inode WHERE id = ?', id)
    if (!row) return undefined
    const inode = inodeOf(row)
    if (inode.kind !== 'directory') {
      // Its cap is in the listing that names it.
      const folder = this.folder(inode.parent)
      if (folder && !this.#inodes.has(id)) this.adopt(folder)
      return this.#inodes.get(id)
    }
    const sealed = this.state.get('SELECT cap FROM directory WHERE id = ?', id)?.['cap']
    if (sealed instanceof Uint8Array) inode.cap = this.rows.openCap(id, sealed)
    this.#inodes.set(id, inode)
    return inode
  }
}
