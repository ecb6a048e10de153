// What holds shares. The calls are those of Tahoe's storage protocol ("Great Black Swamp",
// docs/specifications/http-storage-node-protocol.rst), so that a folder and a server across
// the network look alike. It knows nothing of files: a share is bytes under a storage index
// and a number, either written once (immutable), or changed by whoever has its write enabler.
//
// Errors are FsErrors: EAGAIN when it is out of reach, ENOSPC when it has no room, ENOENT for
// a share that it does not have, EACCES for a wrong secret, EIO for what is damaged there.

/** Storage indexes are 16 bytes, as 26 characters of base32. */
export type StorageIndex = string

export type ShareKind = 'immutable' | 'mutable'

/** Proves later who may renew or cancel; 32 bytes each. */
export type LeaseSecrets = { readonly renew: Buffer; readonly cancel: Buffer }

export type WriteSecrets = LeaseSecrets & { readonly writeEnabler: Buffer }

export type ServerVersion = {
  /** Bytes of the longest share that it takes. */
  readonly maxImmutable: number
  readonly maxMutable: number
  /** Bytes free for shares, and bytes in all where it says so. */
  readonly free: number
  readonly total: number | null
}

/** An immutable share on its way. Nobody sees it before it is closed. */
export interface ShareWriter {
  /** Writes these bytes one after another from `offset`, within what was allocated. */
  write(offset: number, parts: readonly Uint8Array[]): Promise<void>
  /** Returns when the share is durable, and there. */
  close(): Promise<void>
  /** Forgets it; what was allocated is free again. Does nothing after a close. */
  abort(): Promise<void>
}

export type Allocated = {
  /** The shares of those asked for that it has already. */
  readonly have: ReadonlySet<number>
  /** The others, as far as it takes them. */
  readonly writers: ReadonlyMap<number, ShareWriter>
}

/** What a mutable share must look like, and what to make of it. */
export type TestWrite = {
  /** Each must hold: at most `size` bytes from `offset` are the specimen. Of an absent share they are none. */
  readonly tests: readonly { readonly offset: number; readonly size: number; readonly specimen: Uint8Array }[]
  readonly writes: readonly { readonly offset: number; readonly data: Uint8Array }[]
  /** Cuts it to so many bytes after the writes; 0 removes it. One that is no shorter changes nothing, as on a Tahoe node. */
  readonly newLength: number | null
}

/** `size` bytes from `offset` of every share of a slot, fewer where a share ends. */
export type ReadVector = readonly { readonly offset: number; readonly size: number }[]

export type TestWritten = {
  /** Whether the tests held. If one of them did not, nothing was written. */
  readonly done: boolean
  /** What the read vector found in each share, before anything was written. */
  readonly data: ReadonlyMap<number, readonly Buffer[]>
}

export type Wait = { readonly signal?: AbortSignal | undefined }

export interface StorageServer {
  /** Its id: 20 bytes, of which leases and write enablers are made. */
  readonly id: Buffer
  /** What a person calls it. */
  readonly name: string

  version(wait?: Wait): Promise<ServerVersion>

  /** The numbers of the shares that it has under an index; none where it has nothing. */
  list(kind: ShareKind, index: StorageIndex, wait?: Wait): Promise<ReadonlySet<number>>

  /** The bytes `start` to `end` of a share, fewer where it ends before. */
  read(
    kind: ShareKind,
    index: StorageIndex,
    share: number,
    start: number,
    end: number,
    wait?: Wait,
  ): Promise<Buffer>

  /** Room for immutable shares of `size` bytes each. ENOSPC when there is none for any of them. */
  allocate(
    index: StorageIndex,
    shares: readonly number[],
    size: number,
    leases: LeaseSecrets,
    wait?: Wait,
  ): Promise<Allocated>

  /**
   * Reads from all mutable shares of a slot, and if every test holds writes to those in `changes`:
   * to all of them or to none, durable when it returns. A slot is made by the first write to it;
   * from then on another write enabler is EACCES.
   */
  readTestWrite(
    index: StorageIndex,
    secrets: WriteSecrets,
    changes: ReadonlyMap<number, TestWrite>,
    reads: ReadVector,
    wait?: Wait,
  ): Promise<TestWritten>

  /** Renews the leases of whatever it has under an index, or adds them. Whether there was anything. */
  addLease(index: StorageIndex, leases: LeaseSecrets, wait?: Wait): Promise<boolean>

  /** Tells it that a share of its is damaged. */
  adviseCorrupt(
    kind: ShareKind,
    index: StorageIndex,
    share: number,
    reason: string,
    wait?: Wait,
  ): Promise<void>

  close(): Promise<void>
}

/** A write that can still be taken back: durable beside what it replaces. */
export interface PreparedWrite {
  /** Puts it in the place of the old; durable when it returns. Once it was asked for it is the choice, and may be asked for again after a failure. */
  commit(): Promise<void>
  /** Does nothing after a commit that succeeded; EINVAL after one that failed. */
  abort(): Promise<void>
}

/**
 * A server that can hold the new beside the old. One version over several of them is prepared on
 * each before the first is committed, so that a crash leaves enough shares of one of the two.
 */
export interface PreparingServer extends StorageServer {
  /** As readTestWrite, up to the point where the new is durable and the old still in its place. Until then nobody else writes to the slot. */
  prepare(
    index: StorageIndex,
    secrets: WriteSecrets,
    changes: ReadonlyMap<number, TestWrite>,
    reads: ReadVector,
    wait?: Wait,
  ): Promise<TestWritten & { readonly prepared: PreparedWrite | null }>

  /** What an earlier process prepared and neither committed nor aborted. Until that is decided, a write to the slot is EAGAIN. */
  left(): Promise<readonly LeftWrite[]>
}

/**
 * Of an interrupted write: a share as it would become, and the choice that remains. The shares of
 * one index have one `write` in common: they were prepared together, and go together.
 */
export type LeftWrite = {
  readonly index: StorageIndex
  readonly share: number
  /** Null where the share would be removed. */
  read(start: number, end: number): Promise<Buffer | null>
  readonly write: PreparedWrite
}
