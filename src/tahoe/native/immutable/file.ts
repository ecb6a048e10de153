// One immutable file in the grid: its shares are found, and its segments put together from any
// `needed` of them. A share that is wrong is told to its server and not used again, and another
// takes its place; with too few left the read fails, and never gives a wrong byte.

import { FsError } from '../../../errors.ts'
import type { Log } from '../../../log.ts'
import type { Cap } from '../../cap.ts'
import { aesCtr } from '../../format/aes.ts'
import { segmentHash } from '../../format/chk/hashes.ts'
import { type Shape, segmentLength } from '../../format/chk/shape.ts'
import { PartialTree } from '../../format/merkle.ts'
import { decode } from '../../format/zfec.ts'
import type { StorageServer } from '../../storage/server.ts'
import { patiently } from '../../turns.ts'
import { Damaged, Share, type Trees, type Wanted } from './share.ts'

/** What is said of shares that could not be used. */
type Failures = { damaged: number; silent: number; last: unknown }

export class ImmutableFile {
  readonly #cap: Cap
  readonly #servers: readonly StorageServer[]
  readonly #log: Log
  readonly #wanted: Wanted
  /** Those that may be good, the ones to ask first in front. */
  #shares: Share[] = []
  /** Those that are not used again. */
  readonly #damaged = new Map<StorageServer, Set<number>>()
  #finding: Promise<void> | null = null
  #trees: Trees | null = null

