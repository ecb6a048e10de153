// A directory's last snapshot meets a new listing. Names that stayed keep their inode and
// cookie; a name that leads to other content keeps its inode and gets new times; a name
// whose type changed, or a directory that is another one, gets a new inode. Names with an
// intent are not shown as the listing has them, and so change nothing that is shown.

import type { Cap } from '../../tahoe/cap.ts'
import type { Child, Listing } from '../../tahoe/grid.ts'
import { nameKey } from '../names.ts'
import type { FileId, Kind } from '../vfs.ts'
import type { Change } from './change.ts'
import { edgeAttrs } from './edge.ts'
import { type Folder, type Intent, newIntent } from './folder.ts'
import { alter, type Inode, type InodeChange, later, MOVED, now, setInode, touch } from './inode.ts'
import { localise, settle } from './intents.ts'
import { isAtOrBelow, isPendingBelow } from './paths.ts'
import { type Edge, Names, NOBODY, Snapshot } from './snapshot.ts'
import type { Tree } from './tree.ts'

/** What a listing proves, which was read after our own edits. */
export type Proof = {
  /** Intents that were carried out, and have not changed since, by their name on the grid. */
  readonly settled: ReadonlyMap<string, Intent>
  /** Names whose intents were given up: they are shown as the grid has them. */
  readonly released: ReadonlySet<string>
}

export const nothing: Proof = { settled: new Map(), released: new Set() }

/** Merges a listing into what is in memory; `change` says what to write down. */
export function merge(
  tree: Tree,
  dir: Inode,
  folder: Folder,
  listing: Listing,
  change: Change,
  proof = nothing,
): void {
  new Merge(tree, dir, folder, listing, change, proof).run()
}

class Merge {
  readonly #tree: Tree
  readonly #dir: Inode
  readonly #folder: Folder
  readonly #listing: Listing
  readonly #change: Change
  readonly #proof: Proof
  readonly #time = now()
  readonly #left: Inode[] = []
  /** Whether the snapshot differs from the one before, and whether what is shown does. */
  #changed: boolean
  #showsOther = false

  constructor(tree: Tree, dir: Inode, folder: Folder, listing: Listing, change: Change, proof: Proof) {
    this.#tree = tree
    this.#dir = dir
    this.#folder = folder
    this.#listing = listing
    this.#change = change
    this.#proof = proof
    this.#changed = !folder.known
  }

