// Puts a version on the servers. Each is asked to replace its shares only if they are still those
// of the map; where they are not, somebody else wrote at the same time, and nothing of ours is
// taken for done.
//
// An acknowledged version has all of its shares on servers, and has replaced enough of the one
// before (placement.ts).

import { codeOf, FsError } from '../../../errors.ts'
import type { PackedVersion } from '../../format/ssk.ts'
import type {
  PreparedWrite,
  PreparingServer,
  StorageServer,
  TestWrite,
  TestWritten,
  WriteSecrets,
} from '../../storage/server.ts'
import { type Home, type Placement, place, replacesEnough } from './placement.ts'
import type { Slot } from './slot.ts'

/** Another writer's shares are there. */
export class Collision extends Error {}

export type Publishing = {
  readonly slot: Slot
  readonly packed: PackedVersion
  /** All servers, in the order in which they are given shares. */
  readonly servers: readonly StorageServer[]
  /** Where shares lie; of a new file nowhere. */
  readonly homes: readonly Home[]
  /** Shares of the version before that may lie on servers which did not answer. */
  readonly unseen: number
  secretsFor(server: StorageServer): WriteSecrets
}

const CHECKED = { offset: 0, size: 57 }

/**
 * Where the shares lie afterwards. Throws Collision; EAGAIN or ENOSPC when not all shares found a
 * place; EAGAIN, before anything is written, when too much of the old version would be left.
 */
export async function publish(job: Publishing): Promise<Home[]> {
  const out = new Set<StorageServer>()
  const failures: unknown[] = []
  checkReplaces(job, out, failures)
  const prepares = job.servers.length > 1 && job.servers.every(canPrepare)
  return prepares ? await publishPrepared(job, out, failures) : await publishEach(job, out, failures)
}

const canPrepare = (server: StorageServer): server is PreparingServer =>
  typeof (server as Partial<PreparingServer>).prepare === 'function'

/** The shares of one server go in one call; those of a server that fails go to the others. */
async function publishEach(job: Publishing, out: Set<StorageServer>, failures: unknown[]): Promise<Home[]> {
  const written: Home[] = []
  let missing = numbersOf(job)
  while (missing.length > 0) {
    const placement = placeOn(job, missing, [...job.homes, ...written], out, failures)
    await Promise.all(
      [...placement].map(async ([server, shares]) => {
        try {
          const answer = await server.readTestWrite(
            job.slot.index,
            job.secretsFor(server),
            changesFor(job, shares),
            [CHECKED],
          )
          collides(job, server, answer, written)
          for (const number of shares.keys()) written.push(homeOf(job, server, number))
        } catch (err) {
          failed(server, err, out, failures)
        }
      }),
    )
    if (failures.some(isCollision)) throw new Collision()
    // What was begun goes on, so that the new version at least can be read; it does not count then.
    if (written.length === 0) checkReplaces(job, out, failures)
    const have = new Set(written.map(({ number }) => number))
    missing = missing.filter(number => !have.has(number))
  }
  checkReplaces(job, out, failures)
  return homesAfter(job, written, out)
}

/** All servers hold the new beside the old before the first gives the old up. */
async function publishPrepared(
  job: Publishing,
  out: Set<StorageServer>,
  failures: unknown[],
): Promise<Home[]> {
  for (;;) {
    const placement = placeOn(job, numbersOf(job), job.homes, out, failures)
    // One after another and always in the same order: two writers never wait for each other.
    const inOrder = [...placement].sort(([a], [b]) => a.id.compare(b.id))
    const prepared: PreparedWrite[] = []
    let all = false
    try {
      all = await prepareAll(job, inOrder, prepared, out, failures)
    } finally {
      if (!all) await Promise.allSettled(prepared.map(each => each.abort()))
    }
    if (all) {
      await commitAll(job, prepared)
      const written = inOrder.flatMap(([server, shares]) =>
        [...shares.keys()].map(number => homeOf(job, server, number)),
      )
      return homesAfter(job, written, out)
    }
    checkReplaces(job, out, failures)
  }
}

