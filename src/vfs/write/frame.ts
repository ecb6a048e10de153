// What stands in a staging file before the records of each turn of kept writes: whose bytes they are.
// Both are written at once. A frame that is not whole is none.

import { crc32 } from 'node:zlib'
import type { FileId } from '../vfs.ts'
import { BLOCK } from './disk.ts'
import { sealedSize } from './record.ts'

/** `plain` bytes of a file from `start`. */
export type Place = { readonly id: FileId; readonly start: number; readonly plain: number }

export type Frame = {
  /** The number of its first write; each of the others has the next. */
  readonly first: number
  /** The number of the last write before it that did not fail. */
  readonly after: number
  /** When it was written, in milliseconds since 1970. */
  readonly time: number
  /** The number of its first record. */
  readonly record: number
  /** In the first frame of a file the key of that, sealed; otherwise nothing. */
  readonly sealedKey: Uint8Array
  readonly writes: readonly Place[]
}

/** A frame where it was found; its records begin at position `at`. */
export type Found = Frame & { readonly at: number }

/** Before the frame: how many bytes follow, and their checksum. */
const OUTER = 8
/** Before the key: three numbers, the record, and how many bytes the key has. */
const INNER = 3 * 8 + 2 * 4
const WRITE = 2 * 8 + 4

export function packFrame({ first, after, time, record, sealedKey, writes }: Frame): Buffer {
  const bytes = Buffer.allocUnsafe(OUTER + INNER + sealedKey.length + writes.length * WRITE)
  let pos = OUTER
  for (const number of [first, after, time]) pos = bytes.writeDoubleLE(number, pos)
  pos = bytes.writeUInt32LE(record, pos)
  pos = bytes.writeUInt32LE(sealedKey.length, pos)
  bytes.set(sealedKey, pos)
  pos += sealedKey.length
  for (const { id, start, plain } of writes) {
    pos = bytes.writeBigUInt64LE(id, pos)
    pos = bytes.writeDoubleLE(start, pos)
    pos = bytes.writeUInt32LE(plain, pos)
  }
  bytes.writeUInt32LE(bytes.length - OUTER, 0)
  bytes.writeUInt32LE(crc32(bytes.subarray(OUTER)), 4)
  return bytes
}

/** The frames of a staging file, and whether more was written to it than they account for. */
export function framesOf(file: Buffer): { readonly frames: readonly Found[]; readonly torn: boolean } {
  const frames: Found[] = []
  let pos = 0
  for (;;) {
    const found = frameAt(file, pos) ?? frameAt(file, Math.ceil(pos / BLOCK) * BLOCK)
    if (!found) break
    frames.push(found)
    pos = found.at + found.writes.reduce((sum, { plain }) => sum + sealedSize(plain), 0)
  }
  const rest = file.subarray(pos)
  return { frames, torn: rest.length >= BLOCK || rest.some(byte => byte !== 0) }
}

function frameAt(file: Buffer, pos: number): Found | null {
  if (pos + OUTER > file.length) return null
  const length = file.readUInt32LE(pos)
  const at = pos + OUTER + length
  if (length < INNER || at > file.length) return null
  const bytes = file.subarray(pos + OUTER, at)
  const keyEnd = INNER + bytes.readUInt32LE(INNER - 4)
  if (keyEnd > length || crc32(bytes) !== file.readUInt32LE(pos + 4)) return null
  const writes: Place[] = []
  for (let pos = keyEnd; pos + WRITE <= length; pos += WRITE) {
    const [id, start] = [bytes.readBigUInt64LE(pos), bytes.readDoubleLE(pos + 8)]
    writes.push({ id, start, plain: bytes.readUInt32LE(pos + 16) })
  }
  const [first, after, time] = [bytes.readDoubleLE(0), bytes.readDoubleLE(8), bytes.readDoubleLE(16)]
  return {
    ...{ first, after, time, record: bytes.readUInt32LE(24) },
    ...{ sealedKey: Buffer.from(bytes.subarray(INNER, keyEnd)), writes, at },
  }
}

/** The number of a frame's last write. */
export const lastOf = ({ first, writes }: Frame): number => first + writes.length - 1

/** The frames that follow each other: without those whose writes failed, up to where one is missing. */
export function chained<T extends Frame>(
  all: readonly T[],
): { readonly frames: readonly T[]; readonly broken: boolean } {
  const frames: T[] = []
  for (const frame of all) {
    while (frames.length > 0 && lastOf(frames.at(-1)!) > frame.after) frames.pop()
    if (frames.length > 0 && lastOf(frames.at(-1)!) < frame.after) return { frames, broken: true }
    frames.push(frame)
  }
  return { frames, broken: false }
}
