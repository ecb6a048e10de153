// The file system over a grid, read-only so far: names and attributes from the tree,
// bytes from the reader. It does not know its frontends.

import { FsError } from '../errors.ts'
import { type Log, silent } from '../log.ts'
import type { Cap } from '../tahoe/cap.ts'
import type { Grid } from '../tahoe/grid.ts'
import { Asker, type Patience, type Reach, waitFor } from './ask.ts'
import { NAME_MAX, nameKey } from './names.ts'
import { BlockCache } from './read/cache.ts'
import { contentOf } from './read/content.ts'
import { Reader } from './read/reader.ts'
import { State } from './state/state.ts'
import { attrOf, type Inode, type Owner } from './tree/inode.ts'
import { Tree } from './tree/tree.ts'
import type { Attr, Call, Entry, FileId, FsStat, Read, Vfs } from './vfs.ts'

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
    return { cache: { bytes: this.#cache.bytes, limit: this.#cache.limit }, reach: { ...this.#asker.reach } }
  }

  async getattr(id: FileId, call?: Call): Promise<Attr> {
    return this.#attr(await this.#tree.settle(id, call?.signal))
  }

  async lookup(dir: FileId, name: string, call?: Call): Promise<Attr> {
    const inode = this.#tree.directory(dir)
    if (name === '.') return this.#attr(inode)
    if (name === '..') return this.#attr(this.#parent(inode))
    if (Buffer.byteLength(name) > NAME_MAX) throw new FsError('ENAMETOOLONG', 'lookup')
    const edge = (await this.#tree.list(dir, call?.signal)).find(nameKey(name))
    if (!edge) throw new FsError('ENOENT', 'lookup')
    return this.#attr(await this.#tree.sized(this.#tree.inode(edge.id), call?.signal))
  }

  async list(dir: FileId, cookie: bigint, call?: Call): Promise<Iterable<Entry>> {
    const snapshot = await this.#tree.list(dir, call?.signal)
    const { edges } = snapshot
    const first = snapshot.after(cookie)
    const entry = (at: number): Entry => {
      const { cookie, name, id } = edges[at]!
      const inode = this.#tree.inode(id)
      const known = !inode.cap?.mutable || inode.kind === 'directory' || inode.version !== null
      return { cookie, name, id, attr: known ? this.#attr(inode) : null }
    }
    return (function* () {
      for (let at = first; at < edges.length; at++) yield entry(at)
    })()
  }

  async read(id: FileId, offset: number, count: number, call?: Call): Promise<Read> {
    let inode = this.#tree.inode(id)
    if (inode.kind === 'directory') throw new FsError('EISDIR', 'read')
    if (inode.kind === 'symlink') throw new FsError('EINVAL', 'read a symlink')
    if (!readable(inode)) throw new FsError('EACCES', 'read what no cap here can read')
    inode = await this.#tree.sized(inode, call?.signal)
    const data = await this.#bytes(inode, offset, offset + count, call?.signal)
    return { data, eof: offset + count >= inode.size, attr: this.#attr(inode) }
  }

  async readlink(id: FileId, call?: Call): Promise<{ target: Uint8Array; attr: Attr }> {
    const inode = this.#tree.inode(id)
    if (inode.kind !== 'symlink') throw new FsError('EINVAL', 'readlink of what is not a symlink')
    const target = Buffer.concat(await this.#bytes(inode, 0, inode.size, call?.signal))
    return { target, attr: this.#attr(inode) }
  }

  async commit(id: FileId): Promise<Attr> {
    return this.#attr(this.#tree.inode(id))
  }

  async setattr(id: FileId): Promise<never> {
    return this.#refuse('setattr', id)
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
        .once(signal => this.#grid.usage({ signal }))
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

  /** The content's bytes as they are at this moment; a mutable file that moved on meanwhile is read anew. */
  async #bytes(inode: Inode, start: number, end: number, signal: AbortSignal | undefined): Promise<Buffer[]> {
    const { cap, version, size } = inode
    if (!cap) throw new FsError('EIO', 'read a file whose cap is not known')
    const content = contentOf(this.#contentKey, cap, size, version?.version)
    try {
      return await this.#reader.read(content, Math.min(start, size), Math.min(end, size), signal)
    } catch (err) {
      if (!(err instanceof FsError && err.code === 'ESTALE' && cap.mutable)) throw err
      await waitFor(this.#tree.restat(inode), signal, 'read')
      return this.#bytes(this.#tree.inode(inode.id), start, end, signal)
    }
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
