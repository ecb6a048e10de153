// Puts a version on the servers. Each is asked to replace its shares only if they are still those
// of the map; where they are not, somebody else wrote at the same time, and nothing of ours is
// taken for done.
//
// An acknowledged version has all of its shares on servers, and has replaced enough of the one
// before (ground.ts).

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
import { type Ground, replacesEnough } from './ground.ts'
import { type Home, type Placement, place, replacing } from './placement.ts'
import type { Slot } from './slot.ts'

/** Another writer's shares are there. */
export class Collision extends Error {}

export type Publishing = {
  readonly slot: Slot
  readonly packed: PackedVersion
  /** All servers, in the order in which they are given shares. */
  readonly servers: readonly StorageServer[]
  readonly ground: Ground
  secretsFor(server: StorageServer): WriteSecrets
  /** Hears of what is committed only in part, before the error does. It must be ended before anything else. */
  undecided(prepared: readonly PreparedWrite[]): void
}

/** Servers that failed, and how. */
class Failures {
  readonly servers: Set<StorageServer>
  readonly errors: unknown[] = []

  constructor(silent: readonly StorageServer[]) {
    this.servers = new Set(silent)
  }

  add(server: StorageServer, err: unknown): void {
    if (!(err instanceof FsError)) throw err
    this.servers.add(server)
    this.errors.push(err)
  }
}

const CHECKED = { offset: 0, size: 57 }

/**
 * Where the shares lie afterwards. Throws Collision; EAGAIN or ENOSPC when not all shares found a
 * place; EAGAIN, before anything is written, when too much of the old version would be left.
 */
export async function publish(job: Publishing): Promise<Home[]> {
  const failures = new Failures(job.ground.silent)
  checkReplaces(job, () => true, failures)
  const where = placeOn(job, numbersOf(job), job.ground.homes, failures)
  if (where.size === 1 || ![...where.keys()].every(canPrepare)) return await publishEach(job, failures)
  return await publishPrepared({ ...job, servers: job.servers.filter(canPrepare) }, failures)
}

const canPrepare = (server: StorageServer): server is PreparingServer =>
  typeof (server as Partial<PreparingServer>).prepare === 'function'

/**
 * First the current shares are replaced where they are, and only when enough of them are the rest
 * find their places: so of two writers who replace the same version one at most makes a whole one.
 */
async function publishEach(job: Publishing, failures: Failures): Promise<Home[]> {
  const written: Home[] = []
  const { homes } = job.ground
  await replaceCurrent(job, written, failures)
  checkReplaces(job, home => isOneOf(home, written), failures)
  const stale = homes.filter(({ number, current }) => !current && number < job.packed.shares.length)
  let wanted = new Set([...missing(job, written), ...stale.map(({ number }) => number)])
  while (missing(job, written).length > 0) {
    const placement = placeOn(job, wanted, stale, failures, written)
    await writeTo(job, placement, written, failures)
    wanted = new Set(missing(job, written))
  }
  return homesAfter(job, written, failures)
}

/** One server is asked alone, and always the same: whoever is refused there has not replaced anything elsewhere. */
async function replaceCurrent(job: Publishing, written: Home[], failures: Failures): Promise<void> {
  const current = job.ground.homes.filter(home => home.current && home.number < job.packed.shares.length)
  const inOrder = [...replacing(current)].sort(([a], [b]) => a.id.compare(b.id))
  while (inOrder.length > 0 && written.length === 0) {
    checkReplaces(job, ({ server }) => !failures.servers.has(server), failures)
    await writeTo(job, new Map(inOrder.splice(0, 1)), written, failures)
  }
  await writeTo(job, new Map(inOrder), written, failures)
}

