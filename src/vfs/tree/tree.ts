// Inodes and names over a grid. One listing answers lookup, attributes and listing of a
// directory; it is fresh for `ttl`, served while one refresh runs for twice as long again,
// and older waited for. When the grid cannot be reached the last one is served at any age.

import { randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { codeOf, FsError } from '../../errors.ts'
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
  /** Snapshots held in memory, by the number of their edges. */
  readonly maxEdges?: number
}

const ROOT: FileId = 1n

const MAX_EDGES = 300_000

/** Milliseconds that a caller waits for a refresh when there is an older listing to give it. */
const RATHER_OLD = 4_000

/** A snapshot and when it was listed by this process, if it was; and when asking for another last failed. */
type Held = { snapshot: Snapshot; listedAt: number | null; failures: number; failedAt: number }

export class Tree {
  readonly root = ROOT
  readonly #state: State
  readonly #grid: Grid
  readonly #asker: Asker
  readonly #ttl: number
  readonly #sealKey: Buffer
  readonly #locatorKey: Buffer
  readonly #inodes = new Map<FileId, Inode>()
  readonly #refreshing = new Map<FileId, Promise<Snapshot>>()
  readonly #held: LRUCache<FileId, Held>
  /** Since when somebody has waited for the answer to a question. */
  readonly #asked = new WeakMap<Promise<unknown>, number>()
  #turns: Promise<unknown> = Promise.resolve()
  #lastId: FileId

  constructor({ state, grid, root, asker, ttl, maxEdges = MAX_EDGES }: TreeOptions) {
    this.#state = state
    this.#grid = grid
    this.#asker = asker
    this.#ttl = ttl
    this.#sealKey = state.key('listing')
    this.#locatorKey = state.key('locator')
    this.#held = new LRUCache({
      maxSize: maxEdges,
      sizeCalculation: held => Math.min(held.snapshot.edges.length + 1, maxEdges),
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
      mark: 0n,
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
    const inode = this.known(id)
    if (!inode) throw new FsError('ESTALE', `inode ${id}`)
    return inode
  }

  /** The same; undefined when there is none, or none any more. */
  known(id: FileId): Inode | undefined {
    const inode = this.#inodes.get(id) ?? this.#load(id)
    return inode && inode.edges > 0 ? inode : undefined
  }

  /** The inode of a directory; ENOTDIR for anything else. */
  directory(id: FileId): Inode {
    const inode = this.inode(id)
    if (inode.kind !== 'directory') throw new FsError('ENOTDIR', `inode ${id}`)
    return inode
  }

  /** A directory's listing, as fresh as its age demands. */
  list(id: FileId, signal: AbortSignal | undefined): Promise<Snapshot> | Snapshot {
    const inode = this.directory(id)
    const held = this.#hold(id)
    if (!held) return waitFor(this.#refresh(inode, 'insist'), signal, 'list a directory')
    const freshness = inode.cap!.mutable ? this.#freshness(held.listedAt) : 'fresh'
    if (freshness === 'fresh') return held.snapshot
    if (this.#failedJustNow(held)) return held.snapshot
    const refreshed = this.#refresh(inode, 'once')
    return freshness === 'stale'
      ? held.snapshot
      : waitFor(this.#patiently(refreshed, held.snapshot), signal, 'list a directory')
  }

  /** The inode that a name leads to, its size known. ENOENT only from a complete listing. */
  async find(dir: FileId, name: string, signal: AbortSignal | undefined): Promise<Inode> {
    for (;;) {
      const snapshot = await this.list(dir, signal)
      const edge = snapshot.find(name)
      if (!edge) throw new FsError('ENOENT', 'lookup')
      const inode = this.known(edge.id)
      try {
        if (inode) return await this.sized(inode, signal)
      } catch (err) {
        if (codeOf(err) !== 'ESTALE') throw err
      }
      // The name went, or leads elsewhere, while this looked: then there is a newer listing.
      if (this.#hold(dir)?.snapshot === snapshot) throw new FsError('EIO', 'lookup: its inode is lost')
    }
  }

  /** Sees that an inode's attributes are as fresh as the listing they come from. */
  async settle(id: FileId, signal: AbortSignal | undefined): Promise<Inode> {
    const inode = this.inode(id)
    if (inode.kind === 'directory') {
      if (this.#hold(id)) await this.list(id, signal) // otherwise there is nothing newer to show
      return this.inode(id)
    }
    await this.list(inode.parent, signal)
    return this.sized(this.inode(id), signal)
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
    return this.inode(inode.id)
  }

  /** Asks the grid for a mutable file's size and version. */
  restat(inode: Inode): Promise<void> {
    return this.#asker.ask(`stat ${inode.id}`, 'ask for a size', async signal => {
      const { cap } = inode
      const { size, version } = await this.#grid.stat(cap!, { signal })
      await this.#inTurn(async () => {
        if (inode.cap !== cap) return // the name leads elsewhere by now
        const mark = this.#mark(version)
        if (mark !== inode.mark) {
          // Nothing was shown before the first answer; what is shown now differs from what was.
          const first = inode.mark === 0n
          const times = first ? {} : { mtime: later(inode.mtime), ctime: later(inode.ctime) }
          const change: InodeChange = { size, mark, ...times }
          await this.#state.commit([setInode(inode, change)])
          Object.assign(inode, change)
        }
        inode.version = { version, at: Date.now() }
      })
    })
  }

  /** Odd: neither 0 nor MOVED, which stand for a version that was not asked for. */
  #mark(version: string): bigint {
    return BigInt.asIntN(64, keyedHash(this.#locatorKey, `version ${version}`, 8).readBigUInt64BE() | 1n)
  }

  #freshness(at: number | null): 'fresh' | 'stale' | 'old' {
    if (at === null) return 'old'
    // A clock that was set back must not make a listing young for ever.
    const age = Math.abs(Date.now() - at)
    return age < this.#ttl ? 'fresh' : age < 3 * this.#ttl ? 'stale' : 'old'
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
    const loaded: Held = { snapshot: Snapshot.unpack(packed), listedAt: null, failures: 0, failedAt: 0 }
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
    const list = async (signal: AbortSignal) => {
      const listing = await this.#grid.list(dir.cap!, { signal })
      return this.#inTurn(() => this.#take(dir, listing))
    }
    const asked =
      how === 'once'
        ? this.#asker.once(`list ${dir.id}`, list)
        : this.#asker.ask(`list ${dir.id}`, 'list a directory', list)
    const refreshing = asked
      .catch((err: unknown) => {
        const held = this.#held.get(dir.id)
        if (held) {
          held.failures++
          held.failedAt = performance.now()
        }
        throw err
      })
      .finally(() => this.#refreshing.delete(dir.id))
    refreshing.catch(() => {}) // whoever waits hears of it, and the asker has noted it
    this.#refreshing.set(dir.id, refreshing)
    return refreshing
  }

  /** Whether the grid was out of reach a moment ago; the moments grow. */
  #failedJustNow({ failures, failedAt }: Held): boolean {
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

  /** One change at a time, from what it looks at until it is durable and shown. */
  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#turns.then(change)
    this.#turns = done.catch(() => {})
    return done
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
    for (const [inode, by, parent] of merged.relinked) {
      inode.edges += by
      inode.parent = parent
    }
    for (const id of merged.dropped) this.#inodes.delete(id)
    this.#held.set(dir.id, { snapshot: merged.snapshot, listedAt: Date.now(), failures: 0, failedAt: 0 })
    return merged.snapshot
  }

  #locate(cap: Cap): Inode | undefined {
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
