// Changing names and attributes, each in one turn of the event loop: what is judged is what
// is changed, and before and after have nothing between them. Nothing here waits.

import { FsError } from '../../errors.ts'
import { LIT_MAX, litCap } from '../../tahoe/cap.ts'
import { NAME_MAX, nameKey } from '../names.ts'
import type { Change } from '../tree/change.ts'
import type { Folder } from '../tree/folder.ts'
import { alter, attrOf, type Inode, now, type Owner, setTimes, stamp, touch } from '../tree/inode.ts'
import { intend, localise, republish } from '../tree/intents.ts'
import { isAtOrBelow } from '../tree/paths.ts'
import type { Tree } from '../tree/tree.ts'
import type * as V from '../vfs.ts'
import { Draft } from './draft.ts'
import type { Run } from './staging.ts'

/** The longest target that Linux and macOS follow. */
const TARGET_MAX = 4096

const defaultModes = { file: 0o644, directory: 0o755, symlink: 0o777 } as const

/** A directory and its folder. */
export type Place = { readonly dir: Inode; readonly folder: Folder }

export class Changes {
  readonly #tree: Tree
  readonly #owner: Owner
  /** Hears of inodes whose content or names wait for the grid. */
  readonly #waits: (inode: Inode) => void

  constructor(tree: Tree, owner: Owner, waits: (inode: Inode) => void) {
    this.#tree = tree
    this.#owner = owner
    this.#waits = waits
  }

