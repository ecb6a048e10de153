// Mutable files over storage servers: read, changed, made. Reading always asks the servers. One
// process writes to a file one change after the other; two processes find out by the servers'
// tests that they wrote at the same time, and the one that was refused begins again.

import { setTimeout as sleep } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { FsError } from '../../../errors.ts'
import { type Cap, parseCap } from '../../cap.ts'
import { encode } from '../../format/base32.ts'
import { packMdmf } from '../../format/mdmf.ts'
import { packSdmf } from '../../format/sdmf.ts'
import { MAX_SEGMENT, type PackedVersion } from '../../format/ssk.ts'
import { type SigningKey, storageIndexOf } from '../../format/ssk-keys.ts'
import type { Range, Source, Version, Waiting } from '../../grid.ts'
import type { StorageServer, WriteSecrets } from '../../storage/server.ts'
import type { KeyPool } from '../keys.ts'
import { permuted } from '../order.ts'
import { type Secrets, writeEnabler } from '../secrets.ts'
import { type Known, KnownSlots, nameOf } from './known.ts'
import { Batch, type Change, Lines } from './line.ts'
import { highestSeqnum, latest, readMap, versionId } from './map.ts'
import type { Home } from './placement.ts'
import { Collision, publish } from './publish.ts'
import { Moved, VersionReader } from './retrieve.ts'
import type { FoundShare } from './share.ts'
import { type Format, type Slot, slotOf, slotOfKey } from './slot.ts'

/** The longest content that is written, or changed as a whole, in bytes: it is held in memory, and so are its shares. */
export const MAX_WHOLE = MAX_SEGMENT
/** Tries of one write when others write too, and the longest pause after the first of them, in ms; it doubles. */
const TRIES = 8
const PAUSE = 20
/** Damaged shares of which servers are told only once. */
const TOLD = 1000

export type Shares = { readonly needed: number; readonly happy: number; readonly total: number }

export type MutableOptions = {
  readonly servers: readonly StorageServer[]
  readonly secrets: Secrets
  readonly keys: Pick<KeyPool, 'take'>
  /** Of new files; what is there keeps its numbers. */
  readonly shares: Shares
}

/** What to write instead of what is there, told by its version; null to let it stay. */
type Decide = (id: string, content: () => Promise<Buffer>) => Promise<Buffer | null>

export class MutableFiles {
  readonly #options: MutableOptions
  readonly #known = new KnownSlots()
  readonly #lines = new Lines()
  readonly #waiting = new Map<string, Batch>()
  readonly #told = new LRUCache<string, true>({ max: TOLD })

  constructor(options: MutableOptions) {
    this.#options = options
  }

  /** Size and version of what is there now. EAGAIN when too few of its shares are in reach. */
  async stat(cap: Cap, { signal }: Waiting = {}): Promise<Version> {
    const { size, id } = await this.#ask(slotOf(cap), signal)
    return { size, version: id }
  }

