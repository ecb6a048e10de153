// Which server gets which shares of a new version: those that have one keep it, the others go to
// the servers with the fewest.

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

/**
 * The shares with these numbers on those of `servers` (in order of preference) that have them, as
 * `homes` say; the rest where the load, with the shares in `besides`, is least. Null without servers.
 */
export function place(
  numbers: Iterable<number>,
  homes: readonly Home[],
  servers: readonly StorageServer[],
  besides: readonly Home[] = [],
): Placement | null {
  if (servers.length === 0) return null
  const load = new Map(servers.map(server => [server, 0]))
  const more = (server: StorageServer) => load.set(server, (load.get(server) ?? 0) + 1)
  for (const { server } of [...homes, ...besides]) more(server)
  const homeless = new Set(numbers)
  const placement = replacing(
    homes.filter(({ server, number }) => servers.includes(server) && homeless.has(number)),
  )
  for (const shares of placement.values()) for (const number of shares.keys()) homeless.delete(number)
  for (const number of homeless) {
    let least = servers[0]!
    for (const server of servers) if (load.get(server)! < load.get(least)!) least = server
    const shares = placement.get(least) ?? new Map<number, Buffer>()
    placement.set(least, shares.set(number, nothing))
    more(least)
  }
  return placement
}

/** These shares, where they are. */
export function replacing(homes: readonly Home[]): Placement {
  const placement: Placement = new Map()
  for (const { server, number, checkstring } of homes) {
    const shares = placement.get(server) ?? new Map<number, Buffer>()
    placement.set(server, shares.set(number, checkstring))
  }
  return placement
}
