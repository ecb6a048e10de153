// Content on its way to the grid: a file is frozen once it is quiet, uploaded, and its cap
// written down before any name leads to it. Small files go first, and none waits for ever.

import { createHash } from 'node:crypto'
import { codeOf } from '../../errors.ts'
import { type Cap, LIT_MAX } from '../../tahoe/cap.ts'
import type { Grid, Source, Version } from '../../tahoe/grid.ts'
import type { Asker } from '../ask.ts'
import type { Inode } from '../tree/inode.ts'
import type { Tree } from '../tree/tree.ts'
import type { FileId } from '../vfs.ts'
import { Attempts } from './attempts.ts'
import { isLocal } from './changes.ts'
import type { Content, Draft } from './draft.ts'
import type { Drawing } from './drawing.ts'
import { segmentsOf } from './extents.ts'
import type { Tempo } from './tempo.ts'

/** Uploads at a time, and how many of them may be large. */
const LANES = 4
const LARGE_LANES = 3

const LARGE = 1 << 20

/** Bytes that a mutable file is read at a time. */
const RANGE = 1 << 20

/** Milliseconds after which a large file is no longer passed by smaller ones. */
const PATIENCE = 30_000

/** A file that changes all the time is not published more often than its upload takes, times this. */
const UPLOAD_SHARE = 4

/** An inode whose content the grid does not have. */
export type Upload = {
  readonly inode: Inode
  readonly attempts: Attempts
  /** Somebody wants it published now. */
  urgent: boolean
  sealing: boolean
  /** Ends the upload under way; null when there is none. */
  stop: AbortController | null
  /** Bytes sent so far. */
  sent: number
  /** Milliseconds that its last upload took. */
  took: number
}

export type UploadsOptions = {
  readonly tree: Tree
  readonly grid: Grid
  readonly asker: Asker
  readonly drawing: Drawing
  readonly tempo: Tempo
  /** Makes a draft durable. */
  readonly commit: (draft: Draft) => Promise<void>
  /** Hears when an upload has ended, and none is left that could begin. */
  readonly idle: () => void
}

export class Uploads {
  readonly #options: UploadsOptions
  readonly #waiting = new Map<FileId, Upload>()
  readonly #running = new Map<Upload, Promise<void>>()
  #large = 0
  /** Those that may begin now, the first at the end. */
  #ready: Upload[] = []
  #stopped = false

  constructor(options: UploadsOptions) {
    this.#options = options
  }

  get all(): Iterable<Upload> {
    return this.#waiting.values()
  }

  get size(): number {
    return this.#waiting.size
  }

  of(inode: Inode): Upload | undefined {
    return this.#waiting.get(inode.id)
  }

  /** Notes an inode whose content may have to be uploaded; says whether it has. */
  waits(inode: Inode): boolean {
    if (this.#waiting.get(inode.id)?.inode === inode) return true
    if (!isMissing(inode)) return false
    const attempts = new Attempts(this.#options.tempo.delays)
    this.#waiting.set(inode.id, {
      inode,
      attempts,
      urgent: false,
      sealing: false,
      stop: null,
      sent: 0,
      took: 0,
    })
    return true
  }

