// In what order servers are asked and given shares: another one for each storage index, and the
// same for all clients, so that they look where others put.

import { createHash } from 'node:crypto'
import { decode } from '../format/base32.ts'
import type { StorageIndex, StorageServer } from '../storage/server.ts'

/** The servers by SHA-1 of the storage index and their seed (docs/specifications/servers-of-happiness.rst). */
export function permuted(servers: readonly StorageServer[], index: StorageIndex): StorageServer[] {
  if (servers.length < 2) return [...servers]
  const bytes = decode(index)!
  return servers
    .map(server => ({ server, place: createHash('sha1').update(bytes).update(seedOf(server)).digest() }))
    .sort((a, b) => a.place.compare(b.place))
    .map(({ server }) => server)
}

/** A server announces a seed, which need not be its id; those we know so far have none of their own. */
const seedOf = (server: StorageServer): Buffer => server.id
