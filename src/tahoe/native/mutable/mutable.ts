// Mutable files over storage servers: read, changed, made. Reading always asks the servers. One
// process writes to a file one change after the other; two processes find out by the servers'
// tests that they wrote at the same time, and the one that was refused begins again.

import { FsError } from '../../../errors.ts'
import { type Cap, parseCap } from '../../cap.ts'
import { encode } from '../../format/base32.ts'
import { storageIndexOf } from '../../format/ssk-keys.ts'
import type { Range, Source, Version, Waiting } from '../../grid.ts'
import type { StorageServer } from '../../storage/server.ts'
import { gaveUp, patiently } from '../../turns.ts'
import type { KeyPool } from '../keys.ts'
import type { Secrets } from '../secrets.ts'
import { Asking, MAX_WHOLE } from './asking.ts'
import { nameOf } from './known.ts'
import { Batch, type Change, Lines } from './line.ts'
import { Collision } from './publish.ts'
import { Moved } from './retrieve.ts'
import { type Slot, slotOf, slotOfKey } from './slot.ts'
import { Writing } from './writing.ts'

/** `happy` is not asked of mutable files: all of their shares are placed. */
export type Shares = { readonly needed: number; readonly happy: number; readonly total: number }

export type MutableOptions = {
  readonly servers: readonly StorageServer[]
  readonly secrets: Secrets
  readonly keys: Pick<KeyPool, 'take'>
  /** Of new files; what is there keeps its numbers. */
  readonly shares: Shares
}

export class MutableFiles {
  readonly #keys: MutableOptions['keys']
  readonly #shares: Shares
  readonly #asking: Asking
  readonly #writing: Writing
  readonly #lines = new Lines()
  readonly #waiting = new Map<string, Batch>()

  constructor({ servers, secrets, keys, shares }: MutableOptions) {
    this.#keys = keys
    this.#shares = shares
    this.#asking = new Asking(servers)
    this.#writing = new Writing(servers, secrets, this.#asking)
  }

  /** Size and version of what is there now. EAGAIN when too few of its shares are in reach. */
  async stat(cap: Cap, { signal }: Waiting = {}): Promise<Version> {
    const { size, id } = await this.#asking.ask(slotOf(cap), signal)
    return { size, version: id }
  }

  /**
   * The bytes of a range, checked; they must not be changed. ESTALE, before any byte, when it is
   * at another version than `version`, and later when another writer is faster than the reading.
   */
  async *read(cap: Cap, range: Range, options: Waiting & { version?: string } = {}): AsyncGenerator<Buffer> {
    const { signal, version } = options
    const slot = readable(cap)
    const known = await this.#asking.ask(slot, signal)
    if (version !== undefined && version !== known.id) throw changed(slot)
    const [start, end] = [Math.max(0, range.start), Math.min(range.end, known.size)]
    if (start >= end) return
    try {
      if (known.content === null && known.format === 'MDMF')
        yield* known.reader!.range(start, end, { signal })
      else yield (await this.#asking.content(slot, known, signal)).subarray(start, end)
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
    gaveUp(slot.name, signal)
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
    return patiently(batch.add(change, signal), slot.name, signal)
  }

  async #changeAll(slot: Slot, batch: Batch): Promise<void> {
    if (batch.abandoned) return
    try {
      const known = await this.#writing.write(slot, async (_id, content) => batch.apply(await content()))
      batch.settle(await this.#asking.content(slot, known))
    } catch (err) {
      batch.fail(err)
    }
  }

  /** Replaces the content. ESTALE, and nothing is written, when it is no longer at `expected`. */
  async overwrite(cap: Cap, source: Source, options: Waiting & { expected: string }): Promise<Version> {
    const { expected, signal } = options
    const slot = writable(cap)
    const content = await collect(slot, source, signal)
    const { id, size } = await this.#lines.run(nameOf(slot), () => {
      gaveUp(slot.name, signal)
      return this.#writing.write(slot, async now => {
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
    const key = await this.#keys.take()
    const content = typeof given === 'function' ? given(key.writeKey) : given
    const slot = slotOfKey(key, storageIndexOf(key.readKey))
    const { needed, total } = this.#shares
    const format = kind === 'SSK' ? 'SDMF' : 'MDMF'
    try {
      await this.#writing.begin(slot, key, { format, needed, total }, content)
    } catch (err) {
      // Nobody else has the key, so what is there came from a try whose answer was lost.
      throw err instanceof Collision ? new FsError('EAGAIN', 'a new mutable file met another') : err
    }
    return { cap: parseCap(`URI:${kind}:${encode(key.writeKey)}:${encode(key.fingerprint)}`) }
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

async function collect(slot: Slot, source: Source, signal?: AbortSignal): Promise<Buffer> {
  if (source.size > MAX_WHOLE) throw new FsError('EFBIG', `${source.size} bytes for a mutable file`)
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of source.open()) {
    gaveUp(slot.name, signal)
    size += part.length
    if (size > source.size) break
    parts.push(part)
  }
  if (size !== source.size) throw new FsError('EIO', `a source of ${source.size} bytes has another size`)
  return Buffer.concat(parts, size)
}
