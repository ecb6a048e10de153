// The file system that every frontend shares, shaped by what NFSv3 leaves out:
// no open files and no position, but an id, and a point of durability.
//
// Ids name inodes; names are strings that are already valid UTF-8 without '/' or
// NUL (the frontend refuses others at its edge). Every method throws FsError.
// ESTALE: the id is not, or no longer, an inode. EAGAIN: waiting ran out of the
// caller's patience (its `signal`), and nothing has happened. EIO: it failed.
// Methods that change something also throw EROFS where nothing may change, and ENOSPC.

/** A persistent 64-bit number, above 0 and below 2^63; never used again for another inode. */
export type FileId = bigint

export type Kind = 'file' | 'directory' | 'symlink'

/**
 * The attributes of one inode, from the same place and moment as its data.
 * Times are nanoseconds since 1970. mtime and ctime grow strictly with each change.
 */
export type Attr = {
  readonly id: FileId
  /** 64 random bits drawn with the id, for frontends whose handles must not be guessed. */
  readonly generation: bigint
  readonly kind: Kind
  /** Permission bits only, at most 0o7777. */
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  /** Bytes of content; for a symlink the bytes of its target. */
  readonly size: number
  /** Bytes it takes, an estimate. */
  readonly used: number
  readonly atime: bigint
  readonly mtime: bigint
  readonly ctime: bigint
  /** Whether its caps let it be changed (a directory: its names); where not, changes are EROFS. */
  readonly writable: boolean
}

/** An object before and after, read in the same turn of the event loop as the change between them. */
export type Change = { readonly before: Attr; readonly after: Attr }

/** What every call may carry. */
export type Call = {
  /** The caller's patience: aborting ends the wait (EAGAIN), not the work that others may share. */
  readonly signal?: AbortSignal | undefined
  /** Who calls; nobody looks into it. News of what the call changed carries it. */
  readonly by?: object | undefined
}

/**
 * That something is shown otherwise than before. `by` is the `by` of the call that changed it; undefined
 * where there was none, and of what others changed on the grid, though a call's look may have brought it here.
 */
export type News =
  /** Of an inode mode, times, nlink or `writable`; its bytes are what they were. */
  | { readonly what: 'attributes'; readonly id: FileId; readonly by: object | undefined }
  /** Its bytes, a symlink's target too, and what goes with them: size and times. */
  | { readonly what: 'content'; readonly id: FileId; readonly by: object | undefined }
  /**
   * A name of a directory leads to another inode, or to one where there was none, or to none any more. It
   * is spelt as it is shown, or was; other spellings of it go with it. The directory's attributes and its
   * list changed too, which is not told besides; so did `..` of a directory that moved. What a directory
   * held when it goes, goes with it, untold.
   */
  | { readonly what: 'name'; readonly dir: FileId; readonly name: string; readonly by: object | undefined }

/** What a changing call may carry besides. */
export type ChangingCall = Call & {
  /**
   * Names this call, for callers that may repeat it after a lost answer. The result
   * is kept with its effect; a key seen before gets that result again (of the newest
   * 1,024 keys at least, across restarts). An error with no effect is not kept.
   */
  readonly once?: string | undefined
}

/** Attributes to set; what is absent stays. `now` is the server's clock. */
export type AttrChange = {
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly size?: number
  readonly atime?: bigint | 'now'
  readonly mtime?: bigint | 'now'
}

/**
 * How to create: `unchecked` takes an existing file as it is (and applies `size`
 * alone to it), `guarded` refuses it with EEXIST, `exclusive` refuses it unless the
 * same `createverf` (8 bytes) made it, also across a restart.
 */
export type CreateHow =
  | { readonly mode: 'unchecked' | 'guarded'; readonly attrs: AttrChange }
  | { readonly mode: 'exclusive'; readonly createverf: Uint8Array }

/** What became of a name: the inode it now leads to, and its directory. */
export type Made = { readonly attr: Attr; readonly dir: Change }

/** What a removal changed; `object.after.nlink` is 0 when this was its last name. */
export type Removed = { readonly dir: Change; readonly object: Change }

/** What a rename changed. Within one directory `from` and `to` are the same change. */
export type Renamed = {
  readonly from: Change
  readonly to: Change
  readonly object: Change
  /** What the new name led to before, when that was another inode. */
  readonly replaced: Change | null
}

/** One line of a listing. Resuming after `cookie` (never 0) gives what follows it. */
export type Entry = {
  readonly cookie: bigint
  readonly name: string
  readonly id: FileId
  /** Null where knowing would cost a question to the grid; `lookup` asks it. */
  readonly attr: Attr | null
}

export type Read = {
  /** The bytes, in order, in as many pieces as they were found; the reader must not change them. */
  readonly data: readonly Uint8Array[]
  readonly eof: boolean
  readonly attr: Attr
}

export type Written = Change & {
  readonly count: number
  /** Whether it would survive a loss of power now. */
  readonly stable: boolean
}

export type FsStat = {
  readonly totalBytes: number
  readonly freeBytes: number
  readonly totalFiles: number
  readonly freeFiles: number
}

