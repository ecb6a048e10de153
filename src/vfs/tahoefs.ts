// The file system over a grid: names and attributes from the tree, bytes from the reader and
// from what waits here, changes made here at once and published behind. It does not know its
// frontends.

import { join } from 'node:path'
import { FsError } from '../errors.ts'
import { type Log, silent } from '../log.ts'
import type { Cap } from '../tahoe/cap.ts'
import type { Grid } from '../tahoe/grid.ts'
import { Asker, type Patience, type Reach, waitFor } from './ask.ts'
import { Bytes } from './bytes.ts'
import { NAME_MAX } from './names.ts'
import { BlockCache } from './read/cache.ts'
import { Contents } from './read/content.ts'
import { Reader } from './read/reader.ts'
import type { Op } from './state/schema.ts'
import { State } from './state/state.ts'
import type { Change } from './tree/change.ts'
import { type Folder, indexAfter } from './tree/folder.ts'
import { attrOf, type Inode, type Owner } from './tree/inode.ts'
import { Listings } from './tree/listings.ts'
import { Tree } from './tree/tree.ts'
import { Usage } from './usage.ts'
import type * as V from './vfs.ts'
import { Adoption, MUTABLE_MAX } from './write/adoption.ts'
import { Changes, type Place, refuseAttrs } from './write/changes.ts'
import { Committer } from './write/committer.ts'
import { type Disk, disk as thisDisk } from './write/disk.ts'
import type { Draft } from './write/draft.ts'
import { Drawing } from './write/drawing.ts'
import { Durable } from './write/durable.ts'
import { Once } from './write/once.ts'
import type { Conflict, Pending } from './write/pending.ts'
import { Publisher } from './write/publisher.ts'
import { replay } from './write/replay.ts'
import { restore } from './write/restore.ts'
import { makeRoom } from './write/room.ts'
import { type Appended, Staging } from './write/staging.ts'
import type { Tempo } from './write/tempo.ts'

export type TahoefsOptions = {
  readonly grid: Grid
  /** A directory cap. */
  readonly root: Cap
  readonly stateDir: string
  readonly cacheDir: string
  /** Bytes of the block cache; 0 keeps nothing on disk. */
  readonly cacheSize: number
  /** Milliseconds for which a listing is fresh; Infinity: read once. */
  readonly ttl: number
  /** Whom everything belongs to. */
  readonly owner: Owner
  /** Whether changes are refused though the root cap would allow them. What waits is published all the same. */
  readonly readOnly?: boolean
  /** What a commit waits for: this machine's disk, or the grid. */
  readonly fsync?: 'local' | 'grid'
  readonly log?: Log
  readonly patience?: Patience
  /** How soon, and how often, it is published. */
  readonly tempo?: Partial<Tempo>
  /** What staging is kept on. */
  readonly disk?: Disk
  /** Bytes that may wait for the grid; by default a quarter of what this disk has free, at most 20 GiB. */
  readonly stagingSize?: number
}

/** What a write did in memory, and what it is to write down. */
type Put = {
  readonly result: V.Change
  readonly draft: Draft
  readonly change: Change
}

export class Tahoefs implements V.Vfs {
  readonly root: V.FileId
  readonly nameMax = NAME_MAX
  readonly #readOnly: boolean
  readonly #state: State
  readonly #asker: Asker
  readonly #tree: Tree
  readonly #listings: Listings
  readonly #cache: BlockCache
  readonly #reader: Reader
  readonly #bytes: Bytes
  readonly #owner: Owner
  readonly #staging: Staging
  readonly #committer: Committer
  readonly #changes: Changes
  readonly #adoption: Adoption
  readonly #once: Once
  readonly #publisher: Publisher
  readonly #durable: Durable
  readonly #log: Log
  readonly #usage: Usage