/** The shares of one server in one call. Throws Collision when all have answered. */
async function writeTo(
  job: Publishing,
  placement: Placement,
  written: Home[],
  failures: Failures,
): Promise<void> {
  const results = await Promise.allSettled(
    [...placement].map(async ([server, shares]) => {
      try {
        const { index } = job.slot
        const changes = changesFor(job, shares)
        const answer = await server.readTestWrite(index, job.secretsFor(server), changes, [CHECKED])
        collides(job, server, answer, written)
        for (const number of shares.keys()) written.push(homeOf(job, server, number))
      } catch (err) {
        failures.add(server, err)
      }
    }),
  )
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

const missing = (job: Publishing, written: readonly Home[]): number[] => {
  const have = new Set(written.map(({ number }) => number))
  return numbersOf(job).filter(number => !have.has(number))
}

const isOneOf = (home: Home, written: readonly Home[]): boolean =>
  written.some(({ server, number }) => server === home.server && number === home.number)

/** All servers hold the new beside the old before the first gives the old up. */
async function publishPrepared(job: Publishing, failures: Failures): Promise<Home[]> {
  for (;;) {
    const placement = placeOn(job, numbersOf(job), job.ground.homes, failures)
    // One after another and always in the same order: two writers never wait for each other.
    const inOrder = [...placement].sort(([a], [b]) => a.id.compare(b.id))
    const prepared: PreparedWrite[] = []
    let all = false
    try {
      all = await prepareAll(job, inOrder, prepared, failures)
    } finally {
      if (!all) await Promise.allSettled(prepared.map(each => each.abort()))
    }
    if (all) {
      await commitAll(job, prepared)
      const written = inOrder.flatMap(([server, shares]) =>
        [...shares.keys()].map(number => homeOf(job, server, number)),
      )
      return homesAfter(job, written, failures)
    }
    checkReplaces(job, ({ server }) => !failures.servers.has(server), failures)
  }
}

/** Whether each took it; the first that does not ends it. */
async function prepareAll(
  job: Publishing,
  inOrder: readonly (readonly [StorageServer, ReadonlyMap<number, Buffer>])[],
  prepared: PreparedWrite[],
  failures: Failures,
): Promise<boolean> {
  for (const [server, shares] of inOrder) {
    try {
      const { index } = job.slot
      const changes = changesFor(job, shares)
      const preparing = server as PreparingServer
      const answer = await preparing.prepare(index, job.secretsFor(server), changes, [CHECKED])
      if (answer.prepared !== null) prepared.push(answer.prepared)
      collides(job, server, answer, [])
    } catch (err) {
      failures.add(server, err)
      return false
    }
  }
  return true
}

/** What is committed in part must go on: by the next write of this process, or by recovery. */
async function commitAll(job: Publishing, prepared: readonly PreparedWrite[]): Promise<void> {
  try {
    await endAll(job.slot, prepared)
  } catch (err) {
    job.undecided(prepared)
    throw err
  }
}

const COMMIT_TRIES = 3

/** Commits all of them, those that are committed already too. Each is tried several times, and so are the others if one fails; EAGAIN then. */
export async function endAll(slot: Slot, prepared: readonly PreparedWrite[]): Promise<void> {
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
    throw new FsError('EAGAIN', `${slot.name}: a server did not take what it had prepared`, {
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
function homesAfter(job: Publishing, written: readonly Home[], { servers }: Failures): Home[] {
  const others = job.ground.homes.filter(home => !servers.has(home.server) && !isOneOf(home, written))
  return [...written, ...others.map(home => ({ ...home, current: false }))]
}

function placeOn(
  job: Publishing,
  numbers: Iterable<number>,
  homes: readonly Home[],
  failures: Failures,
  besides: readonly Home[] = [],
): Placement {
  const servers = job.servers.filter(server => !failures.servers.has(server))
  const placement = place(numbers, homes, servers, besides)
  if (placement === null) throw unplaced(job, failures, 'not all shares found a server')
  return placement
}

/** ENOSPC, EFBIG, or EACCES (a share was made for another server), when nothing else was wrong. */
function unplaced({ slot }: Publishing, { errors }: Failures, what: string): FsError {
  const said = (['ENOSPC', 'EFBIG', 'EACCES'] as const).find(
    code => errors.length > 0 && errors.every(err => codeOf(err) === code),
  )
  const why = said === 'EACCES' ? 'its shares were made for a server with another id' : what
  return new FsError(said ?? 'EAGAIN', `${slot.name}: ${why}`, { cause: errors[0] })
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
  const known = [...job.ground.homes, ...written].filter(home => home.server === server)
  for (const number of answer.data.keys())
    if (!known.some(home => home.number === number)) throw new Collision()
}

function checkReplaces(job: Publishing, replaced: (home: Home) => boolean, failures: Failures): void {
  if (replacesEnough(job.ground, job.packed.cut.needed, replaced)) return
  throw unplaced(
    job,
    failures,
    'too many shares of the old version are on servers that do not take the new one',
  )
}
