// Makes the shares of an immutable file that are missing or damaged once more, byte for byte as
// they were: from the ciphertext, in the file's own shape. Nothing takes its place before all
// hashes have led to the cap again, and a damaged share lies there until the new one is durable.

import { setImmediate as breathe } from 'node:timers/promises'
import { FsError } from '../../../errors.ts'
import { parseCap } from '../../cap.ts'
import { ChkEncoder, planOf } from '../../format/chk/encoder.ts'
import { KEY_SIZE } from '../../format/chk/hashes.ts'
import type { ShareWriter, StorageServer } from '../../storage/server.ts'
import type { Wanted } from '../immutable/share.ts'
import { isKeeper, type Keeper } from '../keeper.ts'
import { place } from '../placement.ts'
import type { Secrets } from '../secrets.ts'
import { Crypttext } from './crypttext.ts'
import { numbersOf, type Verified } from './verified.ts'

/** A share to make, and where it will lie. */
type Target = { readonly server: Keeper; readonly number: number }

type Making = Target & { readonly writer: ShareWriter; at: number }

/** No plaintext is made of it: this encrypts nothing. */
const NO_KEY = Buffer.alloc(KEY_SIZE)

/**
 * `servers` in the order in which they are given shares. What cannot be made is EAGAIN, or what
 * its server said; the others are made all the same.
 */
export async function repairImmutable(
  wanted: Wanted,
  verified: Verified,
  servers: readonly StorageServer[],
  secrets: Secrets,
  signal?: AbortSignal,
): Promise<void> {
  const targets = targetsOf(verified, servers)
  if (targets.length === 0) throw new FsError('EAGAIN', 'no folder takes its shares')
  const crypttext = await Crypttext.open(wanted, [...verified.good, ...verified.damaged], signal)
  const { shape, version } = crypttext
  const plan = planOf(shape, version)
  const encoder = new ChkEncoder(NO_KEY, shape, plan)
  const makings = new Makings()
  try {
    for (const { server, number } of targets)
      await makings.open(server, number, () =>
        server.replace(wanted.index, number, plan.length, secrets.leases(wanted.index, server.id)),
      )
    await makings.write(() => plan.header)
    for (let segment = 0; segment < shape.segments; segment++) {
      const blocks = encoder.sealed(await crypttext.segment(segment, signal))
      await makings.write(number => blocks[number]!)
      await breathe()
    }
    const { cap, tails } = encoder.finish()
    if (!parseCap(cap).secrets().check.equals(wanted.extensionHash))
      throw new FsError('ENOTSUP', 'its shares were made by something that makes them in another way')
    await makings.write(number => tails[number]!)
    await makings.close()
  } finally {
    await makings.abort()
  }
  if (makings.failure !== null) throw makings.failure
}

/** Damaged shares where they lie, and those that are nowhere where there is most room for them. */
function targetsOf({ total, good, damaged, silent }: Verified, servers: readonly StorageServer[]): Target[] {
  const replaced = damaged.filter(({ server }) => isKeeper(server))
  const there = [...good, ...replaced]
  const missing = new Set(Array.from({ length: total }, (_, number) => number)).difference(numbersOf(there))
  const holdings = servers.map(server => numbersOf(there.filter(each => each.server === server)))
  const takes = servers.map(server => isKeeper(server) && !silent.includes(server))
  const given = place(total, holdings, takes)
  return [
    ...replaced.map(({ server, number }) => ({ server: server as Keeper, number })),
    ...servers.flatMap((server, i) =>
      given[i]!.filter(number => missing.has(number)).map(number => ({ server: server as Keeper, number })),
    ),
  ]
}

/** Shares while they are made. One that fails is given up, and the others go on. */
class Makings {
  failure: FsError | null = null
  #all: Making[] = []

  async open(server: Keeper, number: number, open: () => Promise<ShareWriter>): Promise<void> {
    try {
      this.#all.push({ server, number, writer: await open(), at: 0 })
    } catch (err) {
      this.#failed(err)
    }
  }

  async write(bytes: (number: number) => Uint8Array): Promise<void> {
    await this.#each(async making => {
      const part = bytes(making.number)
      await making.writer.write(making.at, [part])
      making.at += part.length
    })
    if (this.#all.length === 0) throw this.failure
  }

  async close(): Promise<void> {
    await this.#each(({ writer }) => writer.close())
  }

  async abort(): Promise<void> {
    await Promise.allSettled(this.#all.map(({ writer }) => writer.abort()))
  }

  async #each(work: (making: Making) => Promise<void>): Promise<void> {
    const results = await Promise.allSettled(this.#all.map(work))
    const lost = this.#all.filter((_, i) => results[i]!.status === 'rejected')
    this.#all = this.#all.filter(making => !lost.includes(making))
    for (const result of results) if (result.status === 'rejected') this.#failed(result.reason)
    await Promise.allSettled(lost.map(({ writer }) => writer.abort()))
  }

  #failed(err: unknown): void {
    if (!(err instanceof FsError)) throw err
    this.failure ??= err
  }
}