/** Whether each took it; the first that does not ends it. */
async function prepareAll(
  job: Publishing,
  inOrder: readonly (readonly [StorageServer, ReadonlyMap<number, Buffer>])[],
  prepared: PreparedWrite[],
  out: Set<StorageServer>,
  failures: unknown[],
): Promise<boolean> {
  for (const [server, shares] of inOrder) {
    try {
      const answer = await (server as PreparingServer).prepare(
        job.slot.index,
        job.secretsFor(server),
        changesFor(job, shares),
        [CHECKED],
      )
      if (answer.prepared !== null) prepared.push(answer.prepared)
      collides(job, server, answer, [])
    } catch (err) {
      if (isCollision(err)) throw err
      failed(server, err, out, failures)
      return false
    }
  }
  return true
}

const COMMIT_TRIES = 3

/** What is committed in part must go on: a prepared write that fails is tried again, and is left for recovery at last. */
async function commitAll(job: Publishing, prepared: readonly PreparedWrite[]): Promise<void> {
  const results = await Promise.allSettled(
    prepared.map(async each => {
      for (let tries = 1; ; tries++) {
        try {
          return await each.commit()
        } catch (err) {
          if (tries === COMMIT_TRIES) throw err
        }
      }
    }),
  )
  const failure = results.find(result => result.status === 'rejected')
  if (failure)
    throw new FsError('EAGAIN', `${job.slot.name}: a server did not take what it had prepared`, {
      cause: failure.reason,
    })
}

const numbersOf = ({ packed }: Publishing): number[] => [...packed.shares.keys()]

const homeOf = (job: Publishing, server: StorageServer, number: number): Home => ({
  server,
  number,
  checkstring: job.packed.checkstring,
  current: true,
})

/** New homes, and the old ones that are still as they were. */
function homesAfter(job: Publishing, written: readonly Home[], out: ReadonlySet<StorageServer>): Home[] {
  const replaced = (home: Home) =>
    written.some(({ server, number }) => server === home.server && number === home.number)
  const others = job.homes.filter(home => !out.has(home.server) && !replaced(home))
  return [...written, ...others.map(home => ({ ...home, current: false }))]
}

function placeOn(
  job: Publishing,
  numbers: readonly number[],
  homes: readonly Home[],
  out: ReadonlySet<StorageServer>,
  failures: readonly unknown[],
): Placement {
  const placement = place(
    numbers,
    homes,
    job.servers.filter(server => !out.has(server)),
  )
  if (placement !== null) return placement
  throw unplaced(job, failures, `${numbers.length} of ${job.packed.shares.length} shares found no server`)
}

/** ENOSPC when nothing else was wrong. */
function unplaced(job: Publishing, failures: readonly unknown[], what: string): FsError {
  const full = failures.length > 0 && failures.every(err => codeOf(err) === 'ENOSPC')
  return new FsError(full ? 'ENOSPC' : 'EAGAIN', `${job.slot.name}: ${what}`, { cause: failures[0] })
}

function changesFor({ packed }: Publishing, shares: ReadonlyMap<number, Buffer>): Map<number, TestWrite> {
  return new Map(
    [...shares].map(([number, specimen]) => {
      const { writes, length } = packed.shares[number]!
      const test = { offset: 0, size: Math.max(1, specimen.length), specimen }
      return [number, { tests: [test], writes, newLength: length }]
    }),
  )
}

/** Throws Collision when the tests failed, or when shares are there that nobody knew of. */
function collides(
  job: Publishing,
  server: StorageServer,
  answer: TestWritten,
  written: readonly Home[],
): void {
  if (!answer.done) throw new Collision()
  const known = [...job.homes, ...written].filter(home => home.server === server)
  for (const number of answer.data.keys())
    if (!known.some(home => home.number === number)) throw new Collision()
}

const isCollision = (err: unknown): boolean => err instanceof Collision

function failed(server: StorageServer, err: unknown, out: Set<StorageServer>, failures: unknown[]): void {
  if (!(err instanceof FsError) && !isCollision(err)) throw err
  out.add(server)
  failures.push(err)
}

function checkReplaces(job: Publishing, out: ReadonlySet<StorageServer>, failures: readonly unknown[]): void {
  if (replacesEnough(job.homes, out, job.unseen, job.packed.cut.needed)) return
  throw unplaced(
    job,
    failures,
    'too many shares of the old version are on servers that do not take the new one',
  )
}
