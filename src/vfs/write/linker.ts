// Names on their way to the grid: what one directory is to become, in one edit. Names that
// come go before those that leave, and a name leaves only once what it led to is removed, or
// hangs elsewhere. Whatever the grid refuses is judged here: nothing of either side is lost.

import type { Cap } from '../../tahoe/cap.ts'
import type { Edit, Grid, Listing, Outcome } from '../../tahoe/grid.ts'
import type { Asker } from '../ask.ts'
import { edgeMetadata } from '../tree/edge.ts'
import type { Folder, Intent } from '../tree/folder.ts'
import { type Inode, MOVED, ROOT } from '../tree/inode.ts'
import type { Listings } from '../tree/listings.ts'
import { ancestors } from '../tree/paths.ts'
import type { Tree } from '../tree/tree.ts'
import type { FileId } from '../vfs.ts'
import { isLocal } from './changes.ts'
import type { Conflicts } from './conflicts.ts'
import type { Draft } from './draft.ts'
import { has, linkable, mayBe, presumed, type Step, Verdict } from './verdict.ts'

/** How far a name and what it leads to have changed. */
export type Mark = { readonly changes: number; readonly seq: number; readonly attrs: number }

/** What could be published of a folder now. */
export type Plan = {
  readonly ready: readonly Intent[]
  /** Names that come, but cannot yet. */
  readonly unready: readonly Inode[]
  /** Since when the first of those that are ready could go, in milliseconds since 1970. */
  readonly since: number
  /** Whether names only leave. */
  readonly leaves: boolean
}

/** Steps that were not sent: in the place of a directory that holds something, or of a file that was written to, of files that others wrote to, and those of which nothing is known. */
type GivenUp = {
  readonly filled: ReadonlySet<Intent>
  readonly overtaken: readonly Step[]
  readonly moot: readonly Step[]
}

const nothing: GivenUp = { filled: new Set(), overtaken: [], moot: [] }

export type LinkerOptions = {
  /** Milliseconds that a name waits for what it displaces to hang elsewhere. */
  readonly together: number
  readonly tree: Tree
  readonly listings: Listings
  readonly grid: Grid
  readonly asker: Asker
  readonly conflicts: Conflicts
  readonly commit: (draft: Draft) => Promise<void>
}

export class Linker {
  readonly #tree: Tree
  readonly #listings: Listings
  readonly #grid: Grid
  readonly #asker: Asker
  readonly #conflicts: Conflicts
  readonly #commit: (draft: Draft) => Promise<void>
  /** Since when an intent can go, as it is now. */
  readonly #ready = new WeakMap<Intent, { readonly changes: number; readonly since: number }>()
  /** Since when a name waits for what it displaces to hang elsewhere. */
  readonly #blocked = new WeakMap<Intent, number>()
  readonly #together: number
  /** What of an intent was proved last. */
  readonly #proved = new WeakMap<Intent, Mark>()

  constructor({ tree, listings, grid, asker, conflicts, commit, together }: LinkerOptions) {
    this.#together = together
    this.#tree = tree
    this.#listings = listings
    this.#grid = grid
    this.#asker = asker
    this.#conflicts = conflicts
    this.#commit = commit
  }

  /** How far an intent is now: the changes of the name, of the content, and of the attributes. */
  mark({ changes, want }: Intent): Mark {
    const local = want === null ? null : this.#tree.known(want)?.local
    return { changes, seq: local?.draft?.seq ?? 0, attrs: local?.changes ?? 0 }
  }

  /** Whether an intent is on the grid as it was at a mark, or later. */
  hasProved(intent: Intent, { changes, seq, attrs }: Mark): boolean {
    const proved = this.#proved.get(intent)
    return proved !== undefined && proved.changes >= changes && proved.seq >= seq && proved.attrs >= attrs
  }

