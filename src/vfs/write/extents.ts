// Which bytes of a file lie in staging: intervals that do not overlap, in order. An extent
// never changes; a write over it, or a cut, puts clipped ones in its place.

import { RECORD, STRIDE } from './record.ts'
import type { Run, Segment } from './segment.ts'

/** `length` bytes from `start` of the file: those after the first `skip` bytes of a run. */
export type Extent = Run & {
  readonly start: number
  readonly length: number
  readonly skip: number
  /** Which change of the file wrote it. */
  readonly seq: number
}

/** A stretch of a file: staged, or (extent: null) whatever lies below. */
export type Piece = { readonly start: number; readonly end: number; readonly extent: Extent | null }

/** Hears of each extent that comes or goes. */
export type Watch = { added(extent: Extent): void; removed(extent: Extent): void }

export const endOf = ({ start, length }: Extent): number => start + length

export class Extents {
  #list: Extent[]
  readonly #watch: Watch

  /** `list`: extents in order that the watch knows of already. */
  constructor(watch: Watch, list: readonly Extent[] = []) {
    this.#watch = watch
    this.#list = [...list]
  }

  get all(): readonly Extent[] {
    return this.#list
  }

  at(start: number): Extent | undefined {
    const found = this.#list[this.#firstAfter(start)]
    return found?.start === start ? found : undefined
  }

  /** The bytes of a run are at `start` now. What changes up to `kept` wrote stays apart. */
  put(run: Run, start: number, seq: number, kept = 0): void {
    const end = start + run.plain
    this.#clear(start, end)
    const at = this.#firstAfter(start)
    const extent: Extent = { ...run, start, length: run.plain, skip: 0, seq }
    const before = this.#list[at - 1]
    const joined = before && before.seq > kept && join(before, extent)
    if (joined) {
      this.#list[at - 1] = joined
      this.#watch.removed(before)
      this.#watch.added(joined)
    } else {
      this.#list.splice(at, 0, extent)
      this.#watch.added(extent)
    }
  }

  /** Nothing at `size` or beyond is staged any more. */
  cut(size: number): void {
    this.#clear(size, Number.POSITIVE_INFINITY)
  }

  /** What was written by changes up to `seq` is not staged any more. */
  dropUntil(seq: number): void {
    const gone = this.#list.filter(extent => extent.seq <= seq)
    this.#list = this.#list.filter(extent => extent.seq > seq)
    for (const extent of gone) this.#watch.removed(extent)
  }

  /** `start` to `end`, in order and without gaps. */
  *pieces(start: number, end: number): Generator<Piece> {
    yield* piecesOf(this.#list, this.#firstAfter(start), start, end)
  }

  /** The extents as they are now; they stay so. */
  frozen(): readonly Extent[] {
    return this.#list.slice()
  }

  #clear(start: number, end: number): void {
    const first = this.#firstAfter(start)
    let last = first
    const clipped: Extent[] = []
    const gone: Extent[] = []
    for (; last < this.#list.length && this.#list[last]!.start < end; last++) {
      const extent = this.#list[last]!
      gone.push(extent)
      if (extent.start < start) clipped.push({ ...extent, length: start - extent.start })
      if (endOf(extent) > end) clipped.push(withoutHead(extent, end - extent.start))
    }
    if (gone.length === 0) return
    this.#list.splice(first, last - first, ...clipped)
    for (const extent of gone) this.#watch.removed(extent)
    for (const extent of clipped) this.#watch.added(extent)
  }

  /** The index of the first extent that ends after `offset`. */
  #firstAfter(offset: number): number {
    return firstAfter(this.#list, offset)
  }
}

export function firstAfter(list: readonly Extent[], offset: number): number {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (endOf(list[middle]!) <= offset) low = middle + 1
    else high = middle
  }
  return low
}

export function* piecesOf(
  list: readonly Extent[],
  index: number,
  start: number,
  end: number,
): Generator<Piece> {
  let at = start
  for (let i = index; at < end; i++) {
    const extent = list[i]
    if (!extent || extent.start >= end) {
      yield { start: at, end, extent: null }
      return
    }
    if (extent.start > at) yield { start: at, end: extent.start, extent: null }
    const from = Math.max(at, extent.start)
    at = Math.min(end, endOf(extent))
    yield { start: from, end: at, extent }
  }
}

/** One extent for two, where the second goes on in the file and in the segment exactly where the first ends. */
function join(a: Extent, b: Extent): Extent | null {
  const records = Math.ceil(a.plain / RECORD)
  const goesOn =
    endOf(a) === b.start &&
    a.skip + a.length === a.plain &&
    a.plain % RECORD === 0 &&
    b.skip === 0 &&
    a.segment === b.segment &&
    a.at + records * STRIDE === b.at &&
    a.record + records === b.record
  return goesOn ? { ...a, length: a.length + b.length, plain: a.plain + b.plain, seq: b.seq } : null
}

/** The extent without its first `bytes`, and without the records that nothing is left of. */
function withoutHead(extent: Extent, bytes: number): Extent {
  const skip = extent.skip + bytes
  const records = Math.floor(skip / RECORD)
  return {
    start: extent.start + bytes,
    length: extent.length - bytes,
    segment: extent.segment,
    at: extent.at + records * STRIDE,
    record: extent.record + records,
    plain: extent.plain - records * RECORD,
    skip: skip - records * RECORD,
    seq: extent.seq,
  }
}

/** The segments that a list of extents needs. */
export const segmentsOf = (list: readonly Extent[]): Set<Segment> =>
  new Set(list.map(({ segment }) => segment))
