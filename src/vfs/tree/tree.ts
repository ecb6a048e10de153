// Inodes and names over a grid. One listing answers lookup, attributes and listing of a
// directory; it is fresh for `ttl`, served while one refresh runs for twice as long again,
// and older waited for. When the grid cannot be reached the last one is served at any age.

import { randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { FsError } from '../../errors.ts'
import { type Cap, parseCap } from '../../tahoe/cap.ts'
import type { Grid } from '../../tahoe/grid.ts'
import { type Asker, waitFor } from '../ask.ts'
import { keyedHash, seal, open as unseal } from '../state/seal.ts'
import type { State } from '../state/state.ts'
import type { FileId } from '../vfs.ts'
import { addInode, type Inode, type InodeChange, inodeOf, setInode } from './inode.ts'
import { merge } from './merge.ts'
import { Snapshot } from './snapshot.ts'

export type TreeOptions = {
  readonly state: State
  readonly grid: Grid
  readonly root: Cap
  readonly asker: Asker
  /** Milliseconds for which a listing is fresh; Infinity: it is read once. */
  readonly ttl: number
}

const ROOT: FileId = 1n

/** Snapshots held in memory, by the number of their edges. */
const MAX_EDGES = 300_000

/** Milliseconds that a caller waits for a refresh when there is an older listing to give it. */
const RATHER_OLD = 4_000

type Held = { snapshot: Snapshot; listedAt: number; failures: number; retryAt: number }

export class Tree {
  readonly root = ROOT
  readonly #state: State
  readonly #grid: Grid
  readonly #asker: Asker
  readonly #ttl: number
  readonly #sealKey: Buffer
  readonly #locatorKey: Buffer
  readonly #inodes = new Map<FileId, Inode>()
  readonly #located = new Map<string, FileId>()
  readonly #refreshing = new Map<FileId, Promise<Snapshot>>()
  readonly #held: LRUCache<FileId, Held>
  #lastId: FileId

  constructor({ state, grid, root, asker, ttl }: TreeOptions) {
    this.#state = state
    this.#grid = grid
    this.#asker = asker
    this.#ttl = ttl
    this.#sealKey = state.key('listing')
    this.#locatorKey = state.key('locator')
    this.#held = new LRUCache({
      maxSize: MAX_EDGES,
      sizeCalculation: held => Math.min(held.snapshot.edges.length + 1, MAX_EDGES),
      dispose: (held, _, reason) => {
        if (reason !== 'set') this.#forget(held.snapshot)
      },
    })
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
      version: null,
    }
    await this.#state.commit([
      addInode(inode, this.#locator(root)),
      ['addDirectory', ROOT, this.#sealCap(ROOT, root)],
      ['setMeta', 'lastId', ROOT],
    ])
    this.#inodes.set(ROOT, inode)
  }

  /** The inode of an id, without asking the grid. ESTALE when there is none, or none any more. */
  inode(id: FileId): Inode {
    const inode = this.#inodes.get(id) ?? this.#load(id)
    if (!inode || inode.edges <= 0) throw new FsError('ESTALE', `inode ${id}`)
    return inode
  }

  /** The inode of a directory; ENOTDIR for anything else. */
  directory(id: FileId): Inode {
    const inode = this.inode(id)
    if (inode.kind !== 'directory') throw new FsError('ENOTDIR', `inode ${id}`)
    return inode
  }

  /** Whether this directory was ever listed here. */
  listed(id: FileId): boolean {
    return this.#hold(id) !== undefined
  }

  /** A directory's listing, as fresh as its age demands. */
  list(id: FileId, signal: AbortSignal | undefined): Promise<Snapshot> | Snapshot {
    const inode = this.directory(id)
    const held = this.#hold(id)
    if (!held) return waitFor(this.#refresh(inode, 'insist'), signal, 'list a directory')
    const freshness = this.#freshness(inode.cap!.mutable ? held.listedAt : Date.now())
    if (freshness === 'fresh') return held.snapshot
    if (held.retryAt > Date.now()) return held.snapshot // the grid was out of reach a moment ago
    const refreshed = this.#refresh(inode, 'once').catch(() => this.#held.get(id)?.snapshot ?? held.snapshot)
    return freshness === 'stale'
      ? held.snapshot
      : waitFor(patiently(refreshed, held.snapshot), signal, 'list a directory')
  }

  /** Sees that an inode's attributes are as fresh as the listing they come from. */
  async settle(id: FileId, signal: AbortSignal | undefined): Promise<Inode> {
    const inode = this.inode(id)
    if (inode.kind === 'directory') {
      if (this.listed(id)) await this.list(id, signal)
      return this.inode(id)
    }
    await this.list(inode.parent, signal)
    return this.sized(this.inode(id), signal)
  }

  /** A mutable file's size and version, asked once per directory lifetime; anything else is known. */
  async sized(inode: Inode, signal: AbortSignal | undefined): Promise<Inode> {
    const { cap, version } = inode
    if (!cap?.mutable || cap.type !== 'file') return inode
    const freshness = version ? this.#freshness(version.at) : 'old'
    if (freshness === 'fresh') return inode
    const asked = this.restat(inode)
    if (freshness === 'stale') {
      asked.catch(() => {}) // noted by the asker
      return inode
    }
    await waitFor(
      version
        ? patiently(
            asked.catch(() => {}),
            undefined,
          )
        : asked,
      signal,
      'ask for a size',
    )
    return this.inode(inode.id)
  }

  /** Asks the grid for a mutable file's size and version. */
  restat(inode: Inode): Promise<void> {
    return this.#asker.ask(`stat ${inode.id}`, 'ask for a size', async signal => {
      const { cap } = inode
      const { size, version } = await this.#asker.once(() => this.#grid.stat(cap!, { signal }))
      if (inode.cap !== cap) return // the name leads elsewhere by now
      const change: InodeChange =
        version === inode.version?.version || (inode.version === null && size === inode.size)
          ? { size }
          : { size, mtime: later(inode.mtime), ctime: later(inode.ctime) }
      await this.#state.commit([setInode(inode, change)])
      Object.assign(inode, change, { version: { version, at: Date.now() } })
    })
  }

  #freshness(at: number): 'fresh' | 'stale' | 'old' {
    // A clock that was set back must not make a listing young for ever.
    const age = Math.abs(Date.now() - at)
    return age <= this.#ttl ? 'fresh' : age <= 3 * this.#ttl ? 'stale' : 'old'
  }

  #hold(id: FileId): Held | undefined {
    const held = this.#held.get(id)
    if (held) return held
    const row = this.#state.get('SELECT listing FROM directory WHERE id = ?', id)
    const sealed = row?.['listing']
    if (!(sealed instanceof Uint8Array)) return undefined
    const packed = unseal(this.#sealKey, sealed, `listing ${id}`)
    if (!packed)
      throw new FsError('EIO', `the listing of inode ${id} in the state does not open: the state is damaged`)
    const loaded: Held = { snapshot: Snapshot.unpack(packed), listedAt: 0, failures: 0, retryAt: 0 }
    this.#adopt(id, loaded.snapshot)
    this.#held.set(id, loaded)
    return loaded
  }

  /** Brings the rows of a snapshot's inodes into memory. */
  #adopt(dir: FileId, snapshot: Snapshot): void {
    const rows = new Map(
      this.#state.all('SELECT * FROM inode WHERE parent = ?', dir).map(row => [row['id'] as bigint, row]),
    )
    for (const edge of snapshot.edges) {
      let inode = this.#inodes.get(edge.id)
      if (!inode) {
        const row = rows.get(edge.id) ?? this.#state.get('SELECT * FROM inode WHERE id = ?', edge.id)
        if (!row) continue
        this.#inodes.set(edge.id, (inode = inodeOf(row)))
      }
      if (inode.kind !== 'directory' || !inode.cap || inode.cap.authority !== 'write') inode.cap = edge.cap
    }
  }

  /** A file's inode lives in memory with the snapshot that names it. */
  #forget(snapshot: Snapshot): void {
    for (const edge of snapshot.edges)
      if (this.#inodes.get(edge.id)?.kind !== 'directory') this.#inodes.delete(edge.id)
  }

  #load(id: FileId): Inode | undefined {
    const row = this.#state.get('SELECT * FROM inode WHERE id = ?', id)
    if (!row) return undefined
    const inode = inodeOf(row)
    if (inode.kind !== 'directory') {
      const held = this.#hold(inode.parent) // its cap is in the listing that names it
      if (held && !this.#inodes.has(id)) this.#adopt(inode.parent, held.snapshot)
      return this.#inodes.get(id)
    }
    const sealed = this.#state.get('SELECT cap FROM directory WHERE id = ?', id)?.['cap'] as Uint8Array
    const cap = unseal(this.#sealKey, sealed, `cap ${id}`)
    if (!cap)
      throw new FsError('EIO', `the cap of inode ${id} in the state does not open: the state is damaged`)
    inode.cap = parseCap(cap.toString())
    this.#inodes.set(id, inode)
    return inode
  }

  /** One listing from the grid at a time; `insist` asks until it answers, `once` leaves the next try to a later caller. */
  #refresh(dir: Inode, how: 'insist' | 'once'): Promise<Snapshot> {
    const running = this.#refreshing.get(dir.id)
    if (running) return running
    const list = (signal: AbortSignal) => this.#grid.list(dir.cap!, { signal })
    const asked =
      how === 'once' ? this.#asker.once(list) : this.#asker.ask(`list ${dir.id}`, 'list a directory', list)
    const refreshing = asked
      .then(listing => this.#take(dir, listing))
      .catch((err: unknown) => {
        const held = this.#held.get(dir.id)
        if (held) {
          const { delays } = this.#asker.patience
          held.retryAt = Date.now() + (delays[Math.min(held.failures++, delays.length - 1)] ?? 0)
        }
        throw err
      })
      .finally(() => this.#refreshing.delete(dir.id))
    refreshing.catch(() => {}) // whoever waits hears of it, and the asker has noted it
    this.#refreshing.set(dir.id, refreshing)
    return refreshing
  }

  /** Merges a listing, makes it durable, and shows it, all in one turn. */
  async #take(dir: Inode, listing: Awaited<ReturnType<Grid['list']>>): Promise<Snapshot> {
    const before = this.#hold(dir.id)?.snapshot ?? null
    const merged = merge(before, listing, {
      dir,
      now: now(),
      inode: id => this.#inodes.get(id) ?? this.#load(id),
      directory: cap => this.#locate(cap),
      draw: () => ({ id: ++this.#lastId, generation: randomBytes(8).readBigUInt64BE() }),
      locator: cap => this.#locator(cap),
      sealCap: (id, cap) => this.#sealCap(id, cap),
    })
    // Directories added here may be met by another listing before this one is durable.
    for (const inode of merged.added) {
      if (inode.kind !== 'directory') continue
      this.#inodes.set(inode.id, inode)
      this.#located.set(inode.cap!.readonly().uri(), inode.id)
    }
    if (merged.changed) {
      const sealed = seal(this.#sealKey, merged.snapshot.pack(), `listing ${dir.id}`)
      await this.#state.commit([
        ...merged.ops,
        ['setListing', sealed, dir.id],
        ['setMeta', 'lastId', this.#lastId],
      ])
    } else {
      await this.#state.commit(merged.ops)
    }
    for (const inode of merged.added) this.#inodes.set(inode.id, inode)
    for (const [inode, change] of merged.changes) Object.assign(inode, change)
    for (const [inode, by] of merged.relinked) {
      if (by > 0 && inode.edges <= 0) inode.parent = dir.id
      inode.edges += by
    }
    for (const id of merged.dropped) this.#inodes.delete(id)
    this.#held.set(dir.id, { snapshot: merged.snapshot, listedAt: Date.now(), failures: 0, retryAt: 0 })
    return merged.snapshot
  }

  #locate(cap: Cap): Inode | undefined {
    const id = this.#located.get(cap.readonly().uri())
    if (id !== undefined) return this.#inodes.get(id) ?? this.#load(id)
    const row = this.#state.get('SELECT id FROM inode WHERE locator = ?', this.#locator(cap))
    const found = row?.['id'] as bigint | undefined
    return found === undefined ? undefined : (this.#inodes.get(found) ?? this.#load(found))
  }

  #locator(cap: Cap): Uint8Array {
    return keyedHash(this.#locatorKey, cap.storageIndex ?? cap.readonly().uri(), 16)
  }

  #sealCap(id: FileId, cap: Cap): Uint8Array {
    return seal(this.#sealKey, Buffer.from(cap.uri()), `cap ${id}`)
  }
}

const now = (): bigint => BigInt(Date.now()) * 1_000_000n

const later = (than: bigint): bigint => {
  const time = now()
  return time > than ? time : than + 1n
}

/** `promise`, or after a short wait what there was before. */
function patiently<T>(promise: Promise<T>, before: T): Promise<T> {
  let timer: NodeJS.Timeout
  const enough = new Promise<T>(resolve => {
    timer = setTimeout(() => resolve(before), RATHER_OLD)
  })
  return Promise.race([promise, enough]).finally(() => clearTimeout(timer))
}
