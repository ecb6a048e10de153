// A directory's last snapshot meets a new listing. Names that stayed keep their inode and
// cookie; a name that leads to other content keeps its inode and gets new times; a name
// whose type changed, or a directory that is another one, gets a new inode.
// Nothing is changed here: the result says what to make durable, and then what to apply.

import type { Cap } from '../../tahoe/cap.ts'
import type { Child, Listing } from '../../tahoe/grid.ts'
import { nameKey } from '../names.ts'
import type { Op } from '../state/schema.ts'
import type { FileId, Kind } from '../vfs.ts'
import { edgeAttrs } from './edge.ts'
import { addInode, type Inode, type InodeChange, MOVED, setInode } from './inode.ts'
import { type Edge, Names, Snapshot } from './snapshot.ts'

/** What a merge needs to know of the rest of the tree. */
export type World = {
  readonly dir: Inode
  readonly now: bigint
  inode(id: FileId): Inode | undefined
  /** The inode of a directory that is known already, wherever it hangs. */
  directory(cap: Cap): Inode | undefined
  /** A new id and generation, and for a directory what finds it again. */
  draw(): { id: FileId; generation: bigint }
  locator(cap: Cap): Uint8Array
  sealCap(id: FileId, cap: Cap): Uint8Array
}

export type Merged = {
  readonly snapshot: Snapshot
  /** Whether anything is different from before, so that the snapshot must be kept. */
  readonly changed: boolean
  readonly ops: readonly Op[]
  readonly added: readonly Inode[]
  readonly changes: readonly (readonly [Inode, InodeChange])[]
  /** Directories that this one names more (+1) or less (−1) often, and where they hang then. */
  readonly relinked: readonly (readonly [Inode, number, FileId])[]
  readonly dropped: readonly FileId[]
}

export function merge(before: Snapshot | null, listing: Listing, world: World): Merged {
  const ops: Op[] = []
  const added: Inode[] = []
  const changes: [Inode, InodeChange][] = []
  const relinked: [Inode, number, FileId][] = []
  const dropped: FileId[] = []
  const old = new Map(before?.edges.map(edge => [edge.real, edge]))
  const made = new Map<string, Inode>() // directories added by this very listing
  let next = before?.next ?? 1n
  let changed = before === null

  const leave = (edge: Edge) => {
    const inode = world.inode(edge.id)
    if (inode?.kind === 'directory') {
      relinked.push([inode, -1, inode.parent])
      ops.push(['addEdges', -1, inode.parent, inode.id])
    } else {
      dropped.push(edge.id)
      ops.push(['dropInode', edge.id])
    }
  }

  /** The inode that a name leads to now, `was` being what it led to before. */
  const settle = (child: Child, was: Edge | undefined): Inode => {
    const attrs = edgeAttrs(child)
    const known = was && world.inode(was.id)
    if (known && known.kind === attrs.kind && sameThing(attrs.kind, was.cap, child.cap)) {
      const change = renew(known, was.cap, child, listing, world.now)
      if (change) {
        changes.push([known, change])
        if (attrs.kind === 'directory')
          ops.push(['setDirectoryCap', world.sealCap(known.id, child.cap), known.id])
        ops.push(setInode(known, change))
      }
      return known
    }
    if (was) leave(was)
    const elsewhere =
      attrs.kind === 'directory'
        ? (made.get(child.cap.readonly().uri()) ?? world.directory(child.cap))
        : undefined
    if (elsewhere) {
      const parent = parentOf(elsewhere, world)
      relinked.push([elsewhere, 1, parent])
      ops.push(['addEdges', 1, parent, elsewhere.id])
      return elsewhere
    }
    const inode = birth(child, listing, world)
    added.push(inode)
    ops.push(addInode(inode, attrs.kind === 'directory' ? world.locator(child.cap) : null))
    if (attrs.kind === 'directory') {
      made.set(child.cap.readonly().uri(), inode)
      ops.push(['addDirectory', inode.id, world.sealCap(inode.id, child.cap)])
    }
    return inode
  }

  const kept: Edge[] = []
  const fresh: Edge[] = []
  const names = new Names(
    before?.edges.filter(edge => listing.children.has(edge.real)).map(edge => nameKey(edge.name)),
  )
  for (const [real, child] of listing.children) {
    const was = old.get(real)
    old.delete(real)
    const { id } = settle(child, was)
    const name = was?.name ?? names.show(real)
    if (was?.id === id) {
      const same = was.cap.uri() === child.cap.uri()
      kept.push(
        same ? { ...was, metadata: child.metadata } : { ...was, cap: child.cap, metadata: child.metadata },
      )
      if (!same) changed = true
    } else {
      fresh.push({ real, name, cookie: next++, id, cap: child.cap, metadata: child.metadata })
      changed = true
    }
  }
  for (const edge of old.values()) {
    leave(edge)
    changed = true
  }
  kept.sort((a, b) => (a.cookie < b.cookie ? -1 : 1))

  if (changed && before !== null) {
    const moved = { mtime: later(world.dir.mtime, world.now), ctime: later(world.dir.ctime, world.now) }
    changes.push([world.dir, moved])
    ops.push(setInode(world.dir, moved))
  }
  return {
    snapshot: new Snapshot([...kept, ...fresh], next),
    changed,
    ops,
    added,
    changes,
    relinked,
    dropped,
  }
}

