// One staging file, as it is held in memory.

import { createSecretKey, type KeyObject } from 'node:crypto'
import type { DiskFile } from './disk.ts'

export type Segment = {
  readonly id: number
  readonly key: KeyObject
  readonly sealedKey: Uint8Array
  /** Bytes that have been written. */
  size: number
  synced: number
  records: number
  /** Extents that lead into it: those in memory, and those that only the database still has. */
  users: number
  /** Whether the database knows it. */
  known: boolean
  file: Promise<DiskFile> | null
  syncing: Promise<void> | null
  /** Why an fsync failed: a second one would say that all is well, and lie. */
  failed: Error | null
}

/** Consecutive records: `plain` bytes from record number `record` at position `at`. */
export type Run = {
  readonly segment: Segment
  readonly at: number
  readonly record: number
  readonly plain: number
}

/** A segment in which nothing has been written yet, as far as is known. */
export const newSegment = (
  id: number,
  key: Uint8Array,
  sealedKey: Uint8Array,
  file: DiskFile | null = null,
): Segment => ({
  id,
  key: createSecretKey(key),
  sealedKey,
  size: 0,
  synced: 0,
  records: 0,
  users: 0,
  known: false,
  file: file && Promise.resolve(file),
  syncing: null,
  failed: null,
})