  plan(folder: Folder, now: number): Plan {
    const ready: Intent[] = []
    const unready: Inode[] = []
    let since = now
    for (const intent of folder.intents.values()) {
      const inode = intent.want === null ? null : this.#tree.known(intent.want)
      if (inode === undefined || (inode && isLocal(intent.name))) continue
      if (!this.#mayLeave(intent, folder) && !(inode && this.#waitedLong(intent, now))) continue
      if (inode && !linkable(inode)) {
        unready.push(inode)
        continue
      }
      ready.push(intent)
      const before = this.#ready.get(intent)
      if (before?.changes === intent.changes) since = Math.min(since, before.since)
      else this.#ready.set(intent, { changes: intent.changes, since: now })
    }
    return { ready, unready, since, leaves: ready.every(({ want }) => want === null) }
  }

  /** Two names that displace each other's inodes would wait for each other for ever. */
  #waitedLong(intent: Intent, now: number): boolean {
    const since = this.#blocked.get(intent)
    if (since === undefined) this.#blocked.set(intent, now)
    return since !== undefined && Math.abs(now - since) >= this.#together
  }

  #stepOf(intent: Intent): Step {
    const inode = intent.want === null ? null : this.#tree.inode(intent.want)
    const cap = inode && linkable(inode)!
    return {
      intent,
      changes: intent.changes,
      inode,
      child: inode && { cap: cap!, metadata: edgeMetadata(inode, cap!, inode.local?.metadata ?? {}) },
      seq: inode?.local?.draft?.generation?.seq ?? null,
      holds: inode ? held(inode) : Number.POSITIVE_INFINITY,
      attrs: inode?.local?.changes ?? 0,
    }
  }

  /** Publishes what a plan holds. */
  edit(dir: Inode, folder: Folder, { ready }: Plan, stop: AbortSignal): Promise<void> {
    const steps = ready.map(intent => this.#stepOf(intent))
    return this.#tree.during(folder, () => this.#edit(dir, folder, steps, stop))
  }

  async #edit(dir: Inode, folder: Folder, steps: readonly Step[], stop: AbortSignal): Promise<void> {
    const { filled, unknown } = await this.#lookInto(steps)
    const moot = steps.filter(({ inode, intent }) => !inode && presumed(intent) === null)
    const overtaken = steps.filter(isOvertaken)
    const left = steps.filter(
      step =>
        step.intent.changes === step.changes &&
        has(folder, step.intent) &&
        !filled.has(step.intent) &&
        !unknown.has(step.intent) &&
        !moot.includes(step) &&
        !overtaken.includes(step),
    )
    const edits = left.map(step => this.#editOf(step, folder, left))
    for (const step of left) sending(step)
    if (edits.length + filled.size + moot.length + overtaken.length > 0) {
      const ask = async (signal: AbortSignal) =>
        edits.length > 0
          ? this.#grid.edit(dir.cap!, edits, { signal })
          : { outcomes: [], listing: await this.#grid.list(dir.cap!, { signal }) }
      const { outcomes, listing } = await this.#asker.once(`edit ${dir.id}`, ask, stop)
      const judged = left.map((step, at) => ({ step, outcome: outcomes[at]! }))
      await this.#judge(dir, folder, listing, judged, { filled, overtaken, moot })
    }
    for (const err of unknown.values()) throw err
  }

  /** Makes a directory that is new, with what is ready in it. */
  make(dir: Inode, folder: Folder, { ready }: Plan, stop: AbortSignal): Promise<void> {
    const sets = ready
      .filter(({ want }) => want !== null)
      .map(intent => this.#stepOf(intent))
      .filter(step => !isOvertaken(step)) // what becomes of them the next edit says
    return this.#tree.during(folder, () => this.#make(dir, folder, sets, stop))
  }

  async #make(dir: Inode, folder: Folder, sets: readonly Step[], stop: AbortSignal): Promise<void> {
    const children = new Map(sets.map(({ intent, child }) => [intent.real, child!]))
    for (const step of sets) sending(step)
    const ask = (signal: AbortSignal) => this.#grid.mkdir(children, { signal })
    const cap = await this.#asker.once(`mkdir ${dir.id}`, ask, stop)
    if (dir.edges === 0) return // it was removed meanwhile
    const change = this.#tree.change()
    this.#tree.arrived(dir, cap, change)
    // It is new: what another try may have sent is not in it.
    for (const intent of folder.intents.values()) intent.sent = []
    const judged = sets.map(step => ({ step, outcome: { done: true } as const }))
    await this.#judge(dir, folder, { children, writable: true }, judged, nothing, change)
  }

  /** Whether a name may go: what it led to is removed, or hangs elsewhere, or does once a set of the same edit is done. */
  #mayLeave(intent: Intent, folder: Folder): boolean {
    const was = this.#was(intent)
    if (!was || was.id === intent.want) return true
    if (was.edges === 0) return was.kind !== 'directory' || this.#mayGoWith(was)
    return this.#hangsElsewhere(was) || this.#follows(intent, folder) !== null
  }

  #was({ was }: Intent): Inode | undefined {
    return was === null || was === 0n ? undefined : this.#tree.nameless(was)
  }

  /** Whether everything that a removed directory held may go with it. */
  #mayGoWith(dir: Inode): boolean {
    const folder = this.#tree.folder(dir.id)
    if (!folder) return true
    return [...folder.intents.values()].every(intent => {
      const was = this.#was(intent)
      if (!was) return true
      if (was.edges === 0) return was.kind !== 'directory' || this.#mayGoWith(was)
      return this.#hangsElsewhere(was)
    })
  }

  /** Whether the grid has it under some name of those that it has here, or it has none but on this machine. */
  #hangsElsewhere(inode: Inode): boolean {
    let [names, local] = [0, 0]
    for (const { folder, key } of this.#tree.namesOf(inode)) {
      names++
      if (isLocal(folder.find(key)!.name)) {
        local++
        continue
      }
      if (folder.intents.get(key)?.want !== inode.id && this.#hangs(folder.id)) return true
    }
    return names > 0 && names === local
  }

  /** Whether the grid has a directory where it is here, up to the root. `below`: those that hang in it. */
  #hangs(dir: FileId, below: readonly FileId[] = []): boolean {
    if (dir === ROOT) return true
    const inode = this.#tree.nameless(dir)
    if (!inode || inode.edges === 0 || inode.cap === null || below.includes(dir)) return false
    for (const { folder, key } of this.#tree.namesOf(inode))
      if (folder.intents.get(key)?.want !== dir && this.#hangs(folder.id, [...below, dir])) return true
    return false
  }

  /** The intent of the same folder that brings what this one lets go, when it is ready. */
  #follows(intent: Intent, folder: Folder): Intent | null {
    const was = this.#was(intent)
    if (!was || was.edges === 0 || linkable(was) === null) return null
    for (const place of this.#tree.namesOf(was)) {
      if (place.folder !== folder) continue
      const other = folder.intents.get(place.key)
      if (other?.want === was.id && !isLocal(other.name)) return other
    }
    return null
  }

  #editOf({ intent, child }: Step, folder: Folder, steps: readonly Step[]): Edit {
    const { real, expect } = intent
    if (child) return { op: 'set', name: real, child, expect }
    const was = this.#was(intent)
    const before = was && was.edges > 0 && !this.#hangsElsewhere(was) ? this.#follows(intent, folder) : null
    const after = before && steps.some(step => step.intent === before) ? { after: before.real } : {}
    return { op: 'unlink', name: real, expect: presumed(intent)!, ...after }
  }

  /** Of what was removed, directories that hold something which was not, files that others wrote to, and what cannot be looked into. */
  async #lookInto(steps: readonly Step[]): Promise<{ filled: Set<Intent>; unknown: Map<Intent, unknown> }> {
    const filled = new Set<Intent>()
    const unknown = new Map<Intent, unknown>()
    const looks = steps.map(async ({ intent, inode }) => {
      const there = presumed(intent)
      if (!there?.mutable || there.type === 'unknown' || (inode?.cap && there.same(inode.cap))) return
      const was = this.#was(intent)
      if (was && was.edges > 0) return // it is elsewhere
      try {
        const isAsSeen =
          there.type === 'directory'
            ? await this.#isEmptied(there, was, new Set())
            : await this.#isUnwritten(there, intent)
        if (!isAsSeen) filled.add(intent)
      } catch (err) {
        unknown.set(intent, err)
      }
    })
    await Promise.all(looks)
    return { filled, unknown }
  }

  /** Whether a mutable file has the content that it had here last; its cap does not tell. */
  async #isUnwritten(cap: Cap, { seen }: Intent): Promise<boolean> {
    if (seen === 0n || seen === MOVED) return true // nobody here has seen any
    const ask = (signal: AbortSignal) => this.#grid.stat(cap, { signal })
    const { version } = await this.#asker.once(`stat ${cap.storageIndex}`, ask)
    return this.#tree.rows.mark(version) === seen
  }

  /** Whether all that the grid has in a directory was removed here. */
  async #isEmptied(cap: Cap, dir: Inode | undefined, above: ReadonlySet<string>): Promise<boolean> {
    const { children } = await this.#asker.once(`list ${cap.storageIndex}`, signal =>
      this.#grid.list(cap, { signal }),
    )
    if (children.size === 0) return true
    const folder = dir && this.#tree.folder(dir.id)
    if (!folder || above.has(cap.uri())) return false
    const intents = new Map([...folder.intents.values()].map(intent => [intent.real, intent]))
    const emptied = [...children].map(async ([name, child]) => {
      const intent = intents.get(name)
      if (!intent || intent.want !== null || !mayBe(intent, child.cap)) return false
      const was = this.#was(intent)
      if (child.cap.type !== 'directory' || (was && was.edges > 0)) return true
      return this.#isEmptied(child.cap, was, new Set([...above, cap.uri()]))
    })
    return (await Promise.all(emptied)).every(Boolean)
  }

  /** What became of each step, all in one turn: then it is shown, and written down. */
  async #judge(
    dir: Inode,
    folder: Folder,
    listing: Listing,
    judged: readonly { readonly step: Step; readonly outcome: Outcome }[],
    { filled, overtaken, moot }: GivenUp,
    change = this.#tree.change(),
  ): Promise<void> {
    const verdict = new Verdict(this.#tree, this.#conflicts, dir, folder, listing, change)
    for (const { step, outcome } of judged) {
      if (outcome.done) {
        verdict.done(step)
        const { intent, changes, holds, attrs } = step
        this.#proved.set(intent, { changes, seq: holds, attrs })
      } else verdict.refused(step, outcome.found)
    }
    for (const intent of filled) verdict.filled(intent)
    for (const { intent } of overtaken) verdict.overtaken(intent)
    for (const { intent } of moot) verdict.moot(intent)
    folder.edits++
    for (const id of [dir.id, ...ancestors(this.#tree, dir.id)]) {
      const above = this.#tree.nameless(id)
      if (above) above.publishedAt = Date.now()
    }
    const { settled, released, drafts } = verdict
    await this.#listings.take(dir, listing, { settled, released }, change)
    await Promise.all(drafts.map(draft => this.#commit(draft)))
  }
}

const isOvertaken = ({ inode }: Step): boolean => inode?.local?.draft?.overtaken === true

/** From the moment that it is sent it may be there. */
function sending({ intent, child }: Step): void {
  const cap = child === null ? null : child.cap
  const known = intent.sent.some(each => (cap === null ? each === null : each?.same(cap)))
  if (!known) intent.sent = [...intent.sent, cap]
}

/** The last change of content that is in what a name may lead to now. */
function held({ local }: Inode): number {
  const draft = local?.draft
  if (!draft) return Number.POSITIVE_INFINITY
  return draft.isPublished ? draft.seq : (draft.generation?.seq ?? 0)
}
