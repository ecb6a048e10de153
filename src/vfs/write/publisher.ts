// Brings what is changed here to the grid, behind everybody's back: contents first, then the
// names that lead to them, directories from the bottom up. What fails stays, is shown, and is
// tried again.

import type { Log } from '../../log.ts'
import type { Cap } from '../../tahoe/cap.ts'
import type { Grid } from '../../tahoe/grid.ts'
import type { Asker } from '../ask.ts'
import type { Change } from '../tree/change.ts'
import type { Folder } from '../tree/folder.ts'
import type { Inode } from '../tree/inode.ts'
import type { Listings } from '../tree/listings.ts'
import type { Tree } from '../tree/tree.ts'
import type { FileId } from '../vfs.ts'
import { Attempts } from './attempts.ts'
import { Conflicts } from './conflicts.ts'
import type { Draft } from './draft.ts'
import type { Drawing } from './drawing.ts'
import { Flushes } from './flushes.ts'
import { held } from './held.ts'
import { Linker, type Plan } from './linker.ts'
import type { Conflict, Pending } from './pending.ts'
import { report } from './report.ts'
import type { Segment, Staging } from './staging.ts'
import { type Tempo, tempo as usual } from './tempo.ts'
import { isLocalAlone, type Upload, Uploads } from './uploads.ts'

/** Directories that are published at a time. */
const EDITS = 4

/** How much longer than a look it is not looked again. */
const IDLE_SHARE = 10

export type PublisherOptions = {
  readonly tree: Tree
  readonly listings: Listings
  readonly grid: Grid
  readonly asker: Asker
  readonly staging: Staging
  readonly drawing: Drawing
  /** Makes a draft durable. */
  readonly commit: (draft: Draft) => Promise<void>
  /** Hears of what failed on this machine. */
  readonly failed: (err: unknown) => void
  readonly log: Log
  readonly tempo?: Partial<Tempo>
}

/** A directory whose names wait. */
type Directory = {
  readonly attempts: Attempts
  /** When a name in it changed last, in milliseconds since 1970. */
  changedAt: number
  /** Somebody wants it published now. */
  urgent: boolean
  /** What is done about it now, and what ends that. */
  running: { readonly done: Promise<void>; readonly stop: AbortController } | null
}

export class Publisher {
  readonly #tree: Tree
  readonly #asker: Asker
  readonly #staging: Staging
  readonly #log: Log
  readonly #failed: (err: unknown) => void
  readonly #tempo: Tempo
  readonly #uploads: Uploads
  readonly #linker: Linker
  readonly #conflicts: Conflicts
  readonly #directories = new Map<FileId, Directory>()
  /** Directories that the grid does not have. */
  readonly #new = new Set<Inode>()
  readonly #flushes: Flushes
  /** Directories that are being published. */
  #editing = 0
  #timer: NodeJS.Timeout | null = null
  #soon: NodeJS.Timeout | null = null
  /** When it may look again without taking more than its share of the time. */
  #soonest = 0
  #sweeping: Promise<void> | null = null
  #started = false
  #stopped = false

