// Looks at everything below a root, and mends it on request. One object after another, so that
// whoever reads and writes meanwhile hardly notices.

import { setTimeout as sleep } from 'node:timers/promises'
import { codeOf, FsError } from '../../../errors.ts'
import type { Cap } from '../../cap.ts'
import type { Listing, Waiting } from '../../grid.ts'
import type { StorageServer, WriteSecrets } from '../../storage/server.ts'
import type { Downloads } from '../immutable/download.ts'
import type { MutableFiles } from '../mutable/mutable.ts'
import { slotOf } from '../mutable/slot.ts'
import { type Secrets, writeEnabler } from '../secrets.ts'
import type { Uses } from '../uses.ts'
import { repairImmutable } from './repair-immutable.ts'
import { repairMutable } from './repair-mutable.ts'
import { inWords, type State, stateOf, type Verified } from './verified.ts'
import { verifyImmutable, wantedOf } from './verify-immutable.ts'
import { verifyMutable } from './verify-mutable.ts'
import { keyOf, Walk } from './walk.ts'

/** Something that is not as it should be. */
export type Finding = {
  /** The names that lead to it; never a cap. */
  readonly path: string
  /**
   * fewer: shares are missing; damaged: some are wrong, or of an older version; unreadable: its
   * content cannot be had; unlisted: nobody knows what is in it.
   */
  readonly state: Exclude<State, 'healthy'> | 'unlisted'
  readonly detail: string
  /** Whether it is as it should be by now. */
  readonly mended: boolean
}

/** Of what was met so far. */
export type Totals = {
  /** With shares, each counted once. */
  readonly objects: number
  readonly healthy: number
  /** Of those that were not: as they should be now. */
  readonly mended: number
  /** Those that were not, and are not. */
  readonly wrong: number
  /** Content that is its own cap, and needs no looking at. */
  readonly literals: number
  /** Caps of kinds that are unknown here, and directories whose caps do not let one list them. */
  readonly unknown: number
}

export type Checking = Waiting & {
  /** Whether to mend what can be mended. */
  readonly repair?: boolean
  readonly onTotals?: (totals: Totals) => void
}

export type CheckGrounds = {
  readonly serversFor: (index: string) => readonly StorageServer[]
  readonly secrets: Secrets
  readonly downloads: Downloads
  readonly mutable: MutableFiles
  readonly uses: Uses
  readonly list: (dir: Cap, waiting: Waiting) => Promise<Listing>
}

/** Milliseconds after which a mutable file is looked at again that somebody may have been writing to. */
const AGAIN = 200

/** A mutable file that changed while it was looked at is looked at so often. */
const LOOKS = 3

export class Checker {
  readonly #grounds: CheckGrounds

  constructor(grounds: CheckGrounds) {
    this.#grounds = grounds
  }

  /** What is not as it should be, as it is found; the totals at the end. */
  async *check(root: Cap, options: Checking = {}): AsyncGenerator<Finding, Totals, undefined> {
    const { signal, onTotals } = options
    const totals = { objects: 0, healthy: 0, mended: 0, wrong: 0, literals: 0, unknown: 0 }
    /** What was found and not mended, by the object's key: a stronger cap may do it. */
    const wrong = new Set<string>()
    const walk = new Walk(this.#grounds.list)
    walk.add(root, '/')
    for await (const met of walk.run({ signal })) {
      onTotals?.({ ...totals })
      if (met.what === 'literal') totals.literals++
      else if (met.what === 'unknown') totals.unknown++
      else if (met.what === 'unlisted') {
        if (met.why === null) totals.unknown++
        else if (!wrong.has(keyOf(met.cap) ?? '')) {
          totals.wrong++
          yield { path: met.path, state: 'unlisted', detail: met.why, mended: false }
        }
      } else {
        const key = keyOf(met.cap)!
        if (met.again && !wrong.has(key)) continue
        const finding = await this.#look(met.cap, met.path, options)
        if (!met.again) totals.objects++
        if (wrong.delete(key)) totals.wrong--
        if (finding === null) totals.healthy++
        else if (finding.mended) totals.mended++
        else {
          wrong.add(key)
          totals.wrong++
        }
        if (finding && !(met.again && !finding.mended)) yield finding
      }
    }
    return totals
  }

  /** Null for what is healthy. */
  async #look(cap: Cap, path: string, { repair = false, signal }: Checking): Promise<Finding | null> {
    const verified = await this.#verify(cap, signal)
    const state = stateOf(verified)
    if (state === 'healthy') return null
    const detail = inWords(verified)
    if (!repair || state === 'unreadable') return { path, state, detail, mended: false }
    const why = await this.#mend(cap, verified, signal)
    return { path, state, detail: why === null ? detail : `${detail}; ${why}`, mended: why === null }
  }

