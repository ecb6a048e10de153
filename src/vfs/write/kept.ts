// Writes that outlive this process, however it ends. They go to staging files of their own, each turn
// of them behind a frame that says whose bytes they are, until some commit does. Nothing of that is
// synced: at a loss of power what was committed is all that is sure to be there. The files stay at
// least as long as a commit does not know all that is in them.

import { setImmediate as turn } from 'node:timers/promises'
import type { Op } from '../state/schema.ts'
import type { State } from '../state/state.ts'
import { now } from '../tree/inode.ts'
import type { FileId } from '../vfs.ts'
import type { Disk } from './disk.ts'
import { type Found, framesOf, type Place, packFrame } from './frame.ts'
import type { Segment } from './segment.ts'

/** Numbers that a segment has for its writes, and with how many it is full. */
const NUMBERS = 2 ** 20
const WRITES_MAX = 2 ** 15

/** After so many full segments what is in them is committed. */
const FULL_MAX = 2

/** No frame is longer. */
const FRAME_MAX = 64 * 1024

const NO_KEY = new Uint8Array()

/** What tells one kept write from all others: the later one has the greater number. */
export type Mark = {
  readonly number: number
  /** When it was made, in nanoseconds since 1970. */
  readonly time: bigint
}

export type LeftFrame = Found & { readonly segment: Segment }

/** What earlier processes kept, and their commits may not know. */
export type Left = {
  /** In order, without those whose writes failed. */
  readonly frames: readonly LeftFrame[]
  /** Whether something is missing between them, or is no frame at the end. */
  readonly torn: boolean
}

export class Kept {
  /** Hears that there is more than need be that no commit knows. */
  onFull: () => void = () => {}
  /** The segment that grows. */
  current: Segment | null = null
  /** The segments whose writes the next process would do again. */
  #held: Segment[] = []
  /** The files that were written to since the last renewal. */
  #ids = new Set<FileId>()
  #last = 0
  #after = 0
  #settled = 0
  #renewal: Promise<void> | null = null

  /** Writes up to this number are made, or never will be. */
  get settled(): number {
    return this.#settled
  }

  /** Whether the segment that grows has as many writes as one may have. */
  get hasMany(): boolean {
    return this.#last % NUMBERS >= WRITES_MAX
  }

  begin(segment: Segment): void {
    segment.users++ // until the renewal
    this.current = segment
    this.#held.push(segment)
    this.#last = segment.id * NUMBERS
  }

  /** What stands before the records of a turn, and the mark of its first write; each of the others has the next number. */
  frame(segment: Segment, writes: readonly Place[]): { readonly bytes: Buffer; readonly mark: Mark } {
    const mark = { number: this.#last + 1, time: now() }
    this.#last += writes.length
    const bytes = packFrame({
      first: mark.number,
      after: this.#after,
      time: Number(mark.time / 1_000_000n),
      record: segment.records,
      sealedKey: segment.records === 0 ? segment.sealedKey : NO_KEY,
      writes,
    })
    return { bytes, mark }
  }

  /** The turn is written. Whoever asked makes the change before it waits for anything else. */
  wrote(writes: readonly Place[]): void {
    this.#after = this.#last
    for (const { id } of writes) this.#ids.add(id)
  }

  /** The turn is not written, or only in part, and nothing is written behind it. */
  failed(): void {
    this.#settled = this.#last
    this.current = null
  }

  /** The same of the first turn of a segment: nothing in that is anybody's. */
  abandon(segment: Segment): void {
    this.current = null
    this.#held = this.#held.filter(each => each !== segment)
    segment.users--
  }

  /** The segment that grew is full. */
  end(): void {
    this.current = null
    this.#see()
  }

  /**
   * `durable` sees that what was written to these files until now is durable, or that they are gone, and
   * then writes down the operation. The full segments are then as any others.
   */
  renew(durable: (ids: ReadonlySet<FileId>, op: Op) => Promise<void>): Promise<void> {
    this.#renewal ??= this.#renewed(durable)
    return this.#renewal
  }

  async #renewed(durable: (ids: ReadonlySet<FileId>, op: Op) => Promise<void>): Promise<void> {
    try {
      await this.#renew(durable)
    } finally {
      this.#renewal = null
    }
    this.#see()
  }

  async #renew(durable: (ids: ReadonlySet<FileId>, op: Op) => Promise<void>): Promise<void> {
    const last = this.#held.at(-1)
    if (!last) return
    const from = this.current?.id ?? last.id + 1
    const ids = this.#ids
    this.#ids = new Set()
    await turn() // whoever has just been answered has made its change by then
    await durable(ids, keptFrom(from))
    for (const segment of this.#held) if (segment.id < from) segment.users--
    this.#held = this.#held.filter(({ id }) => id >= from)
  }

  #see(): void {
    const full = this.#held.length - (this.current ? 1 : 0)
    if (full >= FULL_MAX && !this.#renewal) this.onFull()
  }
}

/**
 * The last segment that the database knows a write of, though its file may have gone. With its numbers again, later
 * writes would be taken for those.
 */
export const lastKnown = (state: State): number =>
  Math.floor(Number(state.get('SELECT max(max(covered, timed)) AS last FROM inode')?.['last'] ?? 0) / NUMBERS)

/** No segment before this one holds a write that the database does not know. */
export const keptFrom = (id: number): Op => ['setMeta', 'keptFrom', id]

/** The frames of a staging file; none where it is not one of kept writes. */
export async function readFrames(
  disk: Disk,
  path: string,
): Promise<{ readonly frames: readonly Found[]; readonly torn: boolean }> {
  const size = await disk.size(path)
  const file = await disk.open(path, 'read')
  try {
    const head = Buffer.alloc(Math.min(size, FRAME_MAX))
    await file.read(head, 0)
    if (framesOf(head).frames.length === 0) return { frames: [], torn: false }
    const whole = Buffer.alloc(size)
    return framesOf(whole.subarray(0, await file.read(whole, 0)))
  } finally {
    await file.close()
  }
}