export interface Vfs {
  readonly root: FileId

  /** Whether the whole file system refuses changes: a read-only cap, or the user's wish. */
  readonly readOnly: boolean

  /** The longest name in bytes; a longer one is ENAMETOOLONG. */
  readonly nameMax: number

  /**
   * Eight bytes that change when data written but not committed may have been lost:
   * at each start, and after a failed commit. One value for the whole file system.
   */
  readonly writeverf: Uint8Array

  /**
   * The attributes as they are known here, at once and without asking; ESTALE as ever. For
   * whoever must see that an id is good, or tell what an operation left; `getattr` sees
   * that they are as fresh as they should be.
   */
  known(id: FileId): Attr

  getattr(id: FileId, call?: Call): Promise<Attr>

  /**
   * Tells `listener` of every change of what is shown, in the turn of the event loop in which it
   * is made, until the function that is returned is called. A listener is quick and does not throw.
   */
  watch(listener: (news: News) => void): () => void

  /**
   * Milliseconds for which what is known of an inode need not be asked for again by somebody who
   * watches: attributes and bytes, of a directory its names, and those that it does not have. Infinity
   * where nothing changes but by changes made here, 0 where it is due or nothing is known. It never
   * throws, and is cheap enough for each entry of a listing.
   */
  freshFor(id: FileId): number

  /**
   * Sets attributes, all or none. With `guard`, only if ctime is still that: ECANCELED.
   * An empty change succeeds and touches nothing. EISDIR for the size of a directory,
   * EINVAL for that of a symlink, EPERM for an owner other than the present one.
   */
  setattr(
    id: FileId,
    change: AttrChange,
    call?: ChangingCall & { guard?: bigint | undefined },
  ): Promise<Change>

  /**
   * The inode behind a name, compared in NFC; '.' and '..' work, and '..' of the root
   * is the root. ENOENT only from a complete listing. ENOTDIR when `dir` is not one.
   */
  lookup(dir: FileId, name: string, call?: Call): Promise<Attr>

  /**
   * The entries after `cookie` (0n: from the start), without '.' and '..', made as
   * they are drawn from one moment's listing; drawing needs no await and may stop anywhere.
   * A cookie stays good while entries come and go, and across restarts.
   */
  list(dir: FileId, cookie: bigint, call?: Call): Promise<Iterable<Entry>>

  /** At most `count` bytes from `offset`; fewer before the end are allowed, none are not. EISDIR, EINVAL for a symlink. */
  read(id: FileId, offset: number, count: number, call?: Call): Promise<Read>

  /**
   * Visible at once to every reader; `stable` waits until it is durable. A gap before `offset` reads
   * zero. Done twice it is as if done once, so it carries no `once`.
   */
  write(id: FileId, offset: number, data: Uint8Array, stable: boolean, call?: Call): Promise<Written>

  /** fsync: what was written to `id` before is durable on this machine when this returns. */
  commit(id: FileId, call?: Call): Promise<Attr>

  create(dir: FileId, name: string, how: CreateHow, call?: ChangingCall): Promise<Made>
  mkdir(dir: FileId, name: string, attrs: AttrChange, call?: ChangingCall): Promise<Made>

  /** `target` is kept as it is: bytes that nobody here interprets, at most 4,096 (ENAMETOOLONG). */
  symlink(
    dir: FileId,
    name: string,
    target: Uint8Array,
    attrs: AttrChange,
    call?: ChangingCall,
  ): Promise<Made>

  /** EINVAL for anything but a symlink. */
  readlink(id: FileId, call?: Call): Promise<{ readonly target: Uint8Array; readonly attr: Attr }>

  /** A second name for the same inode. EISDIR for a directory, EEXIST when the name is taken. */
  link(id: FileId, dir: FileId, name: string, call?: ChangingCall): Promise<Made>

  /** EISDIR for a directory. The inode lives on under its other names, and while it is retained. */
  remove(dir: FileId, name: string, call?: ChangingCall): Promise<Removed>

  /** ENOTDIR for anything else, ENOTEMPTY while it holds a name, EINVAL for '.', EEXIST for '..'. */
  rmdir(dir: FileId, name: string, call?: ChangingCall): Promise<Removed>

  /**
   * Moves a name, replacing what the new one led to: a file by a file, an empty
   * directory by a directory, otherwise EISDIR, ENOTDIR or ENOTEMPTY. EINVAL below itself.
   * Two names of one inode: success, both stay. With `replace` false it replaces nothing: EEXIST where the
   * new name leads to anything, the same inode too.
   */
  rename(
    fromDir: FileId,
    fromName: string,
    toDir: FileId,
    toName: string,
    call?: ChangingCall & { replace?: boolean | undefined },
  ): Promise<Renamed>

  /** Counted: a removed inode lives while it is retained. The last release of a written file seals it. */
  retain(id: FileId): void
  release(id: FileId): void

  statfs(call?: Call): Promise<FsStat>

  /** Ends it: what is durable stays, what waits goes on at the next start. */
  close(): Promise<void>
}
