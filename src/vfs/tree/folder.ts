// A directory as it is shown: what the grid last listed, under the names that are to become
// others. An intent leaves only by proof, a listing that began after it was published.

import type { Cap } from '../../tahoe/cap.ts'
import { nameKey } from '../names.ts'
import type { FileId } from '../vfs.ts'
import type { Change } from './change.ts'
import type { Edge, Snapshot } from './snapshot.ts'

/** A name whose edge on the grid is to become another. */
export type Intent = {
  /** The name as the grid has it, and as it is shown. */
  readonly real: string
  readonly name: string
  /** Its ordinal in the directory, and its key in the database. */
  readonly cookie: bigint
  /** The inode it is to lead to, with its present content and attributes; null: nothing. */
  readonly want: FileId | null
  /** What we believe it leads to on the grid; null: nothing. */
  expect: Cap | null
  /** The inode that this was; null: none that is known. */
  was: FileId | null
  /** What may stand there because we sent it and have seen no proof: caps, and null for nothing. */
  sent: readonly (Cap | null)[]
  /** Of a mutable file that it displaces: the mark of the content that was seen here last; 0: of none. */
  seen: bigint
  /** Since when, in milliseconds since 1970. */
  readonly since: number
  /** Counts its changes, so that one that was published can be told from one that changed since. */
  changes: number
}

type NewIntent = Pick<Intent, 'real' | 'name' | 'cookie' | 'want' | 'expect' | 'was'>

/** An intent as it begins. */
export const newIntent = (what: NewIntent): Intent => ({
  ...what,
  sent: [],
  seen: 0n,
  since: Date.now(),
  changes: 0,
})

/** A name as it is shown. */
export type Shown = { readonly name: string; readonly cookie: bigint; readonly id: FileId }

/** What it shows changes by `begin`, `lead`, `end` and `relist` alone. */
export class Folder {
  readonly id: FileId
  #snapshot: Snapshot
  readonly #intents = new Map<string, Intent>()
  /** The ordinal for the next name that is new. */
  next: bigint
  /** Whether what it holds is known: it was listed once, or made here. */
  known = false
  /** When this process listed it last; null: it did not. */
  listedAt: number | null = null
  failures = 0
  failedAt = 0
  /** Counts the edits of ours that were proved: a listing that began before the last one is old. */
  edits = 0
  /** Commits under way that the database needs before this may be read from it again. */
  writing = 0
  #shown: readonly Shown[] | null = null

  constructor(id: FileId, snapshot: Snapshot, next = snapshot.next) {
    this.id = id
    this.#snapshot = snapshot
    this.next = next > snapshot.next ? next : snapshot.next
  }

  get snapshot(): Snapshot {
    return this.#snapshot
  }

  /** By the key of their name. */
  get intents(): ReadonlyMap<string, Intent> {
    return this.#intents
  }

  find(name: string): Shown | undefined {
    const key = nameKey(name)
    const intent = this.intents.get(key)
    if (!intent) return this.snapshot.find(name)
    return intent.want === null ? undefined : { name: intent.name, cookie: intent.cookie, id: intent.want }
  }

  /** Everything that is shown, in the order of the cookies; it never changes. */
  get shown(): readonly Shown[] {
    if (this.intents.size === 0) return this.snapshot.edges
    return (this.#shown ??= this.#merged())
  }

  get isEmpty(): boolean {
    if (this.intents.size === 0) return this.snapshot.edges.length === 0
    return this.shown.length === 0
  }

  /** Whether an edge of the snapshot is shown. */
  shows(edge: Edge): boolean {
    return this.intents.size === 0 || !this.intents.has(nameKey(edge.name))
  }

  /** The keys of the names that lead to `id`. */
  namesOf(id: FileId): string[] {
    return this.shown.filter(each => each.id === id).map(each => nameKey(each.name))
  }

  /** An intent begins; without a change it is one that an earlier process left. */
  begin(intent: Intent, change: Change | null): void {
    const key = nameKey(intent.name)
    change?.before?.name(this, key)
    this.#intents.set(key, intent)
    this.#shown = null
  }

  /** An intent's name, in the spelling that is to be shown, leads to `want` from now on. */
  lead(intent: Intent, name: string, want: FileId | null, change: Change): void {
    change.before?.name(this, nameKey(name))
    Object.assign(intent, want === null ? { want } : { want, name })
    this.#shown = null
  }

  end(intent: Intent, change: Change): void {
    const key = nameKey(intent.name)
    change.before?.name(this, key)
    this.#intents.delete(key)
    this.#shown = null
  }

  /** The grid has listed it anew, just now. */
  relist(snapshot: Snapshot, change: Change): void {
    change.before?.names(this)
    this.#snapshot = snapshot
    this.#shown = null
    this.listedAt = Date.now()
    this.failures = 0
  }

  #merged(): readonly Shown[] {
    const ours = [...this.intents.values()]
      .flatMap(({ name, cookie, want }) => (want === null ? [] : [{ name, cookie, id: want }]))
      .sort((a, b) => (a.cookie < b.cookie ? -1 : 1))
    const edges = this.snapshot.edges.filter(edge => this.shows(edge))
    const all: Shown[] = []
    let at = 0
    for (const edge of edges) {
      while (at < ours.length && ours[at]!.cookie < edge.cookie) all.push(ours[at++]!)
      all.push(edge)
    }
    return all.concat(ours.slice(at))
  }
}

/** The index of the first name after `cookie`. */
export function indexAfter(shown: readonly Shown[], cookie: bigint): number {
  let low = 0
  let high = shown.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (shown[middle]!.cookie <= cookie) low = middle + 1
    else high = middle
  }
  return low
}
