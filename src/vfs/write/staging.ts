// Where written bytes rest until the grid has them: files that only grow, in records of at
// most 64 KiB, each sealed under that file's own key with its number as nonce. Nothing is
// ever overwritten; a file goes when nothing leads into it any more, and a restarted server
// starts new ones. What is appended is durable only after `sync`; what is kept is found again by
// whoever comes after this process.

import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { FsError } from '../../errors.ts'
import type { Op } from '../state/schema.ts'
import { seal, open as unseal } from '../state/seal.ts'
import type { State } from '../state/state.ts'
import type { FileId } from '../vfs.ts'
import type { Disk, DiskFile } from './disk.ts'
import { chained, type Place } from './frame.ts'
import { Kept, keptFrom, type Left, type LeftFrame, lastKnown, type Mark, readFrames } from './kept.ts'
import { sealedSize } from './record.ts'
import { laidOut, newSegment, type Run, readRun, type Segment } from './segment.ts'
import { Space } from './space.ts'

/** A staging file takes no more once it has grown to this, or to its share of the limit. */
const SEGMENT_MAX = 32 << 20
const SEGMENT_SHARE = 1 / 8

/** Bytes, and appends, that one turn of writing takes at most. */
const TURN_MAX = 4 << 20
const TURN_APPENDS = 1024

/** What was appended, and the mark it was kept under; null when it was not. */
export type Appended = { readonly run: Run; readonly mark: Mark | null }

type Append = {
  readonly data: Uint8Array
  readonly place: Place | null
  readonly done: PromiseWithResolvers<Appended>
}

export type StagingOptions = {
  readonly dir: string
  readonly state: State
  readonly disk: Disk
  /** Bytes of staging files at most; by default a quarter of what is free, at most 20 GiB. */
  readonly limit?: number | undefined
}

export class Staging {
  readonly dir: string
  readonly kept = new Kept()
  left: Left = { frames: [], torn: false }
  readonly #disk: Disk
  readonly #key: Buffer
  readonly #segments = new Map<number, Segment>()
  #current: Segment | null = null
  #lastId = 0
  #limit = 0
  #segmentMax = SEGMENT_MAX
  #queue: Append[] = []
  #queued = 0
  #writing = false
  /** Files that are there, of segments that nothing knows; and segments in which something was kept. */
  readonly #unknown: number[] = []
  readonly #found: Segment[] = []
  readonly #space: Space
  readonly #freed = new Set<() => void>()

  private constructor({ dir, state, disk }: StagingOptions) {
    this.dir = dir
    this.#disk = disk
    this.#key = state.key('staging')
    this.#space = new Space(disk, dir)
  }

  /** Opens what is there. What earlier processes kept is `left`. */
  static async open(options: StagingOptions): Promise<Staging> {
    const { dir, state, disk } = options
    const staging = new Staging(options)
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await disk.syncDir(join(dir, '..'))
    for (const row of state.all('SELECT id, key FROM segment'))
      staging.#adopt(Number(row['id']), row['key'] as Uint8Array, true)
    staging.#lastId = lastKnown(state)
    await staging.#find(Number(state.get("SELECT value FROM meta WHERE key = 'keptFrom'")?.['value'] ?? 0n))
    const { free } = await disk.space(dir)
    staging.#limit = options.limit ?? Math.min(20 * 2 ** 30, Math.floor(free / 4) + staging.bytes)
    staging.#segmentMax = Math.min(SEGMENT_MAX, staging.#limit * SEGMENT_SHARE)
    return staging
  }