  private constructor(
    options: TahoefsOptions,
    state: State,
    asker: Asker,
    cache: BlockCache,
    staging: Staging,
  ) {
    const { grid, owner, log = silent, root, ttl } = options
    this.#usage = new Usage(grid, asker)
    this.#owner = owner
    this.#log = log
    this.#readOnly = options.readOnly === true || root.authority !== 'write'
    this.#state = state
    this.#asker = asker
    const failed = (err: unknown) => this.#durable.broken(err)
    const commit = (draft: Draft) => this.#durable.draft(draft)
    const tree = new Tree(state, root, { failed })
    this.#tree = tree
    this.#cache = cache
    this.#staging = staging
    this.#reader = new Reader(grid, asker, cache)
    this.#listings = new Listings({
      tree,
      grid,
      asker,
      ttl,
      onMadeAgain: (dir, name, change) => this.#publisher.wasMadeAgain(dir, name, change),
    })
    this.#committer = new Committer(state, staging, ({ inode }) => tree.rows.local(inode))
    const contents = new Contents(state.key('content'))
    const drawing = new Drawing(staging, this.#reader, contents)
    this.#bytes = new Bytes({
      tree,
      listings: this.#listings,
      reader: this.#reader,
      drawing,
      contents,
      attrOf: inode => this.#attr(inode),
    })
    this.#publisher = new Publisher({
      tree,
      listings: this.#listings,
      grid,
      asker,
      staging,
      drawing,
      commit,
      failed,
      log,
      tempo: options.tempo ?? {},
    })
    this.#durable = new Durable({
      tree,
      committer: this.#committer,
      publisher: this.#publisher,
      fsync: options.fsync ?? 'local',
      log,
    })
    this.#changes = new Changes(tree, owner, inode => this.#publisher.waits(inode))
    this.#adoption = new Adoption({
      tree,
      listings: this.#listings,
      reader: this.#reader,
      contents,
      staging,
      changes: this.#changes,
      waits: inode => this.#publisher.waits(inode),
      commit,
    })
    this.#once = new Once(state)
    staging.kept.onFull = () => void this.#renewKept()
    this.root = tree.root
  }

  /** Opens the state of this root. It does not ask the grid: what is known can be served without it. */
  static async open(options: TahoefsOptions): Promise<Tahoefs> {
    const { grid: _, root, stateDir, cacheDir, cacheSize, log = silent, disk = thisDisk } = options
    if (root.type !== 'directory' || root.authority === 'verify')
      throw new FsError('ENOTDIR', 'the root cap is not that of a directory that can be read')
    const state = await State.open(stateDir, root.uri())
    const opened: { close(): Promise<void> }[] = [state]
    try {
      const cache = await BlockCache.open({ dir: cacheDir, key: state.key('cache'), limit: cacheSize, log })
      opened.unshift(cache)
      const asker = new Asker(log, options.patience)
      const dir = join(stateDir, 'staging')
      const staging = await Staging.open({ dir, state, disk, limit: options.stagingSize })
      opened.unshift(staging)
      const fs = new Tahoefs(options, state, asker, cache, staging)
      await fs.#tree.start(root)
      const { inodes, lost, orphans } = restore(fs.#tree, state, staging)
      await state.commit(orphans)
      const more = await fs.#replay(lost === null)
      if (lost === null) fs.#publisher.start([...inodes, ...more])
      else fs.#durable.stop(lost)
      return fs
    } catch (err) {
      for (const each of opened) await each.close()
      throw err
    }
  }

  get readOnly(): boolean {
    return this.#readOnly
  }

  get writeverf(): Uint8Array {
    return this.#durable.writeverf
  }

  /** What `status` tells of it. */
  status(): {
    readonly cache: { bytes: number; limit: number }
    readonly reach: Reach
    readonly pending: Pending
    readonly conflicts: readonly Conflict[]
    readonly trouble: string | null
  } {
    return {
      cache: { bytes: this.#cache.bytes, limit: this.#cache.limit },
      reach: this.#asker.reach,
      pending: this.#publisher.pending(),
      conflicts: this.#publisher.conflicts(),
      trouble: this.#durable.trouble,
    }
  }

  /** What it needs of the grid besides what the names there lead to: that must not be removed from it. */
  held(): Iterable<Cap> {
    return this.#publisher.held()
  }

  /**
   * Publishes now what waits below the path `under` (null: everything), and returns when all
   * that waited at the call is on the grid. ENOENT for a path that is not there.
   */
  async flush(under: string | null, call?: V.Call): Promise<void> {
    let id = this.root
    for (const name of (under ?? '').split('/').filter(name => name !== ''))
      id = (await this.lookup(id, name, call)).id
    await waitFor(this.#publisher.flush(id), call?.signal, 'flush')
  }

  known(id: V.FileId): V.Attr {
    return this.#attr(this.#tree.inode(id))
  }

  watch(listener: (news: V.News) => void): () => void {
    return this.#tree.watch(listener)
  }

  freshFor(id: V.FileId): number {
    return this.#listings.freshFor(id)
  }

  async getattr(id: V.FileId, call?: V.Call): Promise<V.Attr> {
    return this.#attr(await this.#listings.settle(id, call?.signal))
  }

  async lookup(dir: V.FileId, name: string, call?: V.Call): Promise<V.Attr> {
    const inode = this.#tree.directory(dir)
    if (name === '.') return this.#attr(inode)
    if (name === '..') return this.#attr(this.#parent(inode))
    if (Buffer.byteLength(name) > NAME_MAX) throw new FsError('ENAMETOOLONG', 'lookup')
    if (inode.edges === 0) throw new FsError('ENOENT', 'lookup in a removed directory')
    return this.#attr(await this.#listings.find(dir, name, call?.signal))
  }

  async list(dir: V.FileId, cookie: bigint, call?: V.Call): Promise<Iterable<V.Entry>> {
    if (this.#tree.directory(dir).edges === 0) return [] // removed, and retained by somebody
    const { shown } = await this.#listings.list(dir, call?.signal)
    const first = indexAfter(shown, cookie)
    const entry = (at: number): V.Entry => {
      const { cookie, name, id } = shown[at]!
      const inode = this.#tree.known(id) // it may have gone since the listing
      const sized = inode && (!inode.cap?.mutable || inode.kind === 'directory' || inode.mark !== 0n)
      return { cookie, name, id, attr: sized ? this.#attr(inode) : null }
    }
    return (function* () {
      for (let at = first; at < shown.length; at++) yield entry(at)
    })()
  }

  async read(id: V.FileId, offset: number, count: number, call?: V.Call): Promise<V.Read> {
    const inode = this.#tree.inode(id)
    if (inode.kind === 'directory') throw new FsError('EISDIR', 'read')
    if (inode.kind === 'symlink') throw new FsError('EINVAL', 'read a symlink')
    if (!readable(inode)) throw new FsError('EACCES', 'read what no cap here can read')
    const { data, attr } = await this.#bytes.read(id, offset, offset + count, call?.signal)
    return { data, eof: offset + count >= attr.size, attr }
  }

  async readlink(id: V.FileId, call?: V.Call): Promise<{ target: Uint8Array; attr: V.Attr }> {
    const inode = this.#tree.inode(id)
    if (inode.kind !== 'symlink') throw new FsError('EINVAL', 'readlink of what is not a symlink')
    if (inode.local?.target) return { target: Buffer.from(inode.local.target), attr: this.#attr(inode) }
    const { data, attr } = await this.#bytes.read(id, 0, inode.size, call?.signal)
    return { target: Buffer.concat(data), attr }
  }

  async write(
    id: V.FileId,
    offset: number,
    data: Uint8Array,
    durability: V.Durability,
    call?: V.Call,
  ): Promise<V.Written> {
    const file = (): Inode => {
      const inode = this.#tree.inode(id)
      if (inode.kind === 'directory') throw new FsError('EISDIR', 'write')
      if (inode.kind === 'symlink') throw new FsError('EINVAL', 'write to a symlink')
      this.#mayChange('write', inode)
      return inode
    }
    const found = file()
    const stable = durability === 'stable'
    if (!Number.isSafeInteger(offset + data.length)) throw new FsError('EFBIG', 'write')
    if (data.length === 0) {
      const attr = this.#attr(found)
      return { before: attr, after: attr, count: 0, stable }
    }
    const place = durability === 'kept' ? { id, start: offset } : null
    let put: Put | null = null
    while (!put) {
      await this.#adopted(id, offset + data.length, call?.signal)
      await makeRoom(data.length, this.#staging, this.#publisher, call?.signal)
      put = this.#put(await this.#staging.append(data, place), file, offset, call?.by)
    }
    const { result, draft, change } = put
    // What follows in the database needs it to come first, and waits for it by that.
    const begun = this.#tree.commit(change)
    begun.catch(() => {})
    if (stable) await this.#durable.content(draft.inode, call?.signal)
    else if (durability === 'kept' && !draft.known)
      await (change.ops.length > 0 ? begun : this.#durable.draft(draft))
    return { ...result, count: data.length, stable }
  }

  async commit(id: V.FileId, call?: V.Call): Promise<V.Attr> {
    const inode = this.#tree.inode(id)
    if (this.#durable.trouble !== null) throw new FsError('EIO', `commit: ${this.#durable.trouble}`)
    await this.#durable.content(inode, call?.signal)
    return this.#attr(inode)
  }

  async setattr(
    id: V.FileId,
    wanted: V.AttrChange,
    call?: V.ChangingCall & { guard?: bigint | undefined },
  ): Promise<V.Change> {
    return this.#once.do(call?.once, async kept => {
      await this.#known([this.#tree.inode(id).parent], call)
      const { size } = wanted
      if (size !== undefined) await this.#adopted(id, size, call?.signal)
      const inode = this.#tree.inode(id)
      if (call?.guard !== undefined && call.guard !== inode.ctime) throw new FsError('ECANCELED', 'setattr')
      if (Object.values(wanted).every(value => value === undefined)) {
        const attr = this.#attr(inode)
        return { before: attr, after: attr }
      }
      this.#mayChange('setattr', inode)
      refuseAttrs('setattr', inode.kind, this.#owner, wanted)
      const change = this.#tree.change(call?.by)
      const result = this.#changes.setattr(inode, wanted, change)
      await this.#durable.change(change, kept(result))
      return result
    })
  }

  create(dir: V.FileId, name: string, how: V.CreateHow, call?: V.ChangingCall): Promise<V.Made> {
    const size = how.mode === 'unchecked' ? how.attrs.size : undefined
    const adopted = async () => {
      const there = size === undefined ? undefined : this.#tree.folder(dir)?.find(name)
      if (there) await this.#adopted(there.id, size!, call?.signal)
      return undefined
    }
    return this.#change(
      'create',
      [dir],
      call,
      ([place], change) => this.#changes.create(place!, name, how, change),
      adopted,
    )
  }

  mkdir(dir: V.FileId, name: string, attrs: V.AttrChange, call?: V.ChangingCall): Promise<V.Made> {
    return this.#change('mkdir', [dir], call, ([place], change) =>
      this.#changes.mkdir(place!, name, attrs, change),
    )
  }

  symlink(
    dir: V.FileId,
    name: string,
    target: Uint8Array,
    attrs: V.AttrChange,
    call?: V.ChangingCall,
  ): Promise<V.Made> {
    return this.#change('symlink', [dir], call, ([place], change) =>
      this.#changes.symlink(place!, name, target, attrs, change),
    )
  }

  async link(id: V.FileId, dir: V.FileId, name: string, call?: V.ChangingCall): Promise<V.Made> {
    if (this.#tree.known(id)?.kind === 'directory') throw new FsError('EISDIR', 'link')
    return this.#change('link', [dir], call, ([place], change) =>
      this.#changes.link(this.#tree.inode(id), place!, name, change),
    )
  }

  remove(dir: V.FileId, name: string, call?: V.ChangingCall): Promise<V.Removed> {
    return this.#change('remove', [dir], call, ([place], change) =>
      this.#changes.remove(place!, name, change),
    )
  }

  rmdir(dir: V.FileId, name: string, call?: V.ChangingCall): Promise<V.Removed> {
    return this.#change(
      'rmdir',
      [dir],
      call,
      ([place], change, inside) => this.#changes.rmdir(place!, name, inside, change),
      () => this.#inside(dir, name, call),
    )
  }

  rename(
    fromDir: V.FileId,
    fromName: string,
    toDir: V.FileId,
    toName: string,
    call?: V.ChangingCall & { replace?: boolean | undefined },
  ): Promise<V.Renamed> {
    const replaces = call?.replace !== false
    return this.#change(
      'rename',
      [fromDir, toDir],
      call,
      ([from, to], change, inside) =>
        this.#changes.rename(from!, fromName, to!, toName, { replaces, inside }, change),
      async () => (replaces ? this.#inside(toDir, toName, call) : undefined),
    )
  }

  retain(id: V.FileId): void {
    this.#tree.retain(id)
  }

  release(id: V.FileId): void {
    const inode = this.#tree.release(id)
    if (inode && inode.edges > 0) this.#publisher.closed(inode)
  }

  async statfs(): Promise<V.FsStat> {
    return this.#usage.stat()
  }

  async close(): Promise<void> {
    const stopped = this.#publisher.stop()
    this.#staging.kept.onFull = () => {}
    this.#asker.close()
    await stopped
    // Whoever wrote was told that it is not durable; it may as well be.
    const isWell = () => this.#durable.trouble === null
    const left = isWell() ? this.#publisher.drafts : []
    await Promise.all(left.map(draft => this.#committer.commit(draft)))
      .then(() => (isWell() ? this.#renewKept() : undefined))
      .catch(err => this.#log.warn({ err }, 'what was written last could not be kept'))
    await this.#reader.close()
    await this.#staging.close()
    await this.#state.close()
  }

  /**
   * One change of names: the directories are known, and so is what `inside` gives, which the change
   * may displace; then all is judged and done in one turn, and made durable.
   */
  #change<T>(
    what: string,
    dirs: readonly V.FileId[],
    call: V.ChangingCall | undefined,
    work: (places: readonly Place[], change: Change, inside: Folder | undefined) => T,
    look: () => Promise<Folder | undefined> = async () => undefined,
  ): Promise<T> {
    return this.#once.do(call?.once, async kept => {
      for (const id of dirs) this.#mayChange(what, this.#tree.directory(id))
      await this.#known(dirs, call)
      const inside = await look()
      const places = dirs.map(id => ({ dir: this.#tree.directory(id), folder: this.#tree.folder(id)! }))
      for (const { dir } of places) this.#mayChange(what, dir)
      const change = this.#tree.change(call?.by)
      const result = work(places, change, inside)
      await this.#durable.change(change, kept(result))
      return result
    })
  }

  /** What is in a directory that a change may displace. */
  async #inside(dir: V.FileId, name: string, call: V.Call | undefined): Promise<Folder | undefined> {
    const found = this.#tree.folder(dir)?.find(name)
    if (!found || this.#tree.known(found.id)?.kind !== 'directory') return undefined
    return await this.#listings.known(found.id, call?.signal)
  }

  /** Puts what was appended into its file; null where the content of that must be brought here first, once more. */
  #put(appended: Appended, file: () => Inode, offset: number, by: object | undefined): Put | null {
    const change = this.#tree.change(by)
    let put: Put | null = null
    try {
      const inode = file()
      if (this.#adoption.isDue(inode)) return null
      const result = this.#changes.write(inode, appended, offset, change)
      put = { result, draft: inode.local!.draft!, change }
      return put
    } finally {
      if (!put) appended.run.segment.users--
    }
  }

  /** A mutable file's content is brought here before it is written to, cut or prolonged. */
  async #adopted(id: V.FileId, size: number, signal: AbortSignal | undefined): Promise<void> {
    const inode = this.#tree.inode(id)
    if (this.#readOnly || !inode.writable) return // it will be refused
    if (inode.cap?.mutable && size > MUTABLE_MAX) throw new FsError('EFBIG', 'a mutable file of this size')
    const isDue = (now: Inode) => this.#adoption.isDue(now) && !(size === 0 && now.version)
    while (isDue(this.#tree.inode(id))) await this.#adoption.ready(id, size, signal)
  }

  /** Sees that directories are known, and that this disk has room to note what is done in them. */
  async #known(dirs: readonly V.FileId[], call: V.Call | undefined): Promise<void> {
    if (call?.signal?.aborted) throw new FsError('EAGAIN', 'the caller waits no longer')
    for (const id of dirs) await this.#listings.known(id, call?.signal)
    if (!(await this.#staging.hasReserve())) throw new FsError('ENOSPC', 'this disk is full')
  }

  /** What an earlier process kept is done again, and durable; the files that this concerns. Without `lives` it is only shown. */
  async #replay(lives: boolean): Promise<Inode[]> {
    const { change, drafts, lost } = await replay(this.#tree, this.#changes, this.#staging)
    if (!lives) return []
    if (lost.writes > 0 || this.#staging.left.torn)
      this.#log.warn(
        lost,
        'some of what was written last is not there: nobody was told that it was, or this machine lost power',
      )
    await this.#tree.commit(change)
    await Promise.all([...drafts].map(draft => this.#durable.draft(draft)))
    await this.#staging.forgetLeft(ops => this.#tree.write(ops))
    return [...drafts].map(({ inode }) => inode)
  }

  /** Much was kept that no commit knows: one does. */
  async #renewKept(): Promise<void> {
    const durable = async (ids: ReadonlySet<V.FileId>, op: Op) => {
      const drafts = [...ids].flatMap(id => this.#tree.known(id)?.local?.draft ?? [])
      await Promise.all(drafts.map(draft => (draft.isDurable ? null : this.#durable.draft(draft))))
      await this.#tree.write([op]) // and so are removals that came before
    }
    await this.#staging.kept
      .renew(durable)
      .catch(err => this.#log.warn({ err }, 'what was kept could not be made durable'))
    this.#publisher.sweep()
  }

  /** ESTALE came before: a client should let go of what is not there. */
  #mayChange(what: string, inode: Inode): void {
    if (this.#readOnly) throw new FsError('EROFS', `${what}: this mount is read-only`)
    const { trouble } = this.#durable
    if (trouble !== null) throw new FsError('EIO', `${what}: ${trouble}`)
    if (!inode.writable) throw new FsError('EROFS', `${what}: its cap cannot write`)
  }

  #attr(inode: Inode): V.Attr {
    return attrOf(inode, this.#owner)
  }

  #parent(inode: Inode): Inode {
    try {
      return this.#tree.directory(inode.parent)
    } catch {
      return this.#tree.directory(this.root) // it hangs nowhere that is known
    }
  }
}

const readable = ({ cap, local }: Inode): boolean =>
  local?.draft != null || (cap?.type === 'file' && cap.authority !== 'verify')
