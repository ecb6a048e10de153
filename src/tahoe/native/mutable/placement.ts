// Which server gets which shares of a new version: those that have one keep it, the others go to
// the servers with the fewest. And how many of the old ones must be replaced for the new version
// to count.

import type { StorageServer } from '../../storage/server.ts'

/** A share where it lies, and the bytes at its beginning that must still be there when it is replaced. */
export type Home = {
  readonly server: StorageServer
  readonly number: number
  readonly checkstring: Buffer
  /** Whether it is of the version that is about to be replaced. */
  readonly current: boolean
}

/** For each server, by share number, what must be there: nothing of a share that is new there. */
export type Placement = Map<StorageServer, Map<number, Buffer>>

const nothing = Buffer.alloc(0)

/** The shares with these numbers, on those of `servers` (in order of preference) that have them; the rest on others. Null without servers. */
export function place(
  numbers: Iterable<number>,
  homes: readonly Home[],
  servers: readonly StorageServer[],
): Placement | null {
  if (servers.length === 0) return null
  const placement: Placement = new Map(servers.map(server => [server, new Map()]))
  const load = new Map(servers.map(server => [server, 0]))
  const wanted = new Set(numbers)
  const homeless = new Set(wanted)
  for (const { server, number, checkstring } of homes) {
    const shares = placement.get(server)
    if (shares === undefined) continue
    load.set(server, load.get(server)! + 1)
    if (!wanted.has(number)) continue
    shares.set(number, checkstring)
    homeless.delete(number)
  }
  for (const number of homeless) {
    let least = servers[0]!
    for (const server of servers) if (load.get(server)! < load.get(least)!) least = server
    placement.get(least)!.set(number, nothing)
    load.set(least, load.get(least)! + 1)
  }
  for (const [server, shares] of placement) if (shares.size === 0) placement.delete(server)
  return placement
}

/**
 * Whether enough of the current version would be replaced if these servers keep theirs. Most of
 * its shares must be: then two writers who both replace it meet on one, where only the first of
 * them passes the test. And too few must be left to read it: then whoever finds a version whole
 * has found the latest. `unseen` of its shares may be on servers that did not answer.
 */
export function replacesEnough(
  homes: readonly Home[],
  keeping: ReadonlySet<StorageServer>,
  unseen: number,
  needed: number,
): boolean {
  const current = homes.filter(home => home.current)
  const seen = new Set(current.map(({ number }) => number))
  const kept = new Set(current.filter(({ server }) => keeping.has(server)).map(({ number }) => number))
  const left = kept.size + unseen
  const all = seen.size + unseen
  return left === 0 || (left < needed && 2 * left < all)
}