  /** The files that are there, and what was kept in those from `from` on. */
  async #find(from: number): Promise<void> {
    const ids = (await this.#disk.list(this.dir)).filter(name => /^\d{1,15}$/.test(name)).map(Number)
    const all: LeftFrame[] = []
    let torn = false
    for (const id of ids.sort((a, b) => a - b)) {
      this.#lastId = Math.max(this.#lastId, id)
      const path = this.#path(id)
      const found = id >= from ? await readFrames(this.#disk, path) : { frames: [], torn: false }
      const sealedKey = found.frames[0]?.sealedKey
      const isKept = sealedKey !== undefined && unseal(this.#key, sealedKey, `segment ${id}`) !== null
      if (isKept && !this.#segments.has(id)) this.#adopt(id, sealedKey, false)
      const segment = this.#segments.get(id)
      if (!segment) {
        this.#unknown.push(id)
        continue
      }
      segment.size = segment.synced = await this.#disk.size(path)
      if (!isKept) continue
      segment.synced = 0 // more may have been written to it than a commit knew
      segment.users++ // until that is known
      this.#found.push(segment)
      for (const frame of found.frames) all.push({ ...frame, segment })
      torn = found.torn
    }
    const { frames, broken } = chained(all)
    this.left = { frames, torn: torn || broken }
  }

  /**
   * What was left is in the database by now, or lost. A file that nothing knows holds only what nobody
   * acknowledged; it goes once no other can be given its number.
   */
  async forgetLeft(commit: (ops: readonly Op[]) => Promise<void>): Promise<void> {
    await commit([keptFrom(this.#lastId + 1)])
    for (const segment of this.#found.splice(0)) segment.users--
    for (const id of this.#unknown.splice(0)) await this.#disk.unlink(this.#path(id))
    this.left = { frames: [], torn: false }
  }

  /** Bytes on disk and on their way to it. */
  get bytes(): number {
    let sum = this.#queued
    for (const { size } of this.#segments.values()) sum += size
    return sum
  }

  get limit(): number {
    return this.#limit
  }

  segment(id: number): Segment | undefined {
    return this.#segments.get(id)
  }

  /**
   * Whether `bytes` more fit: below the limit, and with room left on the disk for everything
   * else that must be written for them.
   */
  async fits(bytes: number): Promise<boolean> {
    return (await this.#space.fits(bytes)) && this.bytes + bytes <= this.#limit
  }

  /** Whether names and attributes can be written: they need little, and the reserve is for them. */
  hasReserve(): Promise<boolean> {
    return this.#space.hasReserve()
  }

  /** Resolves when some staging file has gone, or after `ms`. */
  whenFreed(ms: number): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer)
        this.#freed.delete(done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      this.#freed.add(done)
    })
  }

  /**
   * Appends at most what one segment holds. In the order of the calls; ENOSPC when the disk is full. What
   * is `kept` as being somewhere is put there by whoever asked before it waits for anything else.
   */
  append(data: Uint8Array, kept: { id: FileId; start: number } | null = null): Promise<Appended> {
    const done = Promise.withResolvers<Appended>()
    const place = kept && { ...kept, plain: data.length }
    this.#queue.push({ data, place, done })
    this.#queued += data.length
    if (!this.#writing) void this.#write()
    return done.promise
  }

  /** Makes durable what has been written to these segments, and their names. */
  async sync(segments: Iterable<Segment>): Promise<void> {
    await Promise.all([...segments].map(segment => this.#sync(segment)))
  }

  /** What the database must be told so that these segments can be opened again. */
  *announce(segments: Iterable<Segment>): Generator<Op> {
    for (const segment of segments) {
      if (segment.known) continue
      segment.known = true
      yield ['addSegment', segment.id, segment.sealedKey]
    }
  }

  /** Bytes `from` to `to` of a run. Throws EIO for a record that is damaged. */
  async read(run: Run, from: number, to: number): Promise<Buffer[]> {
    return readRun(await this.#file(run.segment), run, from, to)
  }

  /** Whether the bytes of a run are there, undamaged. */
  async isWhole(run: Run): Promise<boolean> {
    if (run.segment.size < run.at + sealedSize(run.plain)) return false
    try {
      await this.read(run, 0, run.plain)
      return true
    } catch (err) {
      if (err instanceof FsError) return false
      throw err // that it cannot be read now does not mean that it is lost
    }
  }

  /** The segments that nothing leads into; the one that grows is spared while it is small. */
  get unused(): Segment[] {
    return [...this.#segments.values()].filter(
      segment =>
        segment.users === 0 &&
        (segment !== this.#current || (!this.#writing && segment.size > this.#segmentMax / 2)),
    )
  }

  /** The same, to be removed: nothing is appended to them any more. */
  retire(): Segment[] {
    const { unused } = this
    if (unused.some(segment => segment === this.#current)) this.#current = null
    return unused
  }

  /** Takes a segment's file away, which the database no longer knows. */
  async remove(segment: Segment): Promise<void> {
    this.#segments.delete(segment.id)
    this.#space.forget()
    const file = await segment.file?.catch(() => null)
    await file?.close()
    await this.#disk.unlink(this.#path(segment.id)).catch((err: NodeJS.ErrnoException) => {
      if (err.code !== 'ENOENT') throw err
    })
    for (const wake of [...this.#freed]) wake()
  }

  async close(): Promise<void> {
    while (this.#writing) await new Promise(setImmediate)
    for (const segment of this.#segments.values()) {
      const file = await segment.file?.catch(() => null)
      await file?.close().catch(() => {})
      segment.file = null
    }
  }

  #adopt(id: number, sealedKey: Uint8Array, known: boolean): void {
    const key = unseal(this.#key, sealedKey, `segment ${id}`)
    if (!key) throw new FsError('EIO', 'the key of a staging file does not open: the state is damaged')
    this.#lastId = Math.max(this.#lastId, id)
    this.#segments.set(id, { ...newSegment(id, key, sealedKey), known })
  }

  async #begin(): Promise<Segment> {
    const id = ++this.#lastId
    const key = randomBytes(32)
    const file = await this.#disk.open(this.#path(id), 'new')
    await this.#disk.syncDir(this.dir).catch(async (err: unknown) => {
      await file.close()
      throw err
    })
    const segment = newSegment(id, key, seal(this.#key, key, `segment ${id}`), file)
    this.#segments.set(id, segment)
    return segment
  }

  async #write(): Promise<void> {
    this.#writing = true
    while (this.#queue.length > 0) {
      const turn = this.#nextTurn()
      const isKept = turn[0]!.place !== null
      try {
        await (isKept ? this.#writeKept(turn) : this.#writePlain(turn))
      } catch (err) {
        for (const { done } of turn) done.reject(asFsError(err))
      }
      for (const { data } of turn) this.#queued -= data.length
    }
    this.#writing = false
  }

  /** What is written together: all of it kept, or none. */
  #nextTurn(): Append[] {
    const isKept = this.#queue[0]!.place !== null
    const turn: Append[] = []
    for (let bytes = 0; bytes < TURN_MAX && turn.length < TURN_APPENDS; ) {
      const next = this.#queue[0]
      if (!next || (next.place !== null) !== isKept) break
      this.#queue.shift()
      turn.push(next)
      bytes += next.data.length
    }
    return turn
  }

  async #writePlain(turn: readonly Append[]): Promise<void> {
    try {
      const segment = (this.#current ??= await this.#begin())
      answer(turn, await this.#writeTurn(segment, turn, null), null)
      if (segment.size < this.#segmentMax) return
      this.#current = null
      this.#sync(segment).catch(() => {}) // whoever needs it durable hears of it then
    } catch (err) {
      this.#current = null // what lies at its end now is nobody's
      throw err
    }
  }

  async #writeKept(turn: readonly Append[]): Promise<void> {
    const { kept } = this
    if (!kept.current) kept.begin(await this.#begin())
    const segment = kept.current!
    const places = turn.map(({ place }) => place!)
    const { bytes, mark } = kept.frame(segment, places)
    let runs: Run[]
    try {
      runs = await this.#writeTurn(segment, turn, bytes)
    } catch (err) {
      if (segment.size > 0) kept.failed()
      else {
        kept.abandon(segment)
        await this.remove(segment).catch(() => {}) // what may be in it, nobody was told of
      }
      throw err
    }
    kept.wrote(places)
    answer(turn, runs, mark)
    if (segment.size < this.#segmentMax && !kept.hasMany) return
    kept.end()
    this.#sync(segment).catch(() => {})
  }

  /** Writes the records of a turn, behind what stands before them. */
  async #writeTurn(segment: Segment, turn: readonly Append[], before: Buffer | null): Promise<Run[]> {
    const { at, size, records, parts, runs } = laidOut(
      segment,
      turn.map(({ data }) => data),
      before,
    )
    segment.records = records // a nonce is never used again, whatever becomes of the writing
    await (await segment.file!).write(parts, at)
    segment.size = size
    this.#space.took(size - at)
    return runs
  }

  /** One fsync at a time; what was written before the call is durable after it. */
  async #sync(segment: Segment): Promise<void> {
    while (segment.syncing) await segment.syncing
    if (segment.failed) throw segment.failed
    if (segment.synced >= segment.size) return
    const { size } = segment
    segment.syncing = this.#file(segment)
      .then(file => file.sync())
      .then(
        () => {
          segment.synced = Math.max(segment.synced, size)
        },
        (err: Error) => {
          segment.failed = err
        },
      )
      .finally(() => {
        segment.syncing = null
      })
    await segment.syncing
    if (segment.failed) throw segment.failed
  }

  #path(id: number): string {
    return join(this.dir, String(id))
  }

  #file(segment: Segment): Promise<DiskFile> {
    segment.file ??= this.#disk.open(this.#path(segment.id), 'read').catch((err: unknown) => {
      segment.file = null
      throw err
    })
    return segment.file
  }
}

/** Each segment stays until whoever asked has made an extent of what was appended. */
function answer(turn: readonly Append[], runs: readonly Run[], mark: Mark | null): void {
  for (const [i, { done }] of turn.entries()) {
    const run = runs[i]!
    run.segment.users++
    done.resolve({ run, mark: mark && { number: mark.number + i, time: mark.time } })
  }
}

function asFsError(err: unknown): unknown {
  const code = (err as NodeJS.ErrnoException).code
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new FsError('ENOSPC', 'write: this disk is full', { cause: err })
  return new FsError('EIO', 'write: this disk cannot be written', { cause: err })
}