  attr(inode: Inode): V.Attr {
    return attrOf(inode, this.#owner)
  }

  /** The draft of a file, begun when there is none. Whoever changes it says that it waits. */
  draft(inode: Inode, change: Change): Draft {
    // Its content would be lost: it must have been brought here before.
    if (!inode.local?.draft && inode.cap?.mutable) throw new FsError('EIO', 'write to a mutable file')
    republish(this.#tree, inode, change)
    const local = inode.local!
    if (!local.draft) {
      local.draft = new Draft(inode, inode.size)
      change.ops.push(this.#tree.rows.local(inode))
    }
    return local.draft
  }

  /** That of a mutable file, without its content: whoever asks puts it there, or cuts the file to nothing. EAGAIN without its version. */
  emptyDraft(inode: Inode, change: Change): Draft {
    if (!inode.version) throw new FsError('EAGAIN', 'write to a mutable file whose version is not known')
    republish(this.#tree, inode, change)
    // It is written down with its bytes and no sooner: a crash in between would leave a draft that has none.
    const draft = new Draft(inode, 0)
    draft.replaces = inode.version.version
    inode.local!.draft = draft
    return draft
  }

  /** The bytes of a run are at `offset`; the run was held by whoever appended it, and is let go. */
  write(inode: Inode, run: Run, offset: number, change: Change): V.Change {
    const before = this.attr(inode)
    this.draft(inode, change).write(run, offset, change)
    touch(inode, change)
    this.#waits(inode)
    return { before, after: this.attr(inode) }
  }

  setattr(inode: Inode, wanted: V.AttrChange, change: Change): V.Change {
    const before = this.attr(inode)
    if (wanted.size !== undefined) {
      const begins = wanted.size === 0 && inode.cap?.mutable && !inode.local?.draft
      const draft = begins ? this.emptyDraft(inode, change) : this.draft(inode, change)
      draft.resize(wanted.size, change)
      change.drafts.push(draft)
      touch(inode, change)
    } else {
      // The grid keeps no atime.
      if (wanted.mode !== undefined || wanted.mtime !== undefined) republish(this.#tree, inode, change)
      stamp(inode, change)
    }
    if (inode.local) inode.local.changes++
    const { mode = inode.mode, atime = inode.atime, mtime = inode.mtime } = wanted
    const time = (wish: bigint | 'now') => (wish === 'now' ? inode.ctime : wish)
    alter(inode, { mode: mode & 0o7777, atime: time(atime), mtime: time(mtime) }, change)
    change.ops.push(setTimes(inode))
    this.#waits(inode)
    return { before, after: this.attr(inode) }
  }

  create(place: Place, name: string, how: V.CreateHow, change: Change): V.Made {
    const attrs = how.mode === 'exclusive' ? {} : how.attrs
    const there = isDots(name) ? undefined : this.#at(place, name)
    if (!there) {
      this.#refuse('create', 'file', attrs)
      const createverf = how.mode === 'exclusive' ? Uint8Array.from(how.createverf) : null
      return this.#make(
        place,
        name,
        this.#newInode(place, 'file', attrs, attrs.size ?? 0, createverf),
        change,
      )
    }
    const again =
      how.mode === 'exclusive' && there.createverf && Buffer.compare(there.createverf, how.createverf) === 0
    if (!again) {
      if (how.mode !== 'unchecked' || there.kind === 'symlink') throw new FsError('EEXIST', 'create')
      this.#refuse('create', there.kind, { size: attrs.size ?? 0 })
      if (attrs.size !== undefined) {
        if (!there.writable) throw new FsError('EROFS', 'create over a file that cannot be written')
        this.setattr(there, { size: attrs.size }, change)
      }
    }
    const dir = this.attr(place.dir)
    return { attr: this.attr(there), dir: { before: dir, after: dir } }
  }

  mkdir(place: Place, name: string, attrs: V.AttrChange, change: Change): V.Made {
    const { size: _, ...sizeless } = attrs
    this.#refuse('mkdir', 'directory', sizeless)
    if (isLocal(name)) throw new FsError('EACCES', 'mkdir: names beginning .nfs stay on this machine')
    const inode = this.#newInode(place, 'directory', sizeless, 0, null)
    const made = this.#make(place, name, inode, change)
    this.#tree.begin(inode.id)
    return made
  }

  symlink(place: Place, name: string, target: Uint8Array, attrs: V.AttrChange, change: Change): V.Made {
    const { size: _, ...sizeless } = attrs
    if (target.length > TARGET_MAX) throw new FsError('ENAMETOOLONG', 'symlink')
    this.#refuse('symlink', 'symlink', sizeless)
    return this.#make(
      place,
      name,
      this.#newInode(place, 'symlink', sizeless, target.length, null),
      change,
      target,
    )
  }

  link(inode: Inode, place: Place, name: string, change: Change): V.Made {
    if (inode.kind === 'directory') throw new FsError('EISDIR', 'link')
    if (inode.edges === 0) throw new FsError('ENOENT', 'link of what has no name')
    this.#mayMake(place, name)
    const before = this.attr(place.dir)
    localise(this.#tree, inode, change)
    intend(this.#tree, place.folder, name, inode.id, change)
    stamp(inode, change)
    this.#tree.named(inode, place.dir.id, change)
    this.#touched(place, change)
    this.#waits(inode)
    return { attr: this.attr(inode), dir: { before, after: this.attr(place.dir) } }
  }

  remove(place: Place, name: string, change: Change): V.Removed {
    if (isDots(name)) throw new FsError('EINVAL', `remove ${name}`)
    const inode = this.#named(place, name)
    if (inode.kind === 'directory') throw new FsError('EISDIR', 'remove')
    return this.#unlink(place, name, inode, change)
  }

  /** `inside`: the folder of what is removed, when it is a directory. */
  rmdir(place: Place, name: string, inside: Folder | undefined, change: Change): V.Removed {
    if (isDots(name)) throw new FsError(name === '.' ? 'EINVAL' : 'EEXIST', `rmdir ${name}`)
    const inode = this.#named(place, name)
    if (inode.kind !== 'directory') throw new FsError('ENOTDIR', 'rmdir')
    if (inside?.id !== inode.id) throw new FsError('EAGAIN', 'rmdir: the name leads elsewhere by now')
    if (!inside.isEmpty) throw new FsError('ENOTEMPTY', 'rmdir')
    return this.#unlink(place, name, inode, change)
  }

  /** `inside`: the folder of what is replaced, when it is a directory. */
  rename(
    from: Place,
    fromName: string,
    to: Place,
    toName: string,
    { replaces, inside }: { readonly replaces: boolean; readonly inside: Folder | undefined },
    change: Change,
  ): V.Renamed {
    if (isDots(fromName) || isDots(toName)) throw new FsError('EINVAL', 'rename')
    const inode = this.#named(from, fromName)
    const old = this.#at(to, toName)
    if (old && !replaces) throw new FsError('EEXIST', 'rename')
    if (to.dir.edges === 0) throw new FsError('ENOENT', 'rename into a removed directory')
    if (inode.kind === 'directory') {
      if (isAtOrBelow(this.#tree, to.dir.id, inode.id)) throw new FsError('EINVAL', 'rename below itself')
      if (isLocal(toName)) throw new FsError('EACCES', 'rename: names beginning .nfs stay on this machine')
    }
    const replaced = old && old.id !== inode.id ? old : null
    if (replaced) mayReplace(inode, replaced, inside)
    const objects = [from.dir, to.dir, inode, replaced ?? inode]
    const before = objects.map(each => this.attr(each))
    if (old?.id !== inode.id) {
      localise(this.#tree, inode, change)
      stamp(inode, change)
      intend(this.#tree, from.folder, fromName, null, change)
      intend(this.#tree, to.folder, toName, inode.id, change)
      if (replaced) {
        stamp(replaced, change)
        this.#tree.unnamed(replaced, to.folder, change)
      }
      if (from.dir.id !== to.dir.id) {
        this.#tree.named(inode, to.dir.id, change)
        this.#tree.unnamed(inode, from.folder, change)
      }
      inode.key = nameKey(toName)
      change.ops.push(setTimes(inode))
      for (const place of from.dir.id === to.dir.id ? [from] : [from, to]) this.#touched(place, change)
      this.#waits(inode)
    }
    const changes = objects.map((each, i) => ({ before: before[i]!, after: this.attr(each) }))
    return { from: changes[0]!, to: changes[1]!, object: changes[2]!, replaced: replaced && changes[3]! }
  }

  #refuse(what: string, kind: V.Kind, attrs: V.AttrChange): void {
    refuseAttrs(what, kind, this.#owner, attrs)
  }

  #at({ folder }: Place, name: string): Inode | undefined {
    if (Buffer.byteLength(name) > NAME_MAX) throw new FsError('ENAMETOOLONG', 'a name of more than 255 bytes')
    const found = folder.find(name)
    return found && this.#tree.inode(found.id)
  }

  #named(place: Place, name: string): Inode {
    const inode = this.#at(place, name)
    if (!inode) throw new FsError('ENOENT', 'no such name')
    return inode
  }

  #mayMake(place: Place, name: string): void {
    if (isDots(name) || this.#at(place, name)) throw new FsError('EEXIST', 'the name is taken')
    if (place.dir.edges === 0) throw new FsError('ENOENT', 'a name in a removed directory')
  }

  #newInode(
    { dir }: Place,
    kind: V.Kind,
    attrs: V.AttrChange,
    size: number,
    createverf: Uint8Array | null,
  ): Inode {
    const time = now()
    const wished = (wish: bigint | 'now' | undefined) => (typeof wish === 'bigint' ? wish : time)
    return {
      ...this.#tree.draw(),
      kind,
      mode: (attrs.mode ?? defaultModes[kind]) & 0o7777,
      size,
      atime: wished(attrs.atime),
      mtime: wished(attrs.mtime),
      ctime: time,
      writable: true,
      parent: dir.id,
      edges: 1,
      mark: 0n,
      cap: null,
      version: null,
      createverf,
      key: null,
      publishedAt: 0,
      local: { since: Date.now(), metadata: {}, sent: [], changes: 0, draft: null, target: null },
    }
  }

  #make(place: Place, name: string, inode: Inode, change: Change, target: Uint8Array | null = null): V.Made {
    this.#mayMake(place, name)
    const before = this.attr(place.dir)
    inode.key = nameKey(name)
    if (inode.kind === 'file') inode.local!.draft = new Draft(inode, 0)
    if (target) {
      if (target.length <= LIT_MAX) inode.cap = litCap(target)
      else inode.local!.target = Buffer.from(target)
    }
    this.#tree.add(inode, change)
    change.ops.push(this.#tree.rows.local(inode), ['setMeta', 'lastId', this.#tree.lastId])
    intend(this.#tree, place.folder, name, inode.id, change)
    this.#touched(place, change)
    this.#waits(inode)
    return { attr: this.attr(inode), dir: { before, after: this.attr(place.dir) } }
  }

  #unlink(place: Place, name: string, inode: Inode, change: Change): V.Removed {
    const before = this.attr(inode)
    const dirBefore = this.attr(place.dir)
    intend(this.#tree, place.folder, name, null, change)
    stamp(inode, change)
    this.#tree.unnamed(inode, place.folder, change)
    this.#touched(place, change)
    const dir = { before: dirBefore, after: this.attr(place.dir) }
    return { dir, object: { before, after: this.attr(inode) } }
  }

  /** A directory's names changed. */
  #touched({ dir }: Place, change: Change): void {
    touch(dir, change)
    change.ops.push(setTimes(dir))
    this.#waits(dir)
  }
}

export const isDots = (name: string): boolean => name === '.' || name === '..'

/** What the kernel's client makes of a file that is removed while it is open: nobody else's business. */
export const isLocal = (name: string): boolean => name.startsWith('.nfs')

/** Throws for attributes that cannot be set, or not on such a thing. */
export function refuseAttrs(
  what: string,
  kind: V.Kind,
  owner: Owner,
  { uid, gid, size }: V.AttrChange,
): void {
  if ((uid ?? owner.uid) !== owner.uid || (gid ?? owner.gid) !== owner.gid)
    throw new FsError('EPERM', `${what}: another owner`)
  if (size === undefined) return
  if (kind !== 'file') throw new FsError(kind === 'directory' ? 'EISDIR' : 'EINVAL', `${what}: a size`)
  if (!Number.isSafeInteger(size) || size < 0) throw new FsError('EINVAL', `${what}: a size`)
}

/** Whether a rename may put `inode` where `old` is. */
function mayReplace(inode: Inode, old: Inode, inside: Folder | undefined): void {
  if (old.kind !== 'directory') {
    if (inode.kind === 'directory') throw new FsError('ENOTDIR', 'rename of a directory over something else')
    return
  }
  if (inode.kind !== 'directory') throw new FsError('EISDIR', 'rename over a directory')
  if (inside?.id !== old.id) throw new FsError('EAGAIN', 'rename: the name leads elsewhere by now')
  if (!inside.isEmpty) throw new FsError('ENOTEMPTY', 'rename over a directory with names')
}