  run(): void {
    const folder = this.#folder
    const { settled } = this.#proof
    const before = folder.snapshot
    const old = new Map(before.edges.map(edge => [edge.real, edge]))
    const intents = new Map([...folder.intents.values()].map(intent => [intent.real, intent]))
    const names = new Names(this.#namesThatStay(before, intents))
    const edges: Edge[] = []
    for (const [real, child] of this.#listing.children) {
      const was = old.get(real)
      old.delete(real)
      const done = settled.get(real)
      const intent = intents.get(real)
      if (done?.want) edges.push(this.#proved(done, child, was))
      else if (intent) edges.push(this.#hidden(intent, child, was))
      else edges.push(this.#visible(real, child, was, names))
    }
    for (const edge of old.values()) this.#vanished(edge, intents)
    edges.sort((a, b) => (a.cookie < b.cookie ? -1 : 1))

    folder.relist(new Snapshot(edges, folder.next), this.#change)
    for (const intent of settled.values()) settle(this.#tree, folder, intent, this.#change)
    for (const inode of this.#left) this.#tree.unnamed(inode, folder, this.#change)
    if (this.#showsOther && folder.known) {
      touch(this.#dir, this.#change)
      this.#change.ops.push(setInode(this.#dir))
    }
    folder.known = true
    if (this.#changed)
      this.#change.ops.push(this.#tree.rows.listing(folder), ['setMeta', 'lastId', this.#tree.lastId])
  }

  /** They stay as they are shown, whatever comes before them in the listing. */
  #namesThatStay(before: Snapshot, intents: ReadonlyMap<string, Intent>): string[] {
    const { children } = this.#listing
    return [
      ...before.edges.filter(edge => children.has(edge.real)).map(edge => nameKey(edge.name)),
      ...[...intents.values(), ...this.#proof.settled.values()].map(intent => nameKey(intent.name)),
    ]
  }

  /** What we put there is there. */
  #proved(intent: Intent, { cap, metadata }: Child, was: Edge | undefined): Edge {
    const { real, name, cookie } = intent
    if (was?.id !== intent.want || was!.cap.uri() !== cap.uri()) this.#changed = true
    return { real, name, cookie, id: intent.want!, cap, metadata }
  }

  /** Its inode is known only while it is what it was, and not the one that now hides it. */
  #hidden(intent: Intent, { cap, metadata }: Child, was: Edge | undefined): Edge {
    const { real, name, cookie } = intent
    const same = was?.cap.uri() === cap.uri()
    if (!same) this.#changed = true
    return { real, name: was?.name ?? name, cookie, id: same ? was!.id : NOBODY, cap, metadata }
  }

  #visible(real: string, child: Child, was: Edge | undefined, names: Names): Edge {
    const { cap, metadata } = child
    const trusted = was && !this.#proof.released.has(real) ? was : undefined
    const id = this.#settle(child, trusted)
    if (trusted?.id === id) {
      if (was!.cap.uri() !== cap.uri()) this.#changed = this.#showsOther = true
      return { ...was!, cap, metadata }
    }
    this.#changed = this.#showsOther = true
    const cookie = this.#folder.next++
    return { real, name: was?.name ?? names.show(real), cookie, id, cap, metadata }
  }

  /** The inode that a name leads to now, `was` being what it led to before. */
  #settle(child: Child, was: Edge | undefined): FileId {
    const kind = edgeAttrs(child).kind
    const known = was && this.#tree.known(was.id)
    if (
      known &&
      known.kind === kind &&
      sameThing(kind, was.cap, child.cap) &&
      !partsNames(known, was.cap, child.cap)
    ) {
      const change = known.local ? null : renew(known, was.cap, child, this.#listing, this.#time)
      if (change) this.#renewed(known, change)
      return known.id
    }
    if (known) this.#left.push(known)
    const elsewhere = kind === 'directory' ? this.#tree.locate(child.cap) : undefined
    if (elsewhere) {
      // Not below itself.
      const hangs = isAtOrBelow(this.#tree, this.#dir.id, elsewhere.id) ? elsewhere.parent : this.#dir.id
      this.#tree.named(elsewhere, this.#dir.id, this.#change, hangs)
      return elsewhere.id
    }
    const inode = birth(this.#tree, this.#dir, child, this.#listing, this.#time)
    this.#tree.add(inode, this.#change)
    return inode.id
  }

  #renewed(inode: Inode, change: InodeChange): void {
    alter(inode, change, this.#change)
    this.#change.ops.push(setInode(inode))
    if (inode.kind === 'directory' && change.cap)
      this.#change.ops.push(['setDirectoryCap', this.#tree.rows.cap(inode.id, change.cap), inode.id])
  }

  #vanished(edge: Edge, intents: ReadonlyMap<string, Intent>): void {
    this.#changed = true
    const { settled, released } = this.#proof
    if (settled.has(edge.real) || intents.has(edge.real) || released.has(edge.real)) return
    const inode = this.#tree.known(edge.id)
    if (inode?.kind === 'directory' && this.#isOurs(inode)) {
      this.#madeAgain(edge, inode)
      return
    }
    this.#showsOther = true
    if (inode) this.#left.push(inode)
  }

  /** Whether something of ours waits in a directory, or came into it after it was seen here last. */
  #isOurs(dir: Inode): boolean {
    return (
      dir.publishedAt > (this.#folder.listedAt ?? Number.POSITIVE_INFINITY) ||
      isPendingBelow(this.#tree, dir.id)
    )
  }

  /** It is not let go. */
  #madeAgain({ real, name, cookie }: Edge, inode: Inode): void {
    const folder = this.#folder
    localise(this.#tree, inode, this.#change)
    const intent = newIntent({ real, name, cookie, want: inode.id, expect: null, was: null })
    folder.begin(intent, this.#change)
    this.#change.ops.push(this.#tree.rows.intent(folder.id, intent))
    this.#change.madeAgain.push({ dir: folder.id, name })
  }
}

/** A directory is its storage index, whatever authority leads to it; a file is its name. */
const sameThing = (kind: Kind, a: Cap, b: Cap): boolean =>
  kind !== 'directory' || a.readonly().uri() === b.readonly().uri()

/** Other content under one of several names: the others keep what they have. */
const partsNames = ({ kind, edges, local }: Inode, was: Cap, is: Cap): boolean =>
  kind !== 'directory' && (edges > 1 || local !== null) && was.readonly().uri() !== is.readonly().uri()

/** A file's attributes stand in its directory, so both must be writable. */
const mayChange = (cap: Cap, listing: Listing): boolean =>
  cap.type === 'file'
    ? (!cap.mutable || cap.authority === 'write') && listing.writable
    : cap.type === 'directory' && cap.authority === 'write'

const defaultMode = (cap: Cap, writable: boolean): number =>
  cap.type === 'directory' ? (writable ? 0o700 : 0o500) : cap.type === 'file' ? (writable ? 0o600 : 0o400) : 0

function birth(tree: Tree, dir: Inode, child: Child, listing: Listing, time: bigint): Inode {
  const attrs = edgeAttrs(child)
  const writable = mayChange(child.cap, listing)
  const mtime = attrs.mtime ?? time
  return {
    ...tree.draw(),
    kind: attrs.kind,
    mode: modeOf(attrs.kind, attrs.mode, child.cap, writable),
    size: child.cap.size ?? 0,
    atime: mtime,
    mtime,
    ctime: attrs.ctime ?? mtime,
    writable,
    parent: dir.id,
    edges: 1,
    mark: 0n,
    cap: child.cap,
    version: null,
    createverf: null,
    key: null,
    publishedAt: 0,
    local: null,
  }
}

function modeOf(kind: Kind, mode: number | null, cap: Cap, writable: boolean): number {
  if (kind === 'symlink') return mode ?? 0o777
  if (mode === null) return defaultMode(cap, writable)
  return writable ? mode : mode & ~0o222
}

const isSized = (inode: Inode, was: Cap): boolean => !was.mutable || inode.mark !== 0n

/** What becomes of an inode whose edge leads to another cap now; null when nothing does. */
function renew(inode: Inode, was: Cap, child: Child, listing: Listing, time: bigint): InodeChange | null {
  const { cap } = child
  // What a directory's cap allows, it says itself; another path to it may have said more.
  if (cap.type === 'directory' && was.uri() === cap.uri()) return null
  const writable = mayChange(cap, listing)
  const sameContent = was.readonly().uri() === cap.readonly().uri()
  if (sameContent && writable === inode.writable && was.uri() === cap.uri()) return null
  const attrs = edgeAttrs(child)
  const mode = modeOf(inode.kind, attrs.mode, cap, writable)
  if (sameContent) {
    const shows = writable !== inode.writable || mode !== inode.mode
    return shows ? { cap, writable, mode, ctime: later(inode.ctime, time) } : { cap }
  }
  // The times must differ from those shown before, or a client keeps what it has cached.
  const mtime = attrs.mtime ?? later(inode.mtime, time)
  return {
    cap,
    writable,
    mode,
    version: null,
    mark: cap.mutable && isSized(inode, was) ? MOVED : 0n,
    // Of a mutable file the last known size is shown until the grid says the next.
    size: cap.size ?? (cap.mutable ? inode.size : 0),
    mtime: mtime === inode.mtime ? mtime + 1n : mtime,
    ctime: later(inode.ctime, attrs.ctime ?? time),
  }
}