  /** Null when it is healthy afterwards; else why not, in words. */
  async #mend(cap: Cap, verified: Verified, signal: AbortSignal | undefined): Promise<string | null> {
    try {
      if (cap.mutable) await this.#republish(cap, verified, signal)
      else {
        const { serversFor, secrets, downloads, uses } = this.#grounds
        const wanted = wantedOf(cap)
        const servers = serversFor(wanted.index)
        const work = () => repairImmutable(wanted, verified, servers, secrets, signal)
        try {
          await uses.storing(wanted.index, work)
        } finally {
          downloads.forget(wanted.index)
        }
      }
      const after = await this.#verify(cap, signal)
      return stateOf(after) === 'healthy' ? null : `mended in part: ${inWords(after)}`
    } catch (err) {
      signal?.throwIfAborted()
      if (!(err instanceof FsError)) throw err
      if (codeOf(err) === 'EROFS') return 'it is not mended, as its cap does not let one write'
      return `it is not mended: ${err.message.replace(/^\w+: /, '')}`
    }
  }

  async #republish(cap: Cap, verified: Verified, signal: AbortSignal | undefined): Promise<void> {
    if (cap.authority !== 'write') throw new FsError('EROFS', 'mend')
    const { mutable, uses } = this.#grounds
    const publish = () => uses.linking(cap, [], () => mutable.modify(cap, content => content, { signal }))
    const { index } = slotOf(cap)
    const verify = () => this.#verify(cap, signal)
    await repairMutable({ index, secretsFor: this.#secretsFor(cap), publish, verify }, verified)
  }

  async #verify(cap: Cap, signal: AbortSignal | undefined): Promise<Verified> {
    const { serversFor } = this.#grounds
    if (!cap.mutable) return await verifyImmutable(cap, serversFor(cap.storageIndex!), signal)
    // While it is written to, some shares are of the version before: that passes.
    let verified = await this.#verifyMutable(cap, signal)
    for (let look = 1; look < LOOKS && stateOf(verified) !== 'healthy'; look++) {
      await sleep(AGAIN, undefined, { signal })
      verified = await this.#verifyMutable(cap, signal)
    }
    return verified
  }

  #verifyMutable(cap: Cap, signal: AbortSignal | undefined): Promise<Verified> {
    const { serversFor } = this.#grounds
    const slot = slotOf(cap)
    const secretsFor = this.#secretsFor(cap)
    const readable = () => this.#isReadable(cap, signal)
    return verifyMutable({ slot, servers: serversFor(slot.index), secretsFor, readable }, { signal })
  }

  /** What is shown to a server by whoever has a write cap. */
  #secretsFor(cap: Cap): (server: StorageServer) => WriteSecrets {
    const { index, writeKey } = slotOf(cap)
    return ({ id }) => ({
      ...this.#grounds.secrets.leases(index, id),
      writeEnabler: writeEnabler(writeKey!, id),
    })
  }

  /** Whether the content of a mutable file can be read to its end. By a cap that only verifies nobody can say. */
  async #isReadable(cap: Cap, signal: AbortSignal | undefined): Promise<boolean> {
    if (cap.authority === 'verify') return false
    try {
      const range = { start: 0, end: Number.MAX_SAFE_INTEGER }
      for await (const _ of this.#grounds.mutable.read(cap, range, { signal }));
      return true
    } catch (err) {
      signal?.throwIfAborted()
      if (err instanceof FsError) return false
      throw err
    }
  }
}
