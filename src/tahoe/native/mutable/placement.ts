// Which server gets which shares of a new version: those that have one keep it, the others go to
// the servers with the fewest.

import type { StorageServer } from '../../storage/server.ts'

/** A share where it lies, and the bytes at its beginning that must still be there when it is replaced. */
export type Home = {
  readonly server: StorageServer
  readonly number: number
  readonly checkstring: Buffer
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