  /** `cap`: that of an immutable file or directory with shares. `servers` in the order in which to ask them. */
  constructor(cap: Cap, servers: readonly StorageServer[], log: Log) {
    this.#cap = cap
    this.#servers = servers
    this.#log = log
    this.#wanted = {
      index: cap.storageIndex!,
      size: cap.contentSize!,
      needed: cap.needed!,
      total: cap.total!,
      extensionHash: cap.secrets().check,
    }
  }

  get index(): string {
    return this.#wanted.index
  }

  /** How the file is cut: whoever reads along its segments reads each of them once. */
  async shape(signal?: AbortSignal): Promise<Shape> {
    return (await this.#known(signal)).extension.shape
  }

  /** The bytes of one segment. EAGAIN when too few good shares are within reach. */
  async segment(segment: number, signal?: AbortSignal): Promise<Buffer> {
    const trees = await this.#known(signal)
    const { shape } = trees.extension
    const blocks = await this.#blocks(segment, trees, signal)
    const parts = decode(
      new Map([...blocks].map(([share, block]) => [share.number, block])),
      shape.needed,
      shape.total,
    )
    const padded = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
    const crypttext = padded.subarray(0, segmentLength(shape, segment))
    await this.#proveSegment(segment, crypttext, [...blocks.keys()], trees, signal)
    return aesCtr(this.#cap.secrets().key, segment * shape.segmentSize).update(crypttext)
  }

  /** What all shares agree on, from the first that proves it. */
  async #known(signal: AbortSignal | undefined): Promise<Trees> {
    if (this.#trees) return this.#trees
    const failures: Failures = { damaged: 0, silent: 0, last: null }
    await this.#find(signal)
    for (const share of [...this.#shares]) {
      const extension = await this.#use(share, failures, signal, () => share.extension(signal))
      if (!extension) continue
      const { crypttextRoot, shareRoot, shape } = extension
      this.#trees ??= {
        extension,
        shares: new PartialTree(shape.total, shareRoot),
        crypttext: new PartialTree(shape.segments, crypttextRoot),
      }
      return this.#trees
    }
    throw this.#tooFew(0, failures)
  }

  /** Proved blocks of a segment, from as many shares as are needed. */
  async #blocks(segment: number, trees: Trees, signal?: AbortSignal): Promise<Map<Share, Buffer>> {
    const { needed } = this.#wanted
    const blocks = new Map<Share, Buffer>()
    const failures: Failures = { damaged: 0, silent: 0, last: null }
    const numbers = new Set<number>()
    let rest = [...this.#shares]
    for (let again = true; ; ) {
      const batch: Share[] = []
      rest = rest.filter(share => {
        if (batch.length + blocks.size === needed || numbers.has(share.number)) return true
        numbers.add(share.number)
        batch.push(share)
        return false
      })
      if (batch.length === 0) {
        if (!again) throw this.#tooFew(blocks.size, failures)
        again = false
        const before = new Set(this.#shares)
        await this.#find(signal, true) // some may have come since
        rest.push(...this.#shares.filter(share => !before.has(share)))
        continue
      }
      await Promise.all(
        batch.map(async share => {
          const block = await this.#use(share, failures, signal, () => share.block(segment, trees, signal))
          if (block) blocks.set(share, block)
          else numbers.delete(share.number) // another server may have a better one
        }),
      )
      if (blocks.size === needed) return blocks
    }
  }

  async #proveSegment(
    segment: number,
    crypttext: Buffer,
    shares: readonly Share[],
    trees: Trees,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const hash = segmentHash(crypttext)
    const failures: Failures = { damaged: 0, silent: 0, last: null }
    for (const share of shares) {
      const proved = async () => {
        await share.crypttext(segment, hash, trees, signal)
        return true
      }
      if (await this.#use(share, failures, signal, proved)) return
    }
    throw new FsError('EAGAIN', `read ${this.#cap}: its shares do not belong together`)
  }

  /** What a share gives, or undefined when it cannot be used: a damaged one never again. */
  async #use<T>(
    share: Share,
    failures: Failures,
    signal: AbortSignal | undefined,
    work: () => Promise<T>,
  ): Promise<T | undefined> {
    try {
      return await work()
    } catch (err) {
      if (signal?.aborted) throw err
      failures.last = err
      if (err instanceof Damaged) {
        failures.damaged++
        this.#drop(share, err.message)
      } else if (err instanceof FsError) failures.silent++
      else throw err
      return undefined
    }
  }

  #drop(share: Share, reason: string): void {
    const { index } = this.#wanted
    const { server, number } = share
    this.#shares = this.#shares.filter(each => each !== share)
    const damaged = this.#damaged.get(server) ?? new Set()
    if (damaged.has(number)) return
    this.#damaged.set(server, damaged.add(number))
    this.#log.warn(
      { server: server.name, storageIndex: index, share: number },
      `a share is damaged: ${reason}`,
    )
    server.adviseCorrupt('immutable', index, number, reason).catch(() => {}) // it may not want to know
  }

  #tooFew(good: number, { damaged, silent, last }: Failures): FsError {
    const { needed } = this.#wanted
    const why = [
      `${good} of ${needed} needed shares`,
      ...(damaged > 0 ? [`${damaged} damaged`] : []),
      ...(silent > 0 ? [`${silent} out of reach`] : []),
    ]
    return new FsError('EAGAIN', `read ${this.#cap}: ${why.join(', ')}`, { cause: last })
  }

  /** Asks all servers which shares they have; those known already stay as they are. */
  async #find(signal: AbortSignal | undefined, anew = false): Promise<void> {
    if (this.#shares.length > 0 && !anew) return
    this.#finding ??= this.#ask().finally(() => {
      this.#finding = null
    })
    await patiently(this.#finding, `read ${this.#cap}`, signal)
  }

  async #ask(): Promise<void> {
    const { index, needed } = this.#wanted
    const found: Share[] = []
    const ask = async (server: StorageServer) => {
      for (const number of await server.list('immutable', index)) {
        if (number >= this.#wanted.total || this.#damaged.get(server)?.has(number)) continue
        const known = this.#shares.find(each => each.server === server && each.number === number)
        found.push(known ?? new Share(server, number, this.#wanted))
      }
    }
    await Promise.all(this.#servers.map(server => ask(server).catch(() => {}))) // the others may be enough
    const rank = ({ number, server }: Share) => [
      number < needed ? 0 : 1,
      this.#servers.indexOf(server),
      number,
    ]
    found.sort((a, b) => compare(rank(a), rank(b)))
    this.#shares = found // the first ones need no decoding
  }
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [i, value] of a.entries()) if (value !== b[i]) return value - b[i]!
  return 0
}