  /**
   * The bytes of a range, checked; they must not be changed. ESTALE, before any byte, when it is
   * at another version than `version`, and later when another writer is faster than the reading.
   */
  async *read(cap: Cap, range: Range, options: Waiting & { version?: string } = {}): AsyncGenerator<Buffer> {
    const { signal, version } = options
    const slot = readable(cap)
    const known = await this.#ask(slot, signal)
    if (version !== undefined && version !== known.id) throw changed(slot)
    const [start, end] = [Math.max(0, range.start), Math.min(range.end, known.size)]
    if (start >= end) return
    try {
      if (known.content === null && known.format === 'MDMF')
        yield* known.reader!.range(start, end, { signal })
      else yield (await this.#contentOf(slot, known, signal)).subarray(start, end)
    } catch (err) {
      throw err instanceof Moved ? changed(slot) : err
    }
  }

  /**
   * Reads, lets `change` decide, and publishes; again from the start when somebody else was
   * faster. So `change` may be called several times, and also on content that has its own effect
   * already. Changes that wait for the same file are published together. The content that is
   * there afterwards, with theirs; it must not be changed.
   */
  async modify(cap: Cap, change: Change, { signal }: Waiting = {}): Promise<Buffer> {
    const slot = writable(cap)
    signal?.throwIfAborted()
    const name = nameOf(slot)
    let batch = this.#waiting.get(name)
    if (!batch) {
      const mine = (batch = new Batch())
      this.#waiting.set(name, mine)
      void this.#lines.run(name, async () => {
        await null // who asks in the same turn comes along
        this.#waiting.delete(name)
        await this.#changeAll(slot, mine)
      })
    }
    return batch.add(change, signal)
  }

  async #changeAll(slot: Slot, batch: Batch): Promise<void> {
    if (batch.abandoned) return
    try {
      const known = await this.#write(slot, async (_id, content) => batch.apply(await content()))
      batch.settle(await this.#contentOf(slot, known))
    } catch (err) {
      batch.fail(err)
    }
  }

  /** Replaces the content. ESTALE, and nothing is written, when it is no longer at `expected`. */
  async overwrite(cap: Cap, source: Source, options: Waiting & { expected: string }): Promise<Version> {
    const { expected, signal } = options
    const slot = writable(cap)
    const content = await collect(source, signal)
    const { id, size } = await this.#lines.run(nameOf(slot), () => {
      signal?.throwIfAborted()
      return this.#write(slot, async now => {
        if (now !== expected) throw changed(slot)
        return content
      })
    })
    return { size, version: id }
  }

  /** A new file, and its write cap; what a directory is made of depends on its write key. */
  async create(
    kind: 'SSK' | 'MDMF',
    given: Buffer | ((writeKey: Uint8Array) => Buffer),
  ): Promise<{ readonly cap: Cap }> {
    const key = await this.#options.keys.take()
    const content = typeof given === 'function' ? given(key.writeKey) : given
    const slot = slotOfKey(key, storageIndexOf(key.readKey))
    const { needed, total } = this.#options.shares
    const format = kind === 'SSK' ? 'SDMF' : 'MDMF'
    try {
      await this.#publish(slot, { key, format, needed, total, seqnum: 0, homes: [], unseen: 0 }, content)
    } catch (err) {
      // Nobody else has the key, so what is there came from a try whose answer was lost.
      throw err instanceof Collision ? new FsError('EAGAIN', 'a new mutable file met another') : err
    }
    return { cap: parseCap(`URI:${kind}:${encode(key.writeKey)}:${encode(key.fingerprint)}`) }
  }

  /** The state of a slot after what `decide` wanted. */
  async #write(slot: Slot, decide: Decide): Promise<Known> {
    let hint = this.#known.get(slot)
    const tried = { id: '', content: null as Buffer | null }
    for (let tries = 1; ; tries++) {
      try {
        const known: Known = hint ?? (await this.#ask(slot))
        let old: Promise<Buffer> | null = null
        const content = () => (old ??= this.#contentOf(slot, known))
        let next: Buffer | null
        try {
          // What we tried to write may be what is there, but not all of its shares.
          next = tried.id === known.id ? tried.content : await decide(known.id, content)
        } catch (err) {
          if (!hint) throw err
          next = null
        }
        if (next === null && !hint) return old ? { ...known, content: await old } : known
        if (next === null) {
          hint = undefined // to do nothing is decided only by what the servers say
          continue
        }
        tooLong(slot, next.length)
        const key = known.key ?? (await this.#keyOf(slot, known))
        return await this.#publish(slot, { ...known, key }, next, packed => {
          tried.id = versionId(packed)
          tried.content = next
        })
      } catch (err) {
        this.#known.delete(slot)
        const again = err instanceof Collision || err instanceof Moved
        if (!again) throw err
        if (tries >= TRIES) throw new FsError('EAGAIN', `${slot.name}: others write to it all the time`)
        hint = undefined
        await sleep(Math.random() * PAUSE * 2 ** (tries - 1))
      }
    }
  }

  async #publish(
    slot: Slot,
    now: Pick<Known, 'format' | 'needed' | 'total' | 'seqnum' | 'homes' | 'unseen'> & { key: SigningKey },
    content: Buffer,
    packs?: (packed: PackedVersion) => void,
  ): Promise<Known> {
    tooLong(slot, content.length)
    const { key, format, needed, total } = now
    const version = { key, seqnum: now.seqnum + 1, needed, total, content }
    const packed = await (format === 'SDMF' ? packSdmf(version) : packMdmf(version))
    packs?.(packed)
    const homes = await publish({
      slot,
      packed,
      servers: permuted(this.#options.servers, slot.index),
      homes: now.homes,
      unseen: now.unseen,
      secretsFor: server => this.#secretsFor(slot, server),
    })
    const { signed, seqnum } = packed
    const numbers = { format, needed, total, size: content.length, seqnum }
    const seen = { homes, unseen: 0, reader: null }
    const all: Known = { id: versionId(packed), signed, ...numbers, ...seen, content, key }
    this.#known.set(slot, all)
    return all
  }

  /** Asks all servers what is there now. */
  async #ask(slot: Slot, signal?: AbortSignal): Promise<Known> {
    const before = this.#known.get(slot)
    const map = await readMap(slot, this.#options.servers, before?.signed ?? null, { signal })
    for (const { share, reason } of map.damaged) this.#tell(slot, share, reason)
    const version = latest(slot, map)
    const { header, id, shares } = version
    const same = before?.id === id ? before : null
    const reader = new VersionReader(slot, version, (share, reason) => this.#tell(slot, share, reason))
    if (same?.reader) reader.knowing(same.reader)
    const known: Known = {
      id,
      signed: header.signed,
      format: header.format,
      needed: header.needed,
      total: header.total,
      size: header.size,
      seqnum: highestSeqnum(map),
      homes: map.found.map(
        (share): Home => ({
          server: share.server,
          number: share.number,
          checkstring: share.checkstring,
          current: share.header?.signed.equals(header.signed) ?? false,
        }),
      ),
      unseen: map.silent.length > 0 ? header.total - shares.size : 0,
      reader,
      content: same?.content ?? null,
      key: before?.key ?? null,
    }
    this.#known.set(slot, known)
    return known
  }

  async #contentOf(slot: Slot, known: Known, signal?: AbortSignal): Promise<Buffer> {
    if (known.content !== null) return known.content
    tooLong(slot, known.size)
    const reader = await this.#readerOf(slot, known, signal)
    const content = await reader.content({ signal })
    this.#known.set(slot, { ...(this.#sameIn(slot, known) ?? known), content })
    return content
  }

  async #keyOf(slot: Slot, known: Known): Promise<SigningKey> {
    const reader = await this.#readerOf(slot, known)
    return reader.signingKey(slot.writeKey!)
  }

  /** Throws Moved when the version is no longer there. */
  async #readerOf(slot: Slot, known: Known, signal?: AbortSignal): Promise<VersionReader> {
    const reader = known.reader ?? (await this.#ask(slot, signal)).reader!
    if (reader.id !== known.id) throw new Moved()
    return reader
  }

  /** What is kept of the same version by now. */
  #sameIn(slot: Slot, { id }: Known): Known | null {
    const kept = this.#known.get(slot)
    return kept?.id === id ? kept : null
  }

  #secretsFor(slot: Slot, server: StorageServer): WriteSecrets {
    const leases = this.#options.secrets.leases(slot.index, server.id)
    return { ...leases, writeEnabler: writeEnabler(slot.writeKey!, server.id) }
  }

  #tell(slot: Slot, { server, number }: FoundShare, reason: string): void {
    const name = `${slot.index} ${number} ${server.id.toString('latin1')}`
    if (this.#told.has(name)) return
    this.#told.set(name, true)
    server.adviseCorrupt('mutable', slot.index, number, reason).catch(() => {}) // it is only advice
  }
}

function readable(cap: Cap): Slot {
  const slot = slotOf(cap)
  if (slot.readKey === null) throw new FsError('EINVAL', `${cap} does not let one read`)
  return slot
}

function writable(cap: Cap): Slot {
  const slot = slotOf(cap)
  if (slot.writeKey === null) throw new FsError('EROFS', `${cap} does not let one write`)
  return slot
}

const changed = (slot: Slot): FsError => new FsError('ESTALE', `${slot.name} is at another version`)

function tooLong(slot: Slot, size: number): void {
  if (size > MAX_WHOLE) throw new FsError('EFBIG', `${slot.name}: ${size} bytes at once`)
}

async function collect(source: Source, signal?: AbortSignal): Promise<Buffer> {
  if (source.size > MAX_WHOLE) throw new FsError('EFBIG', `${source.size} bytes for a mutable file`)
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of source.open()) {
    signal?.throwIfAborted()
    size += part.length
    if (size > source.size) break
    parts.push(part)
  }
  if (size !== source.size) throw new FsError('EIO', `a source of ${source.size} bytes has another size`)
  return Buffer.concat(parts, size)
}

export type { Change, Format }
