// The shares of one file on their way to their servers. Losing a server is no failure as long as
// the others make the file safe enough.

import { codeOf, FsError } from '../../../errors.ts'
import type { Log } from '../../../log.ts'
import type { ShareWriter, StorageServer } from '../../storage/server.ts'
import { isKeeper } from '../keeper.ts'
import { happinessOf, place } from '../placement.ts'
import type { Secrets } from '../secrets.ts'
import { Comparison } from './comparison.ts'

/** Shares are made `total`, of which `needed` suffice; they must be spread over `happy` servers. */
export type ShareNumbers = { readonly needed: number; readonly happy: number; readonly total: number }

/** How a file's shares are stored. */
export type Rules = { readonly secrets: Secrets; readonly shares: ShareNumbers; readonly log: Log }

/** What is stored: under which index, in shares of how many bytes. */
export type Stored = {
  readonly index: string
  readonly length: number
  readonly what: string
  readonly signal: AbortSignal
}

/** One share, what waits to be written of it, and from where. */
type Push = {
  readonly share: number
  readonly server: number
  readonly writer: ShareWriter
  parts: Uint8Array[]
  at: number
}

export class Pushes {
  readonly #servers: readonly StorageServer[]
  readonly #rules: Rules
  readonly #stored: Stored
  /** What each server has, or will have when all goes well. */
  readonly #holdings: Set<number>[]
  #pushes: Push[] = []
  #failure: unknown = null

  private constructor(servers: readonly StorageServer[], rules: Rules, stored: Stored) {
    this.#servers = servers
    this.#rules = rules
    this.#stored = stored
    this.#holdings = servers.map(() => new Set())
  }

  /**
   * Finds room for all shares that are nowhere yet. ENOSPC when servers are too full for the file
   * to be safe, EAGAIN when too few can be reached.
   */
  static async open(servers: readonly StorageServer[], rules: Rules, stored: Stored): Promise<Pushes> {
    const pushes = new Pushes(servers, rules, stored)
    try {
      await pushes.#allocate()
      return pushes
    } catch (err) {
      await pushes.abort()
      throw err
    }
  }

  /** Adds the next bytes of each share. */
  each(bytes: (share: number) => Uint8Array): void {
    for (const push of this.#pushes) push.parts.push(bytes(push.share))
  }

  /** Writes what was added. */
  async flush(): Promise<void> {
    await this.#all(async push => {
      const { parts, at } = push
      push.parts = []
      push.at += parts.reduce((sum, { length }) => sum + length, 0)
      await push.writer.write(at, parts)
    })
  }

  /** Makes all of them durable, and seen. */
  async close(): Promise<void> {
    await this.#all(({ writer }) => writer.close())
    this.#pushes = []
  }

  async abort(): Promise<void> {
    await Promise.allSettled(this.#pushes.splice(0).map(({ writer }) => writer.abort()))
  }

  async #allocate(): Promise<void> {
    const { index, signal } = this.#stored
    const takes = this.#servers.map(() => true)
    const lose = (server: number, err: unknown) => {
      takes[server] = false
      this.#lost(server, err)
    }
    /** By name only, until it was asked for. */
    const listed = this.#servers.map(() => new Set<number>())
    if (this.#servers.length > 1)
      await this.#onEach(async (server, i) => {
        listed[i] = new Set(await server.list('immutable', index, { signal }))
      }, lose)
    for (let again = true; again; ) {
      again = false
      const seen = this.#holdings.map((held, i) => held.union(listed[i]!))
      const given = place(this.#rules.shares.total, seen, takes)
      await this.#onEach(
        async (_server, i) => {
          const wanted = new Set(given[i]).union(listed[i]!)
          listed[i] = new Set()
          if (wanted.size > 0) await this.#ask(i, [...wanted])
        },
        (server, err) => {
          again = true
          lose(server, err)
        },
      )
    }
    this.#mustBeHappy()
  }

  /** Asks a server for room; what it has already is compared instead of written. */
  async #ask(at: number, wanted: readonly number[]): Promise<void> {
    const { index, length, signal } = this.#stored
    const server = this.#servers[at]!
    const leases = this.#rules.secrets.leases(index, server.id)
    const { have, writers } = await server.allocate(index, wanted, length, leases, { signal })
    for (const share of have) {
      const replace = async () => (isKeeper(server) ? server.replace(index, share, length, leases) : null)
      const writer = new Comparison({ server, index, share, replace })
      this.#pushes.push({ share, server: at, writer, parts: [], at: 0 })
    }
    for (const [share, writer] of writers) this.#pushes.push({ share, server: at, writer, parts: [], at: 0 })
    for (const share of [...have, ...writers.keys()]) this.#holdings[at]!.add(share)
    if (wanted.some(share => !this.#holdings[at]!.has(share))) throw new FsError('ENOSPC', 'allocate')
  }

  async #onEach(
    work: (server: StorageServer, i: number) => Promise<void>,
    failed: (i: number, err: unknown) => void,
  ): Promise<void> {
    await Promise.all(
      this.#servers.map((server, i) => work(server, i).catch((err: unknown) => failed(i, err))),
    )
  }

  /** Does something with each share; those that fail are given up. */
  async #all(work: (push: Push) => Promise<void>): Promise<void> {
    const lost: Push[] = []
    await Promise.all(
      this.#pushes.map(push =>
        work(push).catch((err: unknown) => {
          lost.push(push)
          this.#holdings[push.server]!.delete(push.share)
          this.#lost(push.server, err)
        }),
      ),
    )
    if (lost.length === 0) return
    this.#pushes = this.#pushes.filter(push => !lost.includes(push))
    await Promise.allSettled(lost.map(({ writer }) => writer.abort()))
    this.#mustBeHappy()
  }

  #lost(server: number, err: unknown): void {
    // A server that is full tells more than one that is silent.
    if (this.#failure === null || codeOf(err) === 'ENOSPC') this.#failure = err
    this.#rules.log.debug({ err, server: this.#servers[server]!.name }, 'a server does not take a share')
  }

  #mustBeHappy(): void {
    const { needed, happy } = this.#rules.shares
    const shares = new Set(this.#holdings.flatMap(held => [...held])).size
    const happiness = happinessOf(this.#holdings)
    if (happiness >= happy && shares >= needed) return
    const code = codeOf(this.#failure) === 'ENOSPC' ? 'ENOSPC' : 'EAGAIN'
    const why = code === 'ENOSPC' ? 'the others are full' : 'the others cannot be reached'
    throw new FsError(
      code,
      `${this.#stored.what}: only ${happiness} of at least ${happy} servers take shares, ${why}`,
      { cause: this.#failure },
    )
  }
}
