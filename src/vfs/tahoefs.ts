// The file system over a grid, read-only so far: names and attributes from the tree,
// bytes from the reader. It does not know its frontends.

import { codeOf, FsError } from '../errors.ts'
import { type Log, silent } from '../log.ts'
import type { Cap } from '../tahoe/cap.ts'
import type { Grid } from '../tahoe/grid.ts'
import { Asker, type Patience, type Reach, waitFor } from './ask.ts'
import { NAME_MAX } from './names.ts'
import { BlockCache } from './read/cache.ts'
import { type Content, contentOf } from './read/content.ts'
import { Reader } from './read/reader.ts'
import { State } from './state/state.ts'
import { attrOf, type Inode, type Owner } from './tree/inode.ts'
import { Tree } from './tree/tree.ts'
import type { Attr, AttrChange, Call, Change, Entry, FileId, FsStat, Read, Vfs } from './vfs.ts'

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
  readonly log?: Log
  readonly patience?: Patience
}

/** Milliseconds for which the grid's free space is not asked for again. */
const USAGE_AGE = 60_000

/** How often a read that found its file changed begins again. */
const MAX_ANEW = 5

/** What `statfs` says until the grid has said how large it is: some programs refuse a disk without room. */
const UNKNOWN_SIZE = 2 ** 40

/** Files that can be made, as far as anybody can tell. */
const FILES = 2 ** 31

export class Tahoefs implements Vfs {
  readonly root: FileId
  readonly readOnly = true
  readonly nameMax = NAME_MAX
  readonly writeverf: Uint8Array = crypto.getRandomValues(new Uint8Array(8))
  readonly #state: State
  readonly #grid: Grid
  readonly #asker: Asker
  readonly #tree: Tree
  readonly #cache: BlockCache
  readonly #reader: Reader
  readonly #contentKey: Buffer
  readonly #contents = new WeakMap<Cap, Content>()
  readonly #owner: Owner
  #usage = { total: UNKNOWN_SIZE, free: UNKNOWN_SIZE, askedAt: 0 }

  private constructor(options: TahoefsOptions, state: State, asker: Asker, tree: Tree, cache: BlockCache) {
    this.#grid = options.grid
    this.#owner = options.owner
    this.#state = state
    this.#asker = asker
    this.#tree = tree
    this.#cache = cache
    this.#reader = new Reader(options.grid, asker, cache)
    this.#contentKey = state.key('content')
    this.root = tree.root
  }

  /** Opens the state of this root. It does not ask the grid: what is known can be served without it. */
  static async open(options: TahoefsOptions): Promise<Tahoefs> {
    const { grid, root, stateDir, cacheDir, cacheSize, ttl, log = silent } = options
    if (root.type !== 'directory' || root.authority === 'verify')
      throw new FsError('ENOTDIR', 'the root cap is not that of a directory that can be read')
    const state = await State.open(stateDir, root.uri())
    try {
      const cache = await BlockCache.open({ dir: cacheDir, key: state.key('cache'), limit: cacheSize, log })
      const asker = new Asker(log, options.patience)
      const tree = new Tree({ state, grid, root, asker, ttl })
      await tree.start(root)
      return new Tahoefs(options, state, asker, tree, cache)
    } catch (err) {
      await state.close()
      throw err
    }
  }

