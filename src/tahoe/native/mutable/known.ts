// What was last seen of some slots: where their shares lie, what signs them, and the content if it
// is not long. A hint, and no more: others may have written since, and the servers are asked.

import { LRUCache } from 'lru-cache'
import type { SigningKey } from '../../format/ssk-keys.ts'
import type { Ground } from './ground.ts'
import type { VersionReader } from './retrieve.ts'
import type { Format, Slot } from './slot.ts'

export type Known = {
  /** The version that is read. */
  readonly id: string
  /** What was signed of it. */
  readonly signed: Buffer
  readonly format: Format
  readonly needed: number
  readonly total: number
  /** Bytes of content. */
  readonly size: number
  /** The highest that was seen, of whole versions or not. */
  readonly seqnum: number
  readonly ground: Ground
  /** Whether all of its shares were seen. */
  readonly complete: boolean
  /** Reads it; null where this process wrote it and has not asked since. */
  readonly reader: VersionReader | null
  readonly content: Buffer | null
  readonly key: SigningKey | null
}

/** Bytes of what is kept. */
const CACHE_SIZE = 64 * 1024 * 1024
/** The longest content that is kept, in bytes. */
const CONTENT_SIZE = 16 * 1024 * 1024
/** About what one entry costs besides content, and one share with its first bytes. */
const ENTRY_SIZE = 8192
const SHARE_SIZE = 4096

export class KnownSlots {
  readonly #slots = new LRUCache<string, Known>({
    maxSize: CACHE_SIZE,
    sizeCalculation: ({ content, reader, ground }) =>
      ENTRY_SIZE + (content?.length ?? 0) + (reader ? ground.homes.length * SHARE_SIZE : 0),
  })

  get(slot: Slot): Known | undefined {
    return this.#slots.get(nameOf(slot))
  }

  /** Keeps it, unless something later is known by now. */
  set(slot: Slot, known: Known): void {
    const name = nameOf(slot)
    if ((this.#slots.peek(name)?.seqnum ?? 0) > known.seqnum) return
    this.#slots.set(name, known.size > CONTENT_SIZE ? { ...known, content: null } : known)
  }

  delete(slot: Slot): void {
    this.#slots.delete(nameOf(slot))
  }
}

/** A slot with another fingerprint is another file. */
export const nameOf = (slot: Slot): string => `${slot.index} ${slot.fingerprint.toString('latin1')}`
