// What is being stored and linked, so that nothing of it is collected as garbage meanwhile.
//
// Why a collection never takes what somebody needs. It begins when nothing is under way. From then
// on every upload notes the index that it is about to look for, every edit the caps that it is
// about to link; both before they ask any server. The collection walks from its roots and from
// what was noted until there is nothing new. So whatever hangs anywhere when the walk ends is
// marked: a name is linked at its new place before it is unlinked at the old one, so the walk has
// seen it at the old one or finds it noted. What is removed after that is neither marked nor noted,
// and whether it is noted is asked in the same turn in which its removal begins: who comes later
// waits until it is over. An upload then finds nothing there and stores all of it again; an edit
// that would link what is gone is refused. An edit whose caller gave up may still be made, and counts
// for a while.

import { FsError } from '../../errors.ts'
import type { Cap } from '../cap.ts'
import type { StorageIndex } from '../storage/server.ts'

/** One collection's notes. */
type Notes = {
  /** What was used since it began. */
  readonly indexes: Set<StorageIndex>
  /** Caps that were linked, and that the walk has not been told of. */
  caps: Cap[]
  /** What it removed, and nobody stored again. */
  readonly removed: Set<StorageIndex>
}

/** An edit of which nobody knows whether it was made, and until when it may be, in milliseconds of the process's clock. */
type Unsettled = {
  readonly indexes: readonly StorageIndex[]
  readonly caps: readonly Cap[]
  readonly until: number
}

/** Milliseconds in which an edit that was given up has been made, or never is. */
const SETTLED = 10 * 60_000

/** A collection while it goes on. */
export interface Collection {
  /** The caps that were linked since this was asked last. */
  linked(): readonly Cap[]
  /** Removes an index unless somebody has used it since the collection began; whether it did. */
  remove(index: StorageIndex, act: () => Promise<void>): Promise<boolean>
  end(): void
}

export class Uses {
  #active = 0
  #notes: Notes | null = null
  #unsettled: Unsettled[] = []
  readonly #removing = new Map<StorageIndex, Promise<unknown>>()

  /** Whether something is being stored or linked now. */
  get busy(): boolean {
    return this.#active > 0
  }

  /** Does the work of an upload that has found out its index. */
  async storing<T>(index: StorageIndex, work: () => Promise<T>): Promise<T> {
    return await this.#during([index], () => this.#notes?.removed.delete(index), work)
  }

  /** Does the work of an edit of `dir` that links caps. ESTALE when one of them was collected just now. */
  async linking<T>(dir: Cap | null, caps: readonly Cap[], work: () => Promise<T>): Promise<T> {
    const indexes = [dir, ...caps].flatMap(cap => cap?.storageIndex ?? [])
    const note = () => {
      if (indexes.some(index => this.#notes?.removed.has(index)))
        throw new FsError('ESTALE', 'what would be linked was removed, as nothing led to it')
      this.#notes?.caps.push(...caps)
    }
    try {
      return await this.#during(indexes, note, work)
    } catch (err) {
      this.#unsettled = [...this.#unsettledNow(), { indexes, caps, until: performance.now() + SETTLED }]
      throw err
    }
  }

  #unsettledNow(): Unsettled[] {
    return this.#unsettled.filter(({ until }) => until > performance.now())
  }

  async #during<T>(indexes: readonly StorageIndex[], note: () => void, work: () => Promise<T>): Promise<T> {
    this.#active++
    try {
      for (const index of indexes) this.#notes?.indexes.add(index)
      for (const index of indexes) await this.#removing.get(index)?.catch(() => {}) // the collection hears of it
      note()
      return await work()
    } finally {
      this.#active--
    }
  }

  /** EAGAIN while something is under way, or another collection. */
  collect(): Collection {
    if (this.busy) throw new FsError('EAGAIN', 'something is being stored')
    if (this.#notes) throw new FsError('EAGAIN', 'garbage is being collected already')
    const unsettled = this.#unsettledNow()
    const indexes = new Set(unsettled.flatMap(({ indexes }) => indexes))
    const notes: Notes = { indexes, caps: unsettled.flatMap(({ caps }) => caps), removed: new Set() }
    this.#notes = notes
    return {
      linked: () => {
        const { caps } = notes
        notes.caps = []
        return caps
      },
      remove: async (index, act) => {
        if (notes.indexes.has(index)) return false
        notes.removed.add(index)
        const removing = act()
        this.#removing.set(index, removing)
        try {
          await removing
          return true
        } finally {
          this.#removing.delete(index)
        }
      },
      end: () => {
        this.#notes = null
      },
    }
  }
}
