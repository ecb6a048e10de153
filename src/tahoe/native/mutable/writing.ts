// Writing a slot: what is there is looked at, the next version made and published, and again from
// the start when another writer was faster.

import { setTimeout as sleep } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { FsError } from '../../../errors.ts'
import { packMdmf } from '../../format/mdmf.ts'
import { packSdmf } from '../../format/sdmf.ts'
import type { PackedVersion } from '../../format/ssk.ts'
import type { SigningKey } from '../../format/ssk-keys.ts'
import type { PreparedWrite, StorageServer, WriteSecrets } from '../../storage/server.ts'
import { permuted } from '../order.ts'
import { type Secrets, writeEnabler } from '../secrets.ts'
import { type Asking, checkSize, type Tried } from './asking.ts'
import { type Ground, nowhere } from './ground.ts'
import { type Known, nameOf } from './known.ts'
import { versionId } from './map.ts'
import { Collision, endAll, publish } from './publish.ts'
import { Moved } from './retrieve.ts'
import type { Slot } from './slot.ts'

/** Tries of one write when others write too, and the longest pause after the first of them, in ms; it doubles. */
const TRIES = 8
const PAUSE = 20
/** Bytes of content kept of what could not be written. */
const TRIED_SIZE = 64 * 1024 * 1024

/** What to write instead of what is there, told by its version; null to let it stay. */
export type Decide = (id: string, content: () => Promise<Buffer>) => Promise<Buffer | null>

export type Numbers = Pick<Known, 'format' | 'needed' | 'total' | 'seqnum'>

type Made = { readonly packed: PackedVersion; readonly known: Known }

export class Writing {
  readonly #servers: readonly StorageServer[]
  readonly #secrets: Secrets
  readonly #asking: Asking
  /** What was begun and not acknowledged; it may be needed to go on. */
  readonly #tried = new LRUCache<string, Tried>({
    maxSize: TRIED_SIZE,
    sizeCalculation: ({ known }) => 4096 + known.size,
  })

  /** What was committed only in part. */
  readonly #undecided = new Map<string, readonly PreparedWrite[]>()

  constructor(servers: readonly StorageServer[], secrets: Secrets, asking: Asking) {
    this.#servers = servers
    this.#secrets = secrets
    this.#asking = asking
  }

  /** The state of a slot after what `decide` wanted. One call at a time for each slot. */
  async write(slot: Slot, decide: Decide): Promise<Known> {
    await this.#end(slot)
    let hint = this.#asking.known.get(slot)
    let mine: Known | null = null
    for (let tries = 1; ; tries++) {
      try {
        const known = hint ?? (await this.#asking.ask(slot, undefined, this.#tried.get(nameOf(slot))))
        let old: Promise<Buffer> | null = null
        const content = () => (old ??= this.#asking.content(slot, known))
        // What we tried to write may be what is there, but not all of its shares.
        const decided = mine?.id === known.id ? mine.content : await heard(decide(known.id, content), hint)
        // To do nothing is decided only by what the servers say, and of what they have all of.
        if (decided === null && hint) {
          hint = undefined
          continue
        }
        if (decided === null && known.complete) return old ? { ...known, content: await old } : known
        const next: Buffer = decided ?? (await content())
        const made = await this.#pack({ ...known, key: await this.#asking.key(slot, known) }, next)
        mine = made.known
        this.#tried.set(nameOf(slot), { known: made.known, base: known.signed })
        return await this.#publish(slot, made, known.ground)
      } catch (err) {
        this.#asking.known.delete(slot)
        if (!(err instanceof Collision || err instanceof Moved)) throw err
        if (tries >= TRIES) throw new FsError('EAGAIN', `${slot.name}: others write to it all the time`)
        hint = undefined
        await sleep(Math.random() * PAUSE * 2 ** (tries - 1))
      }
    }
  }

  /** The first version of a slot that nobody has yet. */
  async begin(
    slot: Slot,
    key: SigningKey,
    numbers: Omit<Numbers, 'seqnum'>,
    content: Buffer,
  ): Promise<Known> {
    checkSize(slot, content.length)
    const made = await this.#pack({ ...numbers, seqnum: 0, key }, content)
    return await this.#publish(slot, made, nowhere)
  }

  /** What comes after the version that is known; where its shares will lie is not known yet. */
  async #pack(
    { key, format, needed, total, seqnum }: Numbers & { key: SigningKey },
    content: Buffer,
  ): Promise<Made> {
    const version = { key, seqnum: seqnum + 1, needed, total, content }
    const packed = await (format === 'SDMF' ? packSdmf(version) : packMdmf(version))
    const { signed } = packed
    const numbers = { format, needed, total, size: content.length, seqnum: packed.seqnum }
    const seen = { ground: nowhere, complete: true, reader: null }
    return { packed, known: { id: versionId(packed), signed, ...numbers, ...seen, content, key } }
  }

  async #publish(slot: Slot, { packed, known }: Made, ground: Ground): Promise<Known> {
    const servers = permuted(this.#servers, slot.index)
    const secretsFor = (server: StorageServer) => this.#secretsFor(slot, server)
    const undecided = (prepared: readonly PreparedWrite[]) => void this.#undecided.set(nameOf(slot), prepared)
    const homes = await publish({ slot, packed, servers, ground, secretsFor, undecided })
    const published = { ...known, ground: { ...nowhere, homes, silent: ground.silent } }
    this.#asking.known.set(slot, published)
    this.#tried.delete(nameOf(slot))
    return published
  }

  async #end(slot: Slot): Promise<void> {
    const prepared = this.#undecided.get(nameOf(slot))
    if (prepared === undefined) return
    await endAll(slot, prepared)
    this.#undecided.delete(nameOf(slot))
  }

  #secretsFor(slot: Slot, server: StorageServer): WriteSecrets {
    const leases = this.#secrets.leases(slot.index, server.id)
    return { ...leases, writeEnabler: writeEnabler(slot.writeKey!, server.id) }
  }
}

/** What was decided; an error that came of what is only remembered decides nothing. */
async function heard(decision: Promise<Buffer | null>, hint: Known | undefined): Promise<Buffer | null> {
  try {
    return await decision
  } catch (err) {
    if (hint) return null
    throw err
  }
}
