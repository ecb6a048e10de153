// Random operations on a few files and on shadows of them in memory, as fsx does, with what a caller wants to happen in
// between: caches dropped, the mount made anew, the server killed. Every difference is an error that tells where, how much,
// what had touched it, and the seed that brings it again.

import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ask, say } from './asking.ts'
import { Random } from './fsx-random.ts'
import { type Bounds, begin, perform, type Subject } from './fsx-steps.ts'
import { missingFor, needing, type Rules } from './rule.ts'
import { sh } from './shell.ts'

/** What a server that was killed must have kept: all that a write had been told, or all that an fsync had. */
export type Kept = 'acknowledged' | 'synced'

/** What happens in between may do this. */
export type Files = {
  /** Closes all of them, as before an unmount. They are opened again by the next step. */
  close(): Promise<void>
  /** What is open is lost in `deed`; one write is under way meanwhile. */
  lose(kept: Kept, deed: () => Promise<void>): Promise<void>
}

export type FsxOptions = {
  readonly seed: number
  readonly steps: number
  readonly bounds: Bounds
  readonly between?: (step: number, files: Files) => Promise<void>
  /** Whether `between` will ask for what was synced. */
  readonly remembers?: boolean
}

const mayMap = missingFor(needing(['xfs_io'], async () => {})).length === 0

/** Throws at the first difference. */
export async function fsxIn(dir: string, options: FsxOptions): Promise<void> {
  const { seed, steps, bounds, between, remembers = false } = options
  const random = new Random(seed)
  let number = 0
  try {
    const all = await Promise.all(['a', 'b', 'c'].map(name => begin(dir, name, { remembers })))
    const files = new OpenFiles(dir, all, random, bounds)
    for (number = 1; number <= steps; number++) {
      await between?.(number, files)
      await files.opened(number)
      await perform({ number, dir, random, bounds, all }, { mayMap })
      if (number % 100 === 0) await files.check()
    }
    await files.check()
    await files.close()
    const left = (await readdir(dir)).sort()
    const want = all.map(({ name }) => name).sort()
    if (`${left}` !== `${want}`) throw new Error(`there are ${left}, and should be ${want}`)
  } catch (error) {
    throw new Error(`fsx, seed ${seed}, step ${number}: ${(error as Error).message}`, { cause: error })
  }
}

class OpenFiles implements Files {
  readonly #dir: string
  readonly #all: readonly Subject[]
  readonly #random: Random
  readonly #bounds: Bounds
  #step = 0
  #isClosed = false

  constructor(dir: string, all: readonly Subject[], random: Random, bounds: Bounds) {
    this.#dir = dir
    this.#all = all
    this.#random = random
    this.#bounds = bounds
  }

  async close(): Promise<void> {
    for (const { file } of this.#all) await file.close()
    this.#isClosed = true
  }

  async opened(step: number): Promise<void> {
    this.#step = step
    if (!this.#isClosed) return
    for (const subject of this.#all) subject.file = await open(this.#path(subject), 'r+')
    this.#isClosed = false
  }

  async check(): Promise<void> {
    for (const subject of this.#all)
      subject.shadow.check(await readFile(this.#path(subject)), `the whole of ${subject.name}`)
  }

  async lose(kept: Kept, deed: () => Promise<void>): Promise<void> {
    const subject = this.#all[this.#random.below(this.#all.length)]!
    const at = this.#random.below(this.#bounds.most - this.#bounds.longest)
    const data = this.#random.bytes(1 + this.#random.below(this.#bounds.longest))
    const before = Buffer.from(subject.shadow.content)
    const writing = subject.file.write(data, 0, data.length, at).then(
      ({ bytesWritten }) => bytesWritten,
      () => 0,
    )
    await deed()
    const told = await writing // as far as the kernel came: it asks for the pages before an edge first
    if (told > 0) subject.shadow.write(this.#step, at, data.subarray(0, told), 'write when all was lost')
    const least = told > 0 ? Buffer.from(subject.shadow.content) : before
    const isTorn = told < data.length
    if (isTorn)
      subject.shadow.write(this.#step, at + told, data.subarray(told), 'write that was never answered')
    for (const { file } of this.#all) await file.close().catch(() => {}) // its server is gone
    this.#isClosed = true
    for (const each of this.#all) {
      const { shadow } = each
      shadow.did(this.#step, 'lost')
      const between = kept === 'synced' || (each === subject && isTorn)
      const now = each === subject ? [least, shadow.content] : [shadow.content]
      const allowed = kept === 'synced' ? shadow.sinceSync() : now
      const have = await readFile(this.#path(each))
      shadow.settle(have, allowed, `${each.name} after the server was lost`, { between })
    }
  }

  #path = ({ name }: Subject): string => join(this.#dir, name)
}

/** What happens in between, as a test can say it to another process. */
export type Interruption = {
  /** What the test is asked to do, or what is done where the rules run, in the directory of the files. */
  readonly happens: { readonly ask: string } | { readonly sh: string }
  /** Once in so many steps, about. */
  readonly every: number
  /** What becomes of open files: they stay, must be closed before, or are lost. */
  readonly files: 'stay' | 'closed' | 'lost'
  readonly kept?: Kept
}

export type FsxPlan = {
  readonly seed: number
  /** In all. */
  readonly steps: number
  readonly between: readonly Interruption[]
}

const happen = async ({ happens }: Interruption, dir: string): Promise<void> => {
  if ('ask' in happens) ask(happens.ask)
  else await sh(dir, happens.sh)
}

const kinds: Record<string, { readonly share: number; readonly bounds: Bounds }> = {
  'random operations on small files leave what their shadows have': {
    share: 0.7,
    bounds: { most: 64 * 1024, longest: 16 * 1024 },
  },
  'random operations on large files leave what their shadows have': {
    share: 0.3,
    bounds: { most: 3 * 2 ** 20, longest: 300_000 },
  },
}

export const fsxTitles: readonly string[] = Object.keys(kinds)

export function fsx({ seed, steps, between }: FsxPlan): Rules {
  const rules = Object.entries(kinds).map(([title, { share, bounds }]) => [
    title,
    (dir: string): Promise<void> => {
      say(`NOTE\tfsx seed\t${seed}`)
      const chance = new Random(~seed) // its own, so that operations stay when interruptions change
      const remembers = between.some(({ kept }) => kept === 'synced')
      const meanwhile = async (_: number, files: Files): Promise<void> => {
        const each = between.find(({ every }) => chance.below(every) === 0)
        if (!each) return
        if (each.files === 'closed') await files.close()
        if (each.files === 'lost') await files.lose(each.kept ?? 'acknowledged', () => happen(each, dir))
        else await happen(each, dir)
      }
      return fsxIn(dir, { seed, steps: Math.round(steps * share), bounds, between: meanwhile, remembers })
    },
  ])
  return Object.fromEntries(rules) as Rules
}
