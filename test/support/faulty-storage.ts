// A StorageServer that misbehaves on request: what goes wrong is chosen for each call by the test,
// and where nothing is chosen the one behind it answers.

import { type Code, FsError } from '../../src/errors.ts'
import type {
  Allocated,
  PreparedWrite,
  PreparingServer,
  ShareWriter,
  StorageIndex,
} from '../../src/tahoe/storage/server.ts'

export type StorageCall = {
  readonly op:
    | 'version'
    | 'list'
    | 'read'
    | 'allocate'
    | 'write'
    | 'close'
    | 'abort'
    | 'readTestWrite'
    | 'prepare'
    | 'commit'
    | 'abortPrepared'
    | 'addLease'
    | 'adviseCorrupt'
  readonly index: StorageIndex | null
  /** Those that the call names; none where it is about all. */
  readonly shares: readonly number[]
}

export type StorageFault =
  /** Refused, and nothing done: EAGAIN is out of reach, ENOSPC is full. */
  | { readonly refuse: Code }
  /** Done, and then the answer is lost. */
  | { readonly lose: true }
  /** Done when this resolves. */
  | { readonly hold: Promise<unknown> }
  /** Of a read: the bit at this offset of what is read is another. */
  | { readonly flip: number }

export type FaultyStorage = PreparingServer & {
  /** Every call so far. */
  readonly calls: readonly StorageCall[]
}

/** `server`, but for what `fault` says of a call when it comes. */
export function faultyStorage(
  server: PreparingServer,
  fault: (call: StorageCall) => StorageFault | null,
): FaultyStorage {
  const calls: StorageCall[] = []

  async function through<T>(call: StorageCall, act: () => Promise<T>): Promise<T> {
    calls.push(call)
    const chosen = fault(call)
    if (!chosen) return await act()
    if ('refuse' in chosen) throw new FsError(chosen.refuse, `${call.op}: as the test wants it`)
    if ('hold' in chosen) await chosen.hold
    const result = await act()
    if ('lose' in chosen) throw new FsError('EAGAIN', `${call.op}: its answer is lost`)
    return 'flip' in chosen && Buffer.isBuffer(result) ? (flipped(result, chosen.flip) as T) : result
  }

  const writer = (index: StorageIndex, share: number, behind: ShareWriter): ShareWriter => {
    const on = (op: 'write' | 'close' | 'abort') => ({ op, index, shares: [share] })
    return {
      write: (offset, parts) => through(on('write'), () => behind.write(offset, parts)),
      close: () => through(on('close'), () => behind.close()),
      abort: () => through(on('abort'), () => behind.abort()),
    }
  }

  const choice = (index: StorageIndex, shares: readonly number[], behind: PreparedWrite): PreparedWrite => ({
    commit: () => through({ op: 'commit', index, shares }, () => behind.commit()),
    abort: () => through({ op: 'abortPrepared', index, shares }, () => behind.abort()),
  })

  return {
    id: server.id,
    name: server.name,
    calls,
    version: wait => through({ op: 'version', index: null, shares: [] }, () => server.version(wait)),
    list: (kind, index, wait) =>
      through({ op: 'list', index, shares: [] }, () => server.list(kind, index, wait)),
    read: (kind, index, share, start, end, wait) =>
      through({ op: 'read', index, shares: [share] }, () =>
        server.read(kind, index, share, start, end, wait),
      ),
    allocate: (index, shares, size, leases, wait) =>
      through({ op: 'allocate', index, shares }, async (): Promise<Allocated> => {
        const { have, writers } = await server.allocate(index, shares, size, leases, wait)
        return {
          have,
          writers: new Map([...writers].map(([share, each]) => [share, writer(index, share, each)])),
        }
      }),
    readTestWrite: (index, secrets, changes, reads, wait) =>
      through({ op: 'readTestWrite', index, shares: [...changes.keys()] }, () =>
        server.readTestWrite(index, secrets, changes, reads, wait),
      ),
    prepare: (index, secrets, changes, reads, wait) =>
      through({ op: 'prepare', index, shares: [...changes.keys()] }, async () => {
        const found = await server.prepare(index, secrets, changes, reads, wait)
        return { ...found, prepared: found.prepared && choice(index, [...changes.keys()], found.prepared) }
      }),
    left: () => server.left(),
    addLease: (index, leases, wait) =>
      through({ op: 'addLease', index, shares: [] }, () => server.addLease(index, leases, wait)),
    adviseCorrupt: (kind, index, share, reason, wait) =>
      through({ op: 'adviseCorrupt', index, shares: [share] }, () =>
        server.adviseCorrupt(kind, index, share, reason, wait),
      ),
    close: () => server.close(),
  }
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  if (at < copy.length) copy[at]! ^= 1
  return copy
}
