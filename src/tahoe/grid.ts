// What a file system needs of a grid. The gateway (a node's web API) is one way
// to have it; the native formats are another. Everything is addressed by cap,
// never by path, and every answer is complete and verified, or an error.
//
// Errors are FsErrors. EAGAIN means "not now" (a node that is down, shares that
// are out of reach, a stall, a body that broke off): the caller may ask again,
// and must never take it for "gone". ENOENT comes only from a grid that answered.

import type { Cap } from './cap.ts'

/** Edge metadata as stored: free-form JSON, carried through untouched. */
export type Metadata = { readonly [key: string]: unknown }

/** One child of a directory. `cap` is the strongest the listing gave. */
export type Child = { readonly cap: Cap; readonly metadata: Metadata }

/** A whole directory, names as the grid stores them (NFC). Never a part of one. */
export type Listing = {
  readonly children: ReadonlyMap<string, Child>
  /** Whether the cap that was listed may also be edited. */
  readonly writable: boolean
}

/** A half-open range of bytes; `end` may lie past the end of the content and is clamped. */
export type Range = { readonly start: number; readonly end: number }

/** Bytes to upload. `open` may be called more than once, and gives the same bytes each time. */
export type Source = {
  readonly size: number
  /** SHA-256 of the bytes, in lower-case hex, where it is known: spares a pass over them. */
  readonly digest?: string
  open(): AsyncIterable<Uint8Array>
}

/** A mutable file at one moment. `version` is opaque: equal exactly when the content is. */
export type Version = { readonly size: number; readonly version: string }

/**
 * One change to a directory, with what it expects to find: a cap, or `null` for
 * absence. Caps are compared by what they lead to, not by the authority they carry.
 * An unlink may come `after` a set of the same call, named by its name: it is done
 * only once that set is done, and refused when that set is.
 */
export type Edit =
  | { readonly op: 'set'; readonly name: string; readonly child: Child; readonly expect: Cap | null }
  | { readonly op: 'unlink'; readonly name: string; readonly expect: Cap; readonly after?: string }

/** What became of one edit: done, or refused because of what was there instead. */
export type Outcome = { readonly done: true } | { readonly done: false; readonly found: Cap | null }

export type Health = {
  readonly reachable: boolean
  /** One line for a person: `3 of 4 storage servers connected`. */
  readonly detail: string
  /** What is not as it should be though the grid can be used, a line each. */
  readonly missing?: readonly string[]
}

export type Waiting = { readonly signal?: AbortSignal | undefined }

export interface Grid {
  /**
   * The bytes of `range`, in order, as verified chunks of any size; ends early
   * only by throwing, and then every byte handed over before was right.
   * A mutable file is read at the `version` its `stat` gave, in ranges of at
   * most 1 MiB; another version in the grid is ESTALE, before any byte.
   * EINVAL for a cap that has no content to read (a directory, a verify cap, an unknown).
   */
  read(cap: Cap, range: Range, options?: Waiting & { version?: string }): AsyncIterable<Buffer>

  /**
   * Stores immutable content. The same bytes give the same cap, so asking again
   * after a lost answer is safe; equal content asked for at the same time is sent once.
   * `onProgress` hears the bytes sent so far.
   */
  upload(source: Source, options?: Waiting & { onProgress?: (bytes: number) => void }): Promise<Cap>

  /** The complete listing of a directory; ENOTDIR for a cap of anything else. */
  list(dir: Cap, options?: Waiting): Promise<Listing>

  /**
   * Makes changes to a directory, each checked against what it expects, in as few
   * publishes as the grid allows; all sets come before the first unlink. A refused
   * edit does not stop the others. `outcomes` is in the order of `edits`;
   * `listing` was read after the last change. EROFS for a cap that cannot write.
   * An edit that finds its own result already there is done. EINVAL for two edits of
   * one name, and for an unlink after a set that is not in the call.
   */
  edit(
    dir: Cap,
    edits: readonly Edit[],
    options?: Waiting,
  ): Promise<{ readonly outcomes: readonly Outcome[]; readonly listing: Listing }>

  /** A new mutable directory with its children, in one publish. It hangs nowhere yet. */
  mkdir(children?: ReadonlyMap<string, Child>, options?: Waiting): Promise<Cap>

  /** Size and version of a mutable file. An immutable's size is in its cap, and needs no asking. */
  stat(cap: Cap, options?: Waiting): Promise<Version>

  /**
   * Replaces the content of a mutable file, keeping its cap. ESTALE when it is no
   * longer at `expected`: nothing was written. EROFS for a cap that cannot write.
   */
  overwrite(cap: Cap, source: Source, options: Waiting & { expected: string }): Promise<Version>

  health(options?: Waiting): Promise<Health>

  /** Bytes in all and bytes free, as far as the storage servers say; null when they do not. */
  usage(options?: Waiting): Promise<{ readonly total: number; readonly free: number } | null>

  close(): Promise<void>
}
