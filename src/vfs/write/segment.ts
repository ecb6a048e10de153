// One staging file, as it is held in memory, and how records are laid out in it and read.

import { createSecretKey, type KeyObject } from 'node:crypto'
import { FsError } from '../../errors.ts'
import { BLOCK, DIRECT_MIN, type DiskFile } from './disk.ts'
import { openRecord, RECORD, STRIDE, sealedSize, sealRecord, TAG } from './record.ts'

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

/** What is to be written at position `at`, and what the segment has then. */
type LaidOut = {
  readonly at: number
  readonly size: number
  readonly records: number
  readonly parts: readonly Uint8Array[]
  readonly runs: Run[]
}

/** The records of several pieces, one run for each, behind what is already there and `before`. */
export function laidOut(segment: Segment, pieces: readonly Uint8Array[], before: Buffer | null): LaidOut {
  const parts: Uint8Array[] = before ? [before] : []
  const runs: Run[] = []
  const head = before?.length ?? 0
  const whole = pieces.reduce((sum, data) => sum + sealedSize(data.length), head)
  // Long ones go past the page cache, short ones stay next to each other.
  const at = whole < DIRECT_MIN ? segment.size : Math.ceil(segment.size / BLOCK) * BLOCK
  let [size, records] = [at + head, segment.records]
  for (const data of pieces) {
    runs.push({ segment, at: size, record: records, plain: data.length })
    for (let from = 0; from < data.length; from += RECORD)
      parts.push(...sealRecord(segment.key, records++, data.subarray(from, from + RECORD)))
    size += sealedSize(data.length)
  }
  return { at, size, records, parts, runs }
}

/** Bytes `from` to `to` of a run. Throws EIO for a record that is damaged. */
export async function readRun(file: DiskFile, run: Run, from: number, to: number): Promise<Buffer[]> {
  const { segment, at, record, plain } = run
  const first = Math.floor(from / RECORD)
  const last = Math.floor((to - 1) / RECORD)
  const start = at + first * STRIDE
  const end = last === Math.floor((plain - 1) / RECORD) ? at + sealedSize(plain) : at + (last + 1) * STRIDE
  const sealed = Buffer.allocUnsafe(end - start)
  if ((await file.read(sealed, start)) < sealed.length) throw damaged(segment)
  const pieces: Buffer[] = []
  for (let i = first, pos = 0; i <= last; i++, pos += STRIDE) {
    const size = Math.min(RECORD, plain - i * RECORD)
    const bytes = openRecord(segment.key, record + i, sealed.subarray(pos, pos + size + TAG))
    if (!bytes) throw damaged(segment)
    pieces.push(
      bytes.subarray(i === first ? from - first * RECORD : 0, i === last ? to - last * RECORD : size),
    )
  }
  return pieces
}

const damaged = ({ id }: Segment): FsError =>
  new FsError('EIO', `staging file ${id} is damaged: bytes that were written are lost`)
