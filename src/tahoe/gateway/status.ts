// How the grid is, as the node sees it.

import { FsError } from '../../errors.ts'
import type { Health, Waiting } from '../grid.ts'
import { isObject, parseJson } from './listing.ts'
import type { Node } from './node.ts'
import { garbage } from './trouble.ts'

type Server = { readonly connected: boolean; readonly space: number | null }

async function servers(node: Node, what: string, { signal }: Waiting): Promise<readonly Server[]> {
  const body = await node.want({ method: 'GET', path: '/?t=json', what, limit: 16 << 20, signal })
  const answer = parseJson(body.toString(), what)
  if (!isObject(answer) || !Array.isArray(answer.servers))
    throw garbage(what, 'not the status of a Tahoe node')
  return answer.servers.filter(isObject).map(server => ({
    // Foolscap says 'Connected to tcp:… via tcp', the newer protocol 'connected'.
    connected: typeof server.connection_status === 'string' && /^connected/i.test(server.connection_status),
    space: typeof server.available_space === 'number' ? server.available_space : null,
  }))
}

/** Never throws: that the node does not answer is an answer here. */
export async function health(node: Node, waiting: Waiting = {}): Promise<Health> {
  try {
    const all = await servers(node, 'health', waiting)
    const connected = all.filter(server => server.connected).length
    return { reachable: connected > 0, detail: `${connected} of ${all.length} storage servers connected` }
  } catch (err) {
    if (!(err instanceof FsError)) throw err
    return { reachable: false, detail: err.message.replace(/^\w+: health: /, '') }
  }
}

/**
 * What the connected servers have free, divided by what content grows to when it is
 * encoded. How much they hold in all nobody tells, so `total` is no more than `free`.
 */
export async function usage(node: Node, growth: number, waiting: Waiting = {}) {
  const all = await servers(node, 'usage', waiting)
  const spaces = all.flatMap(({ connected, space }) => (connected && space !== null ? [space] : []))
  if (spaces.length === 0) return null
  const sum = spaces.reduce((a, b) => a + b, 0)
  const free = Math.min(Math.floor(sum / growth), Number.MAX_SAFE_INTEGER)
  return { total: free, free }
}