  /** What `status` tells of it. */
  status(): { readonly cache: { bytes: number; limit: number }; readonly reach: Reach } {
    return { cache: { bytes: this.#cache.bytes, limit: this.#cache.limit }, reach: this.#asker.reach }
  }

  known(id: FileId): Attr {
    return this.#attr(this.#tree.inode(id))
  }

  async getattr(id: FileId, call?: Call): Promise<Attr> {
    return this.#attr(await this.#tree.settle(id, call?.signal))
  }

  async lookup(dir: FileId, name: string, call?: Call): Promise<Attr> {
    const inode = this.#tree.directory(dir)
    if (name === '.') return this.#attr(inode)
    if (name === '..') return this.#attr(this.#parent(inode))
    if (Buffer.byteLength(name) > NAME_MAX) throw new FsError('ENAMETOOLONG', 'lookup')
    return this.#attr(await this.#tree.find(dir, name, call?.signal))
  }

  async list(dir: FileId, cookie: bigint, call?: Call): Promise<Iterable<Entry>> {
    const snapshot = await this.#tree.list(dir, call?.signal)
    const { edges } = snapshot
    const first = snapshot.after(cookie)
    const entry = (at: number): Entry => {
      const { cookie, name, id } = edges[at]!
      const inode = this.#tree.known(id) // it may have gone since the listing
      const sized = inode && (!inode.cap?.mutable || inode.kind === 'directory' || inode.mark !== 0n)
      return { cookie, name, id, attr: sized ? this.#attr(inode) : null }
    }
    return (function* () {
      for (let at = first; at < edges.length; at++) yield entry(at)
    })()
  }

  async read(id: FileId, offset: number, count: number, call?: Call): Promise<Read> {
    const inode = this.#tree.inode(id)
    if (inode.kind === 'directory') throw new FsError('EISDIR', 'read')
    if (inode.kind === 'symlink') throw new FsError('EINVAL', 'read a symlink')
    if (!readable(inode)) throw new FsError('EACCES', 'read what no cap here can read')
    const { data, attr } = await this.#bytes(id, offset, offset + count, call?.signal)
    return { data, eof: offset + count >= attr.size, attr }
  }

  async readlink(id: FileId, call?: Call): Promise<{ target: Uint8Array; attr: Attr }> {
    const inode = this.#tree.inode(id)
    if (inode.kind !== 'symlink') throw new FsError('EINVAL', 'readlink of what is not a symlink')
    const { data, attr } = await this.#bytes(id, 0, inode.size, call?.signal)
    return { target: Buffer.concat(data), attr }
  }

  async commit(id: FileId, call?: Call): Promise<Attr> {
    return this.getattr(id, call)
  }

  async setattr(id: FileId, change: AttrChange): Promise<Change> {
    if (Object.keys(change).length > 0) return this.#refuse('setattr', id)
    const attr = this.known(id)
    return { before: attr, after: attr }
  }

  async write(id: FileId): Promise<never> {
    return this.#refuse('write', id)
  }

  async create(dir: FileId): Promise<never> {
    return this.#refuse('create', dir)
  }

  async mkdir(dir: FileId): Promise<never> {
    return this.#refuse('mkdir', dir)
  }

  async symlink(dir: FileId): Promise<never> {
    return this.#refuse('symlink', dir)
  }

  async link(id: FileId, dir: FileId): Promise<never> {
    return this.#refuse('link', id, dir)
  }

  async remove(dir: FileId): Promise<never> {
    return this.#refuse('remove', dir)
  }

  async rmdir(dir: FileId): Promise<never> {
    return this.#refuse('rmdir', dir)
  }

  async rename(fromDir: FileId, _fromName: string, toDir: FileId): Promise<never> {
    return this.#refuse('rename', fromDir, toDir)
  }

  // Nothing can be removed here, so nothing need be kept alive.
  retain(): void {}
  release(): void {}

  async statfs(): Promise<FsStat> {
    if (Date.now() - this.#usage.askedAt > USAGE_AGE) {
      this.#usage.askedAt = Date.now()
      void this.#asker
        .once('usage', signal => this.#grid.usage({ signal }))
        .then(usage => usage && Object.assign(this.#usage, usage))
        .catch(() => {}) // noted by the asker; what was known stays
    }
    const { total, free } = this.#usage
    return { totalBytes: total, freeBytes: free, totalFiles: FILES, freeFiles: FILES }
  }

  async close(): Promise<void> {
    this.#asker.close()
    await this.#reader.close()
    await this.#state.close()
  }

  /**
   * The content's bytes, and the attributes they belong to. A client that heard of new content
   * meanwhile would keep these bytes as if they were of it: then they are read anew.
   */
  async #bytes(id: FileId, start: number, end: number, signal: AbortSignal | undefined) {
    for (let tries = 0; tries < MAX_ANEW; tries++) {
      const inode = await this.#tree.sized(this.#tree.inode(id), signal, 'content')
      const { size } = inode
      const content = this.#content(inode)
      if (!content) throw new FsError('EIO', 'read: its content is not known')
      try {
        const data = await this.#reader.read(content, Math.min(start, size), Math.min(end, size), signal)
        const now = this.#tree.inode(id)
        if (this.#content(now)?.key === content.key) return { data, attr: this.#attr(now) }
      } catch (err) {
        if (!(codeOf(err) === 'ESTALE' && content.version !== undefined)) throw err
        await waitFor(this.#tree.restat(this.#tree.inode(id)), signal, 'read')
      }
    }
    throw new FsError('EIO', 'read: the file changes faster than it can be read')
  }

  #content({ cap, version, size }: Inode): Content | null {
    if (!cap || (cap.mutable && !version)) return null
    if (cap.mutable) return contentOf(this.#contentKey, cap, size, version?.version)
    let content = this.#contents.get(cap)
    if (!content) this.#contents.set(cap, (content = contentOf(this.#contentKey, cap, size, undefined)))
    return content
  }

  #attr(inode: Inode): Attr {
    return attrOf(inode, this.#owner)
  }

  #parent(inode: Inode): Inode {
    try {
      return this.#tree.directory(inode.parent)
    } catch {
      return this.#tree.directory(this.root) // it hangs nowhere that is known
    }
  }

  /** ESTALE before EROFS: a client should let go of what is not there. */
  #refuse(what: string, ...ids: FileId[]): never {
    for (const id of ids) this.#tree.inode(id)
    throw new FsError('EROFS', `${what}: this mount is read-only`)
  }
}

const readable = ({ cap }: Inode): boolean => cap?.type === 'file' && cap.authority !== 'verify'
