// Mutable files over servers in memory, with keys that need not be made first.

import type { SigningKey } from '../../src/tahoe/format/ssk-keys.ts'
import { MutableFiles, type Shares } from '../../src/tahoe/native/mutable/mutable.ts'
import { Secrets } from '../../src/tahoe/native/secrets.ts'
import type { StorageServer } from '../../src/tahoe/storage/server.ts'
import { goldenKeys } from './golden-mutables.ts'
import { MemoryServer } from './memory-storage.ts'

let golden: SigningKey[] | null = null

/** Keys that a world hands out: eleven, over and over, so a world can have eleven files. */
export function borrowedKeys(): { take(): Promise<SigningKey> } {
  golden ??= goldenKeys()
  const keys = golden
  let next = 0
  return { take: async () => keys[next++ % keys.length]! }
}

export const secrets = new Secrets(Buffer.alloc(32, 1), Buffer.alloc(32, 2))

export const serversOf = (count: number): MemoryServer[] =>
  Array.from({ length: count }, (_, i) => new MemoryServer(`server-${i}`))

/** A server without prepare, as those across the network are. */
export function plain(server: MemoryServer): StorageServer {
  return {
    id: server.id,
    name: server.name,
    version: () => server.version(),
    list: (kind, index) => server.list(kind, index),
    read: (kind, index, share, start, end) => server.read(kind, index, share, start, end),
    allocate: () => server.allocate(),
    readTestWrite: (index, secrets, changes, reads) => server.readTestWrite(index, secrets, changes, reads),
    addLease: () => server.addLease(),
    adviseCorrupt: (kind, index, share, reason) => server.adviseCorrupt(kind, index, share, reason),
    close: () => server.close(),
  }
}

export const filesOver = (
  servers: readonly StorageServer[],
  shares: Shares = { needed: 1, happy: 1, total: 1 },
  keys: { take(): Promise<SigningKey> } = borrowedKeys(),
): MutableFiles => new MutableFiles({ servers, secrets, keys, shares })

export async function collected(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts)
}

export const everything = { start: 0, end: Number.MAX_SAFE_INTEGER }
