// What is there of a slot now: all servers are asked each time, and what was checked before of the
// same version is not fetched and checked again.

import { setTimeout as sleep } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { FsError } from '../../../errors.ts'
import { MAX_SEGMENT } from '../../format/ssk.ts'
import type { SigningKey } from '../../format/ssk-keys.ts'
import type { StorageServer } from '../../storage/server.ts'
import { gaveUp } from '../../turns.ts'
import { groundOf, groundOfRuins } from './ground.ts'
import { type Known, KnownSlots } from './known.ts'
import { highestSeqnum, latest, readMap, recoverable, type ServerMap } from './map.ts'
import { Moved, VersionReader } from './retrieve.ts'
import type { FoundShare } from './share.ts'
import type { Slot } from './slot.ts'

/** The longest content that is written, or read as a whole, in bytes: it is held in memory, and so are its shares. */
export const MAX_WHOLE = MAX_SEGMENT
/** Damaged shares of which servers are told only once. */
const TOLD = 1000

/** How long it is waited for a version on its way, at first and at last, in ms. */
const PAUSE = 5
const PAUSE_MAX = 160

/** What this process wanted to write and could not, and what was signed of the version before that. */
export type Tried = { readonly known: Known; readonly base: Buffer }

export class Asking {
  readonly known = new KnownSlots()
  readonly #servers: readonly StorageServer[]
  readonly #told = new LRUCache<string, true>({ max: TOLD })

  constructor(servers: readonly StorageServer[]) {
    this.#servers = servers
  }

  /** EAGAIN when there is no version that can be read, unless what was tried may take its place. */
  async ask(slot: Slot, signal?: AbortSignal, tried?: Tried): Promise<Known> {
    gaveUp(slot.name, signal)
    const before = this.known.get(slot)
    const map = await this.#map(slot, before?.signed ?? null, signal)
    for (const { share, reason } of map.damaged) this.#tell(slot, share, reason)
    const ruins = tried && groundOfRuins(map, tried.known, tried.base)
    if (ruins) return { ...tried.known, ground: ruins, complete: false }
    const version = latest(slot, map)
    const { header, id, shares } = version
    const { signed, format, needed, total, size } = header
    const same = before?.id === id ? before : null
    const reader = new VersionReader(slot, version, (share, reason) => this.#tell(slot, share, reason))
    if (same?.reader) reader.knowing(same.reader)
    const known: Known = {
      ...{ id, signed, format, needed, total, size, seqnum: highestSeqnum(map), reader },
      ground: groundOf(map, version),
      complete: map.silent.length === 0 && shares.size === total,
      content: same?.content ?? null,
      key: before?.key ?? null,
    }
    this.known.set(slot, known)
    return known
  }

  /** A version on its way, of which some servers have shares and others not yet, is waited for a little. */
  async #map(slot: Slot, trusted: Buffer | null, signal?: AbortSignal): Promise<ServerMap> {
    for (let pause = PAUSE; ; pause *= 2) {
      const map = await readMap(slot, this.#servers, trusted, { signal })
      const torn = map.versions.length > 1 && !map.versions.some(recoverable)
      if (!torn || pause > PAUSE_MAX) return map
      await sleep(pause, undefined, { signal }).catch(() => gaveUp(slot.name, signal))
    }
  }

  /** All of it. EFBIG when that is too long; Moved when the version is no longer there. */
  async content(slot: Slot, known: Known, signal?: AbortSignal): Promise<Buffer> {
    if (known.content !== null) return known.content
    checkSize(slot, known.size)
    const reader = await this.#readerOf(slot, known, signal)
    const content = await reader.content({ signal })
    const kept = this.known.get(slot)
    this.known.set(slot, { ...(kept?.id === known.id ? kept : known), content })
    return content
  }

  /** What signs the next version. */
  async key(slot: Slot, known: Known): Promise<SigningKey> {
    if (known.key !== null) return known.key
    const reader = await this.#readerOf(slot, known)
    return reader.signingKey(slot.writeKey!)
  }

  async #readerOf(slot: Slot, known: Known, signal?: AbortSignal): Promise<VersionReader> {
    const reader = known.reader ?? (await this.ask(slot, signal)).reader!
    if (reader.id !== known.id) throw new Moved()
    return reader
  }

  #tell(slot: Slot, { server, number }: FoundShare, reason: string): void {
    const name = `${slot.index} ${number} ${server.id.toString('latin1')}`
    if (this.#told.has(name)) return
    this.#told.set(name, true)
    server.adviseCorrupt('mutable', slot.index, number, reason).catch(() => {}) // it is only advice
  }
}

export function checkSize(slot: Slot, size: number): void {
  if (size > MAX_WHOLE) throw new FsError('EFBIG', `${slot.name}: ${size} bytes at once`)
}
