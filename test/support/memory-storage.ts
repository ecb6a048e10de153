// Mutable shares in memory, with the rules of a storage server, for tests that lose, damage and
// delay them. Immutable shares it has none.

import { FsError } from '../../src/errors.ts'
import type {
  Allocated,
  LeftWrite,
  PreparedWrite,
  PreparingServer,
  ReadVector,
  ServerVersion,
  ShareKind,
  TestWrite,
  TestWritten,
  WriteSecrets,
} from '../../src/tahoe/storage/server.ts'

type Slot = { enabler: Buffer; shares: Map<number, Buffer>; prepared: Promise<void> | null }

export class MemoryServer implements PreparingServer {
  readonly id: Buffer
  readonly name: string
  readonly slots = new Map<string, Slot>()
  readonly advised: string[] = []
  /** Called before every operation; what it throws is the answer. */
  trouble: (operation: string, index: string) => void | Promise<void> = () => {}
  calls: string[] = []
  readonly #left: LeftWrite[] = []

  constructor(name: string) {
    this.name = name
    this.id = Buffer.alloc(20, name)
  }

  async #called(operation: string, index = ''): Promise<void> {
    this.calls.push(operation)
    await null
    await this.trouble(operation, index)
  }

  shares(index: string): Map<number, Buffer> {
    return this.slots.get(index)?.shares ?? new Map()
  }

  async version(): Promise<ServerVersion> {
    await this.#called('version')
    return { maxImmutable: 2 ** 40, maxMutable: 2 ** 40, free: 2 ** 40, total: null }
  }

  async list(kind: ShareKind, index: string): Promise<ReadonlySet<number>> {
    await this.#called('list', index)
    return new Set(kind === 'mutable' ? this.shares(index).keys() : [])
  }

  async read(_kind: ShareKind, index: string, share: number, start: number, end: number): Promise<Buffer> {
    await this.#called('read', index)
    const bytes = this.shares(index).get(share)
    if (!bytes) throw new FsError('ENOENT', `share ${share}`)
    return Buffer.from(bytes.subarray(start, end))
  }

  allocate(): Promise<Allocated> {
    throw new FsError('ENOTSUP', 'allocate')
  }

  async readTestWrite(
    index: string,
    secrets: WriteSecrets,
    changes: ReadonlyMap<number, TestWrite>,
    reads: ReadVector,
  ): Promise<TestWritten> {
    await this.#called('readTestWrite', index)
    for (;;) {
      const busy = this.slots.get(index)?.prepared
      if (!busy) break
      await busy
    }
    const tested = this.#tested(index, secrets, changes, reads)
    if (tested.done) this.#write(index, secrets, changed(this.shares(index), changes))
    return tested
  }

  async prepare(
    index: string,
    secrets: WriteSecrets,
    changes: ReadonlyMap<number, TestWrite>,
    reads: ReadVector,
  ): Promise<TestWritten & { prepared: PreparedWrite | null }> {
    await this.#called('prepare', index)
    for (;;) {
      const busy = this.slots.get(index)?.prepared
      if (!busy) break
      await busy
    }
    const tested = this.#tested(index, secrets, changes, reads)
    if (!tested.done) return { ...tested, prepared: null }
    const made = changed(this.shares(index), changes)
    const slot = this.#slot(index, secrets)
    const { promise, resolve } = Promise.withResolvers<void>()
    slot.prepared = promise
    const end = () => {
      slot.prepared = null
      resolve()
    }
    const left = [...made].map(([share, bytes]): LeftWrite => {
      const forget = () => this.#left.splice(this.#left.indexOf(one), 1)
      const write: PreparedWrite = {
        commit: async () => {
          await this.#called('commit left', index)
          this.#write(index, secrets, new Map([[share, bytes]]))
          forget()
        },
        abort: async () => void forget(),
      }
      const one: LeftWrite = { index, share, read: async (start, stop) => bytes.subarray(start, stop), write }
      return one
    })
    this.#left.push(...left)
    let ended = false
    const done = () => {
      ended = true
      for (const one of left) this.#left.splice(this.#left.indexOf(one), 1)
      end()
    }
    const prepared: PreparedWrite = {
      commit: async () => {
        if (ended) return
        await this.#called('commit', index)
        this.#write(index, secrets, made)
        done()
      },
      abort: async () => {
        await this.#called('abort', index)
        if (!ended) done()
      },
    }
    return { ...tested, prepared }
  }

  async left(): Promise<readonly LeftWrite[]> {
    return [...this.#left]
  }

  /** As after a crash: nobody waits for what was prepared. */
  crashed(): void {
    for (const slot of this.slots.values()) slot.prepared = null
  }

  async addLease(): Promise<boolean> {
    return true
  }

  async adviseCorrupt(_kind: ShareKind, index: string, share: number, reason: string): Promise<void> {
    this.advised.push(`${index} ${share}: ${reason}`)
  }

  async close(): Promise<void> {}

  #tested(index: string, secrets: WriteSecrets, changes: ReadonlyMap<number, TestWrite>, reads: ReadVector) {
    const slot = this.slots.get(index)
    if (slot && !slot.enabler.equals(secrets.writeEnabler)) throw new FsError('EACCES', 'the write enabler')
    const shares = this.shares(index)
    const data = new Map<number, Buffer[]>()
    for (const [number, bytes] of shares)
      data.set(
        number,
        reads.map(({ offset, size }) => Buffer.from(bytes.subarray(offset, offset + size))),
      )
    const done = [...changes].every(([number, { tests }]) =>
      tests.every(
        ({ offset, size, specimen }) =>
          (shares.get(number) ?? Buffer.alloc(0)).subarray(offset, offset + size).compare(specimen) === 0,
      ),
    )
    return { done, data }
  }

  #slot(index: string, secrets: WriteSecrets): Slot {
    let slot = this.slots.get(index)
    if (!slot)
      this.slots.set(index, (slot = { enabler: secrets.writeEnabler, shares: new Map(), prepared: null }))
    return slot
  }

  #write(index: string, secrets: WriteSecrets, made: ReadonlyMap<number, Buffer>): void {
    const { shares } = this.#slot(index, secrets)
    for (const [number, bytes] of made) {
      if (bytes.length === 0) shares.delete(number)
      else shares.set(number, bytes)
    }
  }
}

/** The shares as the changes make them; an empty one is removed. */
function changed(
  shares: ReadonlyMap<number, Buffer>,
  changes: ReadonlyMap<number, TestWrite>,
): Map<number, Buffer> {
  return new Map(
    [...changes].map(([number, { writes, newLength }]) => {
      const old = shares.get(number) ?? Buffer.alloc(0)
      const end = Math.max(old.length, ...writes.map(({ offset, data }) => offset + data.length))
      const bytes = Buffer.alloc(end)
      old.copy(bytes)
      for (const { offset, data } of writes) bytes.set(data, offset)
      if (newLength === null) return [number, bytes]
      const cut = Buffer.alloc(newLength)
      bytes.copy(cut)
      return [number, cut]
    }),
  )
}
