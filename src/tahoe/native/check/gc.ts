// Garbage: shares of storage indexes that nothing leads to. First everything that can be reached is
// marked, then what is not marked and old is removed; uses.ts says why that takes nothing that is
// needed. Killed in between it has removed some of what nothing leads to, and the next one goes on.
// What somebody else has a lease on is not garbage: other clients may have stored it here.

import { FsError } from '../../../errors.ts'
import type { Log } from '../../../log.ts'
import type { Cap } from '../../cap.ts'
import type { Listing, Waiting } from '../../grid.ts'
import type { StorageIndex, StorageServer } from '../../storage/server.ts'
import type { SlotFound } from '../../storage/walk.ts'
import { isKeeper, type Keeper } from '../keeper.ts'
import type { Secrets } from '../secrets.ts'
import type { Uses } from '../uses.ts'
import { Walk } from './walk.ts'

/** Milliseconds for which a share stays after it was last written, whatever leads to it. */
const AGE = 24 * 60 * 60 * 1000

export type Root = { readonly cap: Cap; readonly path: string }

export type Collecting = Waiting & {
  /** What is kept, and all below it. */
  readonly roots: readonly Root[]
  /** Storage indexes of roots that somebody has used, and what to say when nothing leads there: then not all roots were given. */
  readonly known?: ReadonlyMap<StorageIndex, string>
  /** Why nothing may be removed now: something waits; null when it may. Asked again and again. */
  readonly obstacle?: () => string | null
  /** What else is needed, at the moment when all that leads somewhere has been found. */
  readonly held?: () => Iterable<Cap>
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

export type Collected = {
  /** Storage indexes of which shares were removed. */
  readonly objects: number
  readonly shares: number
  /** Bytes of their files. */
  readonly bytes: number
  /** Storage indexes that something leads to. */
  readonly reached: number
  /** Why it ended before its end; null when it did not. */
  readonly stopped: string | null
}

export type Grounds = {
  readonly servers: readonly StorageServer[]
  readonly secrets: Secrets
  readonly uses: Uses
  readonly list: (dir: Cap, waiting: Waiting) => Promise<Listing>
  readonly log: Log
}

/** Something that ends a collection, in words for a person. */
class Stopped extends Error {}

/** Never throws for what keeps it from removing something: that is told in `stopped`. */
export async function collect(grounds: Grounds, collecting: Collecting): Promise<Collected> {
  const sum = { objects: 0, shares: 0, bytes: 0, reached: 0 }
  try {
    const keepers = allKeepers(grounds.servers)
    mayGoOn(collecting)
    const collection = grounds.uses.collect()
    try {
      const marked = await mark(grounds, collecting, collection.linked)
      sum.reached = marked.size
      for await (const { index, at } of garbage(keepers, marked, collecting)) {
        if (await isHeld(index, at, grounds.secrets)) continue
        mayGoOn(collecting)
        const removed = { shares: 0, bytes: 0 }
        const act = () => remove(index, at, removed)
        const done = await collection.remove(index, act).catch((err: unknown) => {
          if (!(err instanceof FsError)) throw err
          grounds.log.warn({ err, storageIndex: index }, 'garbage could not be removed')
          return true
        })
        if (!done || removed.shares === 0) continue
        sum.objects++
        sum.shares += removed.shares
        sum.bytes += removed.bytes
      }
    } finally {
      collection.end()
    }
    return { ...sum, stopped: null }
  } catch (err) {
    collecting.signal?.throwIfAborted()
    if (err instanceof Stopped) return { ...sum, stopped: err.message }
    if (err instanceof FsError) return { ...sum, stopped: err.message.replace(/^\w+: /, '') }
    throw err
  }
}

/** A folder that is not there may have later versions of directories. */
function allKeepers(servers: readonly StorageServer[]): readonly Keeper[] {
  const absent = servers.filter(server => !isKeeper(server))
  if (absent.length > 0) throw new Stopped(`${absent.map(({ name }) => name).join(', ')} is not there`)
  return servers.filter(isKeeper)
}

function mayGoOn({ obstacle, signal }: Collecting): void {
  signal?.throwIfAborted()
  const why = obstacle?.() ?? null
  if (why !== null) throw new Stopped(why)
}

/** The indexes of all that can be reached. Stopped by whatever could lead further and was not read. */
async function mark(
  { list }: Grounds,
  collecting: Collecting,
  linked: () => readonly Cap[],
): Promise<ReadonlySet<StorageIndex>> {
  const marked = new Set<StorageIndex>()
  const walk = new Walk(list)
  /** Directories that were reached by a cap that lets one list them, and by one that does not. */
  const open = new Set<StorageIndex>()
  const closed = new Map<StorageIndex, string>()
  const added = new Set<string>()
  for (const { cap, path } of collecting.roots) walk.add(cap, path)
  for (let more = true; more; ) {
    for await (const met of walk.run(collecting)) {
      if (met.what === 'unknown')
        throw new Stopped(`nobody knows where the cap at ${met.path} leads: it is of a kind unknown here`)
      if (met.what === 'literal') continue
      const index = met.cap.storageIndex!
      if (met.what === 'object') {
        marked.add(index)
        if (met.cap.type === 'directory' && met.cap.authority !== 'verify') open.add(index)
      } else if (met.why === null) closed.set(index, met.path)
      else throw new Stopped(`the directory ${met.path} cannot be listed: ${met.why}`)
    }
    mayGoOn(collecting)
    // In one turn: what waits to be linked is either among those that were, or held.
    const found = [...linked(), ...(collecting.held?.() ?? [])].filter(cap => !added.has(cap.uri()))
    for (const cap of found) {
      added.add(cap.uri())
      walk.add(cap, 'what is about to be linked')
    }
    more = found.length > 0
  }
  for (const [index, path] of closed)
    if (!open.has(index))
      throw new Stopped(`the directory ${path} cannot be listed: its cap does not allow it`)
  for (const [index, what] of collecting.known ?? []) if (!marked.has(index)) throw new Stopped(what)
  return marked
}

type Garbage = { readonly index: StorageIndex; readonly at: readonly { keeper: Keeper; slot: SlotFound }[] }

/** What is not marked, and old in all folders. */
async function* garbage(
  keepers: readonly Keeper[],
  marked: ReadonlySet<StorageIndex>,
  { now = Date.now }: Collecting,
): AsyncGenerator<Garbage> {
  for await (const { index, at } of merged(keepers)) {
    if (marked.has(index)) continue
    const before = now() - AGE
    const shares = at.flatMap(({ slot }) => [...slot.shares.values()])
    if (shares.every(({ modified }) => modified < before)) yield { index, at }
  }
}

/** The slots of all of them side by side; each gives its own in the order of their indexes. */
async function* merged(keepers: readonly Keeper[]): AsyncGenerator<Garbage> {
  const sources = keepers.map(keeper => ({ keeper, slots: keeper.slots() }))
  const heads = await Promise.all(sources.map(async each => ({ ...each, next: await each.slots.next() })))
  for (;;) {
    const open = heads.filter(({ next }) => !next.done)
    if (open.length === 0) return
    const indexes = open.map(({ next }) => (next.value as SlotFound).index)
    const index = indexes.reduce((a, b) => (b < a ? b : a))
    const here = open.filter((_, i) => indexes[i] === index)
    yield { index, at: here.map(({ keeper, next }) => ({ keeper, slot: next.value as SlotFound })) }
    for (const head of here) head.next = await head.slots.next()
  }
}

/** Whether another client wants any of it kept. */
async function isHeld(index: StorageIndex, at: Garbage['at'], secrets: Secrets): Promise<boolean> {
  for (const { keeper, slot } of at)
    for (const share of slot.shares.keys())
      if (await keeper.heldByOthers(index, share, secrets.leases(index, keeper.id))) return true
  return false
}

async function remove(
  index: StorageIndex,
  at: Garbage['at'],
  removed: { shares: number; bytes: number },
): Promise<void> {
  for (const { keeper, slot } of at)
    for (const [share, { bytes }] of slot.shares)
      if (await keeper.remove(index, share)) {
        removed.shares++
        removed.bytes += bytes
      }
}