/**
 * Where a directory hangs once `world.dir` names it too: there, because that is the newest
 * that is known of it, unless it would then hang below itself.
 */
function parentOf(directory: Inode, world: World): FileId {
  for (let above: Inode | undefined = world.dir, id = 0n; above && above.id !== id; ) {
    if (above.id === directory.id) return directory.parent
    id = above.id
    above = world.inode(above.parent)
  }
  return world.dir.id
}

/** A directory is its storage index, whatever authority leads to it; a file is its name. */
const sameThing = (kind: Kind, a: Cap, b: Cap): boolean =>
  kind !== 'directory' || a.readonly().uri() === b.readonly().uri()

const later = (than: bigint, now: bigint): bigint => (now > than ? now : than + 1n)

const mayChange = (cap: Cap, listing: Listing): boolean =>
  cap.type === 'file' && !cap.mutable ? listing.writable : cap.type !== 'unknown' && cap.authority === 'write'

const defaultMode = (cap: Cap, writable: boolean): number =>
  cap.type === 'directory' ? (writable ? 0o700 : 0o500) : cap.type === 'file' ? (writable ? 0o600 : 0o400) : 0

function birth(child: Child, listing: Listing, world: World): Inode {
  const attrs = edgeAttrs(child)
  const writable = mayChange(child.cap, listing)
  const mtime = attrs.mtime ?? world.now
  return {
    ...world.draw(),
    kind: attrs.kind,
    mode: modeOf(attrs.kind, attrs.mode, child.cap, writable),
    size: child.cap.size ?? 0,
    atime: mtime,
    mtime,
    ctime: attrs.ctime ?? mtime,
    writable,
    parent: world.dir.id,
    edges: 1,
    mark: 0n,
    cap: child.cap,
    version: null,
  }
}

function modeOf(kind: Kind, mode: number | null, cap: Cap, writable: boolean): number {
  if (kind === 'symlink') return 0o777
  if (mode === null) return defaultMode(cap, writable)
  return writable ? mode : mode & ~0o222
}

const isSized = (inode: Inode, was: Cap): boolean => !was.mutable || inode.mark !== 0n

/** What becomes of an inode whose edge leads to another cap now; null when nothing does. */
function renew(inode: Inode, was: Cap, child: Child, listing: Listing, now: bigint): InodeChange | null {
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
    return shows ? { cap, writable, mode, ctime: later(inode.ctime, now) } : { cap }
  }
  // The times must differ from those shown before, or a client keeps what it has cached.
  const mtime = attrs.mtime ?? later(inode.mtime, now)
  return {
    cap,
    writable,
    mode,
    version: null,
    mark: cap.mutable && isSized(inode, was) ? MOVED : 0n,
    // Of a mutable file the last known size is shown until the grid says the next.
    size: cap.size ?? (cap.mutable ? inode.size : 0),
    mtime: mtime === inode.mtime ? mtime + 1n : mtime,
    ctime: later(inode.ctime, attrs.ctime ?? now),
  }
}
