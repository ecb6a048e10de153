// Which server holds which share. A file is as safe as its shares are spread: happiness is how
// many servers hold a share that none of the others is counted for, the size of a maximum
// matching of servers and shares (docs/specifications/servers-of-happiness.rst).

/** Of each server, which shares it has. */
export type Holdings = readonly ReadonlySet<number>[]

/** Which server counts for which share. */
type Matching = Map<number, number>

/** Lets servers that count for no share yet count for one of those they could have, as many of them as can. */
function extend(serverOf: Matching, couldHave: (server: number) => Iterable<number>, servers: number): void {
  const reach = (server: number, tried: Set<number>): boolean => {
    const shares = [...couldHave(server)]
    const free = shares.find(share => !serverOf.has(share))
    const freed = () =>
      shares.find(share => {
        if (tried.has(share)) return false
        tried.add(share)
        return reach(serverOf.get(share)!, tried)
      })
    const share = free ?? freed()
    if (share !== undefined) serverOf.set(share, server)
    return share !== undefined
  }
  const counted = new Set(serverOf.values())
  for (let server = 0; server < servers; server++) if (!counted.has(server)) reach(server, new Set())
}

export function happinessOf(holdings: Holdings): number {
  const matching: Matching = new Map()
  extend(matching, server => holdings[server]!, holdings.length)
  return matching.size
}

/**
 * The shares that each server is to be given besides what it has, so that all `total` are somewhere,
 * and on as many servers as can be. `takes`: whether a server takes any; the first ones are preferred.
 */
export function place(total: number, holdings: Holdings, takes: readonly boolean[]): number[][] {
  const held = new Set(holdings.flatMap(shares => [...shares]))
  const all = Array.from({ length: total }, (_, share) => share)
  const homeless = all.filter(share => !held.has(share))
  const matching: Matching = new Map()
  extend(matching, server => holdings[server]!, holdings.length) // what is there already costs nothing
  extend(
    matching,
    server => (takes[server] ? [...holdings[server]!, ...homeless, ...held] : holdings[server]!),
    holdings.length,
  )
  const given: number[][] = holdings.map(() => [])
  const give = (share: number, server: number) => {
    if (!holdings[server]!.has(share)) given[server]!.push(share)
  }
  for (const [share, server] of matching) give(share, server)
  const load = (server: number) => holdings[server]!.size + given[server]!.length
  const takers = [...takes.keys()].filter(server => takes[server])
  for (const share of takers.length > 0 ? homeless : []) {
    if (matching.has(share)) continue
    give(
      share,
      takers.reduce((best, server) => (load(server) < load(best) ? server : best)),
    )
  }
  return given
}
