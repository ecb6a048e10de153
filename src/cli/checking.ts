// Looking at what is stored in folders of this machine, mending it, and removing what nothing
// leads to: what a running server does on request, and `check` itself where none runs.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { FsError } from '../errors.ts'
import { type Cap, parseCap } from '../tahoe/cap.ts'
import type { Finding, Totals } from '../tahoe/native/check/check.ts'
import type { Collected, Root } from '../tahoe/native/check/gc.ts'
import type { NativeGrid } from '../tahoe/native/native.ts'
import { Private } from '../tahoe/native/private.ts'
import { waitsIn } from '../vfs/state/left.ts'
import { exists } from './made.ts'
import { aliasesIn } from './root.ts'
import { served } from './served.ts'

export type Wish = { readonly repair: boolean; readonly gc: boolean }

/** What there is to tell, as it comes; `totals` about once a second, and at the end of a check. */
export type News =
  | { readonly what: 'finding'; readonly finding: Finding }
  | { readonly what: 'totals'; readonly totals: Totals; readonly done: boolean }
  | { readonly what: 'collected'; readonly collected: Collected }

/** Folders that are open, and who uses them. */
export type Store = {
  readonly grid: NativeGrid
  readonly root: Cap
  /** The folders. */
  readonly dirs: readonly string[]
  readonly stateDir: string
  /** The file system over them, where one runs. */
  readonly vfs: {
    status(): { readonly pending: { readonly files: number } }
    held(): Iterable<Cap>
  } | null
}

/** Milliseconds between two totals. */
const INTERVAL = 1000

/** A check, unless only garbage is to be collected; and then that. EAGAIN while another goes on. */
export class Checks {
  readonly #store: Store
  #busy = false

  constructor(store: Store) {
    this.#store = store
  }

  async *run({ repair, gc }: Wish, signal: AbortSignal): AsyncGenerator<News, void, undefined> {
    if (this.#busy) throw new FsError('EAGAIN', 'what is stored is being checked already')
    this.#busy = true
    try {
      if (repair || !gc) yield* this.#check(repair, signal)
      if (gc) yield { what: 'collected', collected: await this.#collect(signal) }
    } finally {
      this.#busy = false
    }
  }

  /** Null while a check goes on. */
  async collect(signal: AbortSignal): Promise<Collected | null> {
    if (this.#busy) return null
    this.#busy = true
    try {
      return await this.#collect(signal)
    } finally {
      this.#busy = false
    }
  }

  async *#check(repair: boolean, signal: AbortSignal): AsyncGenerator<News, void, undefined> {
    const { grid, root } = this.#store
    let totals: Totals | null = null
    const onTotals = (now: Totals) => {
      totals = now
    }
    const checking = grid.check(root, { repair, signal, onTotals })
    try {
      for (;;) {
        const next = checking.next()
        while (!(await soon(next))) if (totals) yield { what: 'totals', totals, done: false }
        const { done, value } = await next
        if (done) return yield { what: 'totals', totals: value, done: true }
        yield { what: 'finding', finding: value }
      }
    } finally {
      await checking.return(undefined as never).catch(() => {}) // whoever stops it has heard enough
    }
  }

  async #collect(signal: AbortSignal): Promise<Collected> {
    const { grid, root, dirs, stateDir, vfs } = this.#store
    const dir = dirs[0]!
    for (const each of dirs)
      if (await exists(join(each, 'tahoe.cfg')))
        return stopped(`${each} is a Tahoe node's, which may keep what no name here leads to`)
    const all = await served(dir)
    const states = new Set([...all.map(each => each.stateDir), stateDir])
    if (vfs) states.delete(stateDir) // that one is asked
    for (const state of states)
      if (await waitsIn(state))
        return stopped(`something waits in ${state}; let its server publish that first`)
    const known = new Map(
      all.map(each => [
        each.index,
        `a root was served from here, with its state in ${each.stateDir}, that no alias leads to: give it one, or take its line out of private/served`,
      ]),
    )
    const roots = [{ cap: root, path: '/' }, ...(await aliases(dir))]
    const obstacle = () => {
      const files = vfs?.status().pending.files ?? 0
      return files > 0 ? `${files} ${files === 1 ? 'file waits' : 'files wait'} for the grid` : null
    }
    return await grid.collect({ roots, known, obstacle, held: () => vfs?.held() ?? [], signal })
  }
}

const stopped = (why: string): Collected => ({ objects: 0, shares: 0, bytes: 0, reached: 0, stopped: why })

/** Whether it has come to its end before long. */
async function soon(work: Promise<unknown>): Promise<boolean> {
  const over = new AbortController()
  const late = sleep(INTERVAL, false, { signal: over.signal }).catch(() => false)
  const ended = work.then(
    () => true,
    () => true,
  )
  return await Promise.race([ended, late]).finally(() => over.abort())
}

/** All caps that the owner of the folders has a name for. */
async function aliases(dir: string): Promise<Root[]> {
  const text = (await new Private(dir).read('aliases')) ?? ''
  return aliasesIn(text).flatMap(({ name, cap }) => {
    try {
      return [{ cap: parseCap(cap), path: `${name}:` }]
    } catch {
      return [] // no cap, and so nothing that could lead here
    }
  })
}