  /** Begins what has become due. */
  step(now: number): void {
    this.#ready = []
    for (const upload of this.#waiting.values()) this.#see(upload, now)
    const old = (upload: Upload) => upload.inode.local!.since < now - PATIENCE
    this.#ready.sort((a, b) => Number(old(a)) - Number(old(b)) || b.inode.size - a.inode.size)
    this.#fill()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const { stop } of this.#running.keys()) stop?.abort()
    await Promise.allSettled(this.#running.values())
  }

  #see(upload: Upload, now: number): void {
    const { inode, stop, attempts } = upload
    if (!isMissing(inode)) {
      stop?.abort()
      this.#waiting.delete(inode.id)
      return
    }
    if (stop || upload.sealing || isLocalAlone(this.#options.tree, inode)) return
    const { draft } = inode.local!
    if (draft && !draft.generation) {
      if (this.#isComplete(upload, draft, now)) void this.#seal(upload, draft)
      return
    }
    if (draft?.generation?.cap || draft?.overtaken) return // its names are next
    if (!draft && !upload.urgent && Math.abs(now - inode.local!.since) < this.#options.tempo.quietDurable)
      return
    if (attempts.isDue(now, this.#options.asker.reach)) this.#ready.push(upload)
  }

  #isComplete({ urgent, took }: Upload, draft: Draft, now: number): boolean {
    if (urgent) return true
    const { quiet, quietDurable, dirtyMax } = this.#options.tempo
    // A clock that was set back must not make a file young for ever.
    if (Math.abs(now - draft.changedAt) >= (draft.isDurable ? quietDurable : quiet)) return true
    return Math.abs(now - draft.dirtyAt) >= Math.max(dirtyMax, UPLOAD_SHARE * took)
  }

  /** Durable first: what is published must not be newer than what this machine would remember. */
  async #seal(upload: Upload, draft: Draft): Promise<void> {
    upload.sealing = true
    try {
      if (!draft.isDurable) await this.#options.commit(draft)
      if (draft.dead || !this.#isComplete(upload, draft, Date.now())) return // somebody wrote meanwhile
      draft.seal()
      upload.urgent = false
      this.#ready.push(upload)
    } catch {
      // whoever keeps this state has heard of it
    } finally {
      upload.sealing = false
    }
    this.#fill()
  }

  #fill(): void {
    if (this.#stopped) return
    // While the grid is out of reach, one is enough to hear when it is back.
    const lanes = this.#options.asker.reach.reachable ? LANES : 1
    while (this.#running.size < lanes) {
      const upload = this.#next()
      if (!upload) return
      const large = upload.inode.size > LARGE ? 1 : 0
      this.#large += large
      const running = this.#send(upload).finally(() => {
        this.#large -= large
        this.#running.delete(upload)
        this.#fill()
        if (this.#ready.length === 0 && !this.#stopped) this.#options.idle()
      })
      this.#running.set(upload, running)
    }
  }

  #next(): Upload | undefined {
    for (let at = this.#ready.length - 1; at >= 0; at--) {
      const upload = this.#ready[at]!
      const { inode, stop } = upload
      const over = stop !== null || !isMissing(inode) || inode.local?.draft?.generation?.cap != null
      if (!over && inode.size > LARGE && this.#large >= LARGE_LANES) continue
      this.#ready.splice(at, 1)
      if (!over) return upload
    }
    return undefined
  }

  async #send(upload: Upload): Promise<void> {
    const { tree, grid, asker } = this.#options
    const { inode, attempts } = upload
    const local = inode.local!
    const { draft } = local
    const generation = draft?.generation ?? null
    const stop = new AbortController()
    upload.stop = stop
    const began = performance.now()
    // A file that is removed meanwhile lets them go.
    const segments = segmentsOf(generation?.extents ?? [])
    for (const segment of segments) segment.users++
    try {
      const ask = (signal: AbortSignal) => {
        const source = generation ? this.#sourceOf(generation, signal) : targetOf(local.target!)
        return grid.upload(source, { signal, onProgress: bytes => (upload.sent = bytes) })
      }
      const what = `upload ${inode.id}`
      if (draft?.replaces != null) {
        await asker.once(what, signal => this.#replace(upload, draft, signal), stop.signal)
        upload.took = performance.now() - began
        attempts.succeeded()
        return
      }
      // What is its own cap is asked of nobody, and says nothing of the grid.
      const isLiteral = (generation ?? inode).size <= LIT_MAX
      const cap = await (isLiteral ? ask(stop.signal) : asker.once(what, ask, stop.signal))
      if (inode.local !== local || local.draft !== draft || draft?.dead) return
      local.sent = [...local.sent, cap]
      await tree.write([tree.rows.local(inode)])
      if (generation) generation.cap = cap
      else inode.cap = cap
      upload.took = performance.now() - began
      attempts.succeeded()
    } catch (err) {
      if (!stop.signal.aborted) attempts.failed(err)
    } finally {
      for (const segment of segments) segment.users--
      upload.stop = null
      upload.sent = 0
    }
  }

  /** Writes a mutable file, whose cap stays. Somebody else may have done so before. */
  async #replace(upload: Upload, draft: Draft, signal: AbortSignal): Promise<void> {
    const { tree, grid } = this.#options
    const { inode } = upload
    const cap = inode.cap!
    const generation = draft.generation!
    const source = this.#sourceOf(generation, signal)
    const written = await grid
      .overwrite(cap, source, { expected: draft.replaces!, signal })
      .catch((err: unknown) => {
        if (codeOf(err) === 'ESTALE') return this.#whatIsThere(cap, source, signal)
        throw err
      })
    if (inode.local?.draft !== draft || draft.dead) return
    if (written === null) {
      draft.overtaken = upload.urgent = true
      return
    }
    const { version } = written
    inode.version = { version, at: Date.now() }
    inode.mark = tree.rows.mark(version)
    draft.replaces = version
    draft.replaced = generation.seq
    await tree.write([['setMark', inode.mark, inode.id], tree.rows.local(inode)])
    generation.cap = cap
  }

  /** The version that is there if its content is ours: an answer may have been lost, or we ended before we knew. */
  async #whatIsThere(cap: Cap, source: Source, signal: AbortSignal): Promise<Version | null> {
    const { grid } = this.#options
    const there = await grid.stat(cap, { signal })
    if (there.size !== source.size) return null
    const digest = createHash('sha256')
    for await (const chunk of source.open()) digest.update(chunk)
    const other = createHash('sha256')
    for (let at = 0; at < there.size; at += RANGE) {
      const range = { start: at, end: Math.min(at + RANGE, there.size) }
      for await (const chunk of grid.read(cap, range, { signal, version: there.version })) other.update(chunk)
    }
    return digest.digest().equals(other.digest()) ? there : null
  }

  #sourceOf(content: Content, signal: AbortSignal): Source {
    return { size: content.size, open: () => this.#options.drawing.all(content, signal) }
  }
}

const targetOf = (target: Buffer): Source => ({
  size: target.length,
  async *open() {
    yield target
  },
})

/** Whether the grid does not have an inode's content. */
function isMissing({ kind, edges, local, cap }: Inode): boolean {
  if (edges === 0 || !local || kind === 'directory') return false
  return local.draft ? !local.draft.isPublished : cap === null
}

/** Whether all names of an inode are of those that stay on this machine. */
export function isLocalAlone(tree: Tree, inode: Inode): boolean {
  for (const { folder, key } of tree.namesOf(inode)) if (!isLocal(folder.find(key)!.name)) return false
  return true
}