  constructor(options: PublisherOptions) {
    const { tree, listings, grid, asker, staging, drawing, commit, failed, log } = options
    this.#tree = tree
    this.#asker = asker
    this.#staging = staging
    this.#log = log
    this.#failed = failed
    this.#tempo = { ...usual, ...options.tempo }
    this.#conflicts = new Conflicts(tree)
    this.#uploads = new Uploads({
      tree,
      grid,
      asker,
      drawing,
      tempo: this.#tempo,
      commit,
      idle: () => this.#wake(),
    })
    this.#linker = new Linker({
      tree,
      listings,
      grid,
      asker,
      conflicts: this.#conflicts,
      commit,
      together: this.#tempo.together,
    })
    this.#flushes = new Flushes(tree, this.#uploads, this.#linker)
  }

  /** Begins with what an earlier process left. */
  start(inodes: readonly Inode[]): void {
    this.#started = true
    for (const inode of inodes) this.waits(inode)
    this.sweep()
    this.#wake()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#timer) clearTimeout(this.#timer)
    if (this.#soon) clearTimeout(this.#soon)
    this.#timer = this.#soon = null
    this.#flushes.end()
    await this.#uploads.stop()
    await Promise.allSettled([...this.#directories.values()].map(({ running }) => running?.done))
    await this.#sweeping
  }

  /** An inode's content, attributes or names are not on the grid as they are here. */
  waits(inode: Inode): void {
    if (inode.kind === 'directory') {
      if (inode.cap === null) this.#new.add(inode)
      this.#directory(inode.id).changedAt = Date.now()
    } else if (!this.#uploads.waits(inode)) {
      this.#directory(inode.parent).changedAt = Date.now()
    }
    this.#schedule()
  }

  /** Whoever wrote to a file has closed it: it is complete. */
  closed(inode: Inode): void {
    const upload = this.#uploads.of(inode)
    if (!upload) return
    upload.urgent = true
    this.#wake()
  }

  /** Room is needed: what is complete enough to be read back is published now. */
  press(): void {
    for (const upload of this.#uploads.all) upload.urgent = true
    this.#wake()
  }

  /** Files that hold what is not durable. */
  get drafts(): Draft[] {
    return [...this.#uploads.all].flatMap(({ inode }) => {
      const draft = inode.local?.draft
      return draft && !draft.dead && !draft.isDurable ? [draft] : []
    })
  }

  /** Whether room will come by itself. */
  drains(): boolean {
    if (this.#stopped || !this.#asker.reach.reachable) return false
    for (const upload of this.#uploads.all) if (this.#goesOn(upload)) return true
    if (this.#sweeping || this.#staging.unused.length > 0) return true
    return this.#editing > 0
  }

  /** Whether nothing is known that keeps a file here. */
  #goesOn({ attempts, inode }: Upload): boolean {
    if (attempts.error !== null || isLocalAlone(this.#tree, inode)) return false
    const isUploaded = inode.local?.draft?.generation?.cap != null
    return !isUploaded || (this.#directories.get(inode.parent)?.attempts.error ?? null) === null
  }

  /** A directory was gone on the grid, and is made again because something waits in it. */
  wasMadeAgain(dir: FileId, name: string, change: Change): void {
    this.#conflicts.add(
      dir,
      name,
      null,
      'was removed on the grid, and changed here: it is made again',
      change,
    )
    this.#directory(dir).changedAt = Date.now()
    this.#schedule()
  }

  /** Lets go of the staging files that nothing needs any more. */
  sweep(): void {
    if (this.#stopped || this.#sweeping) return
    const retired = this.#staging.retire()
    if (retired.length === 0) return
    this.#sweeping = this.#remove(retired)
      .catch(() => {}) // whoever keeps the tree has heard of it
      .finally(() => {
        this.#sweeping = null
      })
  }

  async #remove(retired: readonly Segment[]): Promise<void> {
    const ops = retired.filter(({ known }) => known).map(({ id }) => ['dropSegment', id] as const)
    await this.#tree.write(ops)
    for (const segment of retired)
      await this.#staging
        .remove(segment)
        .catch(err => this.#log.warn({ err }, 'a staging file could not be removed'))
  }

  /** Publishes what waits at or below an inode; returns when all that waited at the call is on the grid. */
  async flush(id: FileId): Promise<void> {
    const { done, directories } = this.#flushes.begin(id)
    for (const each of directories) this.#directory(each).attempts.hurry()
    this.#wake()
    await done.promise
  }

  pending(): Pending {
    return report(this.#tree, this.#uploads.all, id => this.#directories.get(id)?.attempts)
  }

  /** What is needed of the grid, whether a name there leads to it or not. */
  held(): Iterable<Cap> {
    return held(this.#tree, this.#uploads.all)
  }

  conflicts(): readonly Conflict[] {
    const ops = this.#conflicts.review()
    if (ops.length > 0) this.#tree.write(ops).catch(() => {}) // whoever keeps the tree hears of it
    return this.#conflicts.list()
  }

  #directory(id: FileId): Directory {
    let directory = this.#directories.get(id)
    if (!directory) {
      directory = {
        attempts: new Attempts(this.#tempo.delays),
        changedAt: Date.now(),
        urgent: false,
        running: null,
      }
      this.#directories.set(id, directory)
    }
    return directory
  }

  /** Looks as soon as the present turn has ended, and no more often than is good for the others. */
  #wake(): void {
    if (this.#stopped || !this.#started) return
    this.#soon ??= setTimeout(
      () => {
        this.#soon = null
        this.#look()
      },
      Math.max(0, this.#soonest - performance.now()),
    )
  }

  #schedule(): void {
    if (this.#stopped || !this.#started || this.#timer) return
    this.#timer = setTimeout(
      () => {
        this.#timer = null
        this.#look()
      },
      Math.max(this.#tempo.tick, this.#soonest - performance.now()),
    ).unref()
  }

  #look(): void {
    if (this.#stopped) return
    const began = performance.now()
    try {
      this.#step()
    } catch (err) {
      this.#failed(err) // what is here cannot be made sense of: better nothing than something wrong
    }
    const ended = performance.now()
    this.#soonest = ended + (ended - began) * IDLE_SHARE
  }

  /** Begins what has become due, and looks again as long as something waits. */
  #step(): void {
    const now = Date.now()
    for (const id of this.#flushes.directories()) this.#directory(id).urgent = true
    this.#uploads.step(now)
    const seen = new Set<FileId>()
    for (const folder of [...this.#tree.pending]) {
      seen.add(folder.id)
      this.#see(folder, now)
    }
    for (const dir of this.#new) {
      if (dir.cap !== null || dir.edges === 0) this.#new.delete(dir)
      else if (!seen.has(dir.id)) {
        seen.add(dir.id)
        const folder = this.#tree.folder(dir.id)
        if (folder) this.#see(folder, now) // absent only until the database knows it
      }
    }
    for (const [id, { running }] of this.#directories) {
      if (!running && !seen.has(id)) this.#directories.delete(id)
      if (running && !this.#tree.nameless(id)?.edges) running.stop.abort() // whatever was in it goes with it
    }
    this.#flushes.progress()
    if (this.#uploads.size > 0 || this.#directories.size > 0) this.#schedule()
  }

  #see(folder: Folder, now: number): void {
    const dir = this.#tree.nameless(folder.id)
    if (!dir || dir.edges === 0) return
    const directory = this.#directory(folder.id)
    if (directory.running || !directory.attempts.isDue(now, this.#asker.reach)) return
    if (this.#editing >= EDITS) return
    const plan = this.#linker.plan(folder, now)
    if (dir.cap === null ? !this.#mayMake(directory, plan, now) : !this.#mayEdit(directory, plan, now)) return
    const stop = new AbortController()
    const { signal } = stop
    this.#editing++
    const work =
      dir.cap === null
        ? this.#linker.make(dir, folder, plan, signal)
        : this.#linker.edit(dir, folder, plan, signal)
    const done = work
      .then(
        () => {
          directory.attempts.succeeded()
          directory.urgent = false
        },
        (err: unknown) => {
          if (signal.aborted) return
          directory.attempts.failed(err)
          this.#log.debug({ err }, 'a directory could not be published')
        },
      )
      .finally(() => {
        directory.running = null
        this.#editing--
        this.sweep()
        this.#wake()
      })
    directory.running = { done, stop }
  }

  #mayEdit(directory: Directory, plan: Plan, now: number): boolean {
    if (plan.ready.length === 0) return false
    const { linger, lingerRemovals, together, togetherNew } = this.#tempo
    return plan.leaves
      ? this.#isTime(directory, plan, now, lingerRemovals, togetherNew)
      : this.#isTime(directory, plan, now, linger, together)
  }

  #mayMake(directory: Directory, plan: Plan, now: number): boolean {
    const { linger, togetherNew } = this.#tempo
    return this.#isTime(directory, plan, now, linger, togetherNew)
  }

  #isTime(
    directory: Directory,
    { unready, since }: Plan,
    now: number,
    linger: number,
    together: number,
  ): boolean {
    if (Math.abs(now - since) >= together) return true
    if (directory.urgent) return !unready.some(inode => this.#isHurried(inode))
    return unready.length === 0 && Math.abs(now - directory.changedAt) >= linger
  }

  #isHurried(inode: Inode): boolean {
    if (inode.kind === 'directory') return this.#directories.get(inode.id)?.urgent === true
    const upload = this.#uploads.of(inode)
    return upload !== undefined && (upload.urgent || upload.sealing || inode.local?.draft?.generation != null)
  }
}
