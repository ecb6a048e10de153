// A small grid in memory, for faults and for counting what is asked of it. Its caps are
// real; its truth is not Tahoe's, which is judged over a real node. It judges edits with
// the gateway's own words.

import { createHash } from 'node:crypto'
import { FsError } from '../../src/errors.ts'
import { type Cap, LIT_MAX, litCap } from '../../src/tahoe/cap.ts'
import { judgeAll, mustBeDirectory, mustBeLinkable, possible } from '../../src/tahoe/edits.ts'
import type {
  Child,
  Edit,
  Grid,
  Listing,
  Outcome,
  Range,
  Source,
  Version,
  Waiting,
} from '../../src/tahoe/grid.ts'
import { gaveUp, patiently } from '../../src/tahoe/turns.ts'
import { TinyStore } from './tiny-store.ts'

type Op = 'list' | 'read' | 'stat' | 'upload' | 'overwrite' | 'edit' | 'mkdir'
type Hears = (bytes: number) => void

const none = { list: 0, read: 0, stat: 0, upload: 0, overwrite: 0, edit: 0, mkdir: 0 } satisfies Record<
  Op,
  number
>

export class TinyGrid extends TinyStore implements Grid {
  /**
   * How often each thing was asked for; `bytes` handed over and `sent` to it; `writes` of
   * directories, as the web API makes them: one for all sets of an edit, one for each unlink.
   */
  readonly asked = { ...none, bytes: 0, sent: 0, writes: 0 }
  /** The ranges that were read, in order. */
  readonly ranges: Range[] = []
  /** So many questions are answered "not now"; Infinity: all, until it is set to 0. */
  readonly notNow: Record<Op, number> = { ...none }
  /** So many are done, and their answer is lost on the way. */
  readonly lostAnswers = { upload: 0, overwrite: 0, edit: 0, mkdir: 0 }
  /** The servers have no room for an upload. */
  full = false
  /** Called when a question has arrived, and before anything is done about it. It is called by its own questions too. */
  readonly before: Partial<Record<Op, () => void | Promise<void>>> = {}
  /** So many reads break off after `breakAt` bytes. */
  breaks = 0
  breakAt = 0
  /** So many reads end early, and say nothing, as no grid should. */
  short = 0
  chunk = 64 * 1024
  /** Reads that go on at this moment. */
  reading = 0
  readonly #gates = new Map<string, PromiseWithResolvers<void>>()

  /** What is asked from now on waits until the function that this returns is called. */
  hold(op: Op): () => void {
    return this.#gate(op)
  }

  /** Reads wait before the byte at `offset` of their content. */
  holdAt(offset: number): () => void {
    return this.#gate(`at ${offset}`)
  }

  #gate(name: string): () => void {
    const gate = Promise.withResolvers<void>()
    this.#gates.set(name, gate)
    return () => {
      this.#gates.delete(name)
      gate.resolve()
    }
  }

  async #pass(name: string, signal: AbortSignal | undefined): Promise<void> {
    const gate = this.#gates.get(name)
    if (gate) await patiently(gate.promise, name, signal)
  }

  async #question(op: Op, signal: AbortSignal | undefined): Promise<void> {
    this.asked[op]++
    await this.before[op]?.()
    await this.#pass(op, signal)
    gaveUp(op, signal)
    if (this.notNow[op] <= 0) return
    this.notNow[op]--
    throw new FsError('EAGAIN', `${op}: not now`)
  }

  #answer<T>(op: keyof TinyGrid['lostAnswers'], answer: T): T {
    if (this.lostAnswers[op] <= 0) return answer
    this.lostAnswers[op]--
    throw new FsError('EAGAIN', `${op}: the answer was lost`)
  }

  async *read(
    cap: Cap,
    range: Range,
    { signal, version }: Waiting & { version?: string } = {},
  ): AsyncGenerator<Buffer> {
    this.ranges.push(range)
    this.reading++
    try {
      yield* this.#bytes(cap, range, signal, version)
    } finally {
      this.reading--
    }
  }

  async *#bytes(
    cap: Cap,
    range: Range,
    signal: AbortSignal | undefined,
    version: string | undefined,
  ): AsyncGenerator<Buffer> {
    await this.#question('read', signal)
    const stored = this.contentOf(cap) ?? outOfReach('read')
    if (version !== undefined && version !== `seq${stored.version}`) throw new FsError('ESTALE', 'read')
    const { bytes } = stored
    const broken = this.breaks > 0 && this.breaks--
    const last = Math.min(range.end, bytes.length) - (this.short > 0 && this.short-- ? 1 : 0)
    const gates = [...this.#gates.keys()]
      .filter(name => name.startsWith('at '))
      .map(name => Number(name.slice(3)))
    for (let at = range.start; at < last; ) {
      await this.#pass(`at ${at}`, signal)
      await new Promise(setImmediate) // bytes come from outside: others have their turn
      gaveUp('read', signal)
      let end = Math.min(at + this.chunk, last)
      for (const gate of gates) if (gate > at && gate < end) end = gate
      if (broken && end - range.start > this.breakAt) throw new FsError('EAGAIN', 'read: it broke off')
      this.asked.bytes += end - at
      yield Buffer.from(bytes.subarray(at, end))
      at = end
    }
  }

  async list(dir: Cap, { signal }: Waiting = {}): Promise<Listing> {
    await this.#question('list', signal)
    return { children: this.childrenOf(dir) ?? outOfReach('list'), writable: dir.authority === 'write' }
  }

  async stat(cap: Cap, { signal }: Waiting = {}): Promise<Version> {
    await this.#question('stat', signal)
    const { bytes, version } = this.contentOf(cap)!
    return { size: bytes.length, version: `seq${version}` }
  }

  /** Opens the source once for each try. Equal content at the same time is not joined. */
  async upload(source: Source, { signal, onProgress }: Waiting & { onProgress?: Hears } = {}): Promise<Cap> {
    if (source.size <= LIT_MAX) return litCap(await taken(source, signal))
    await this.#question('upload', signal)
    let sent = 0
    const content = await taken(source, signal, bytes => {
      this.asked.sent += bytes
      sent += bytes
      onProgress?.(sent)
    })
    if (this.full) throw new FsError('ENOSPC', 'upload: the servers are full')
    return this.#answer('upload', this.file(content))
  }

  async edit(
    dir: Cap,
    edits: readonly Edit[],
    { signal }: Waiting = {},
  ): Promise<{ outcomes: readonly Outcome[]; listing: Listing }> {
    mustBeDirectory(dir, 'edit')
    if (dir.authority !== 'write') throw new FsError('EROFS', 'edit')
    const wanted = possible(edits, 'edit')
    await this.#question('edit', signal)
    const outcomes = new Map<string, Outcome>()
    const judged = () => judgeAll(wanted, this.childrenOf(dir) ?? outOfReach('edit'), outcomes)
    const sets = judged().filter(edit => edit.op === 'set')
    for (const { name, child } of sets) this.link(dir, name, child)
    if (sets.length > 0) this.asked.writes++
    for (const { name, op } of judged()) {
      if (op !== 'unlink') continue
      this.unset(dir, name)
      this.asked.writes++
    }
    if (judged().length > 0) throw new FsError('EAGAIN', 'edit: it has not become what was asked for')
    const listing = { children: this.children(dir), writable: true }
    return this.#answer('edit', { outcomes: wanted.map(({ name }) => outcomes.get(name)!), listing })
  }

  async mkdir(children: ReadonlyMap<string, Child> = new Map(), { signal }: Waiting = {}): Promise<Cap> {
    for (const child of children.values()) mustBeLinkable(child, 'mkdir')
    await this.#question('mkdir', signal)
    this.asked.writes++
    const dir = this.directory()
    for (const [name, { cap, metadata }] of children) this.set(dir, name.normalize('NFC'), [cap, metadata])
    return this.#answer('mkdir', dir)
  }

  async overwrite(cap: Cap, source: Source, options: Waiting & { expected: string }): Promise<Version> {
    const { expected, signal } = options
    await this.#question('overwrite', signal)
    const content = await taken(source, signal, bytes => {
      this.asked.sent += bytes
    })
    if (expected !== `seq${this.contentOf(cap)!.version}`) throw new FsError('ESTALE', 'overwrite')
    this.overwriteWith(cap, content)
    return this.#answer('overwrite', { size: content.length, version: `seq${this.contentOf(cap)!.version}` })
  }
  async health() {
    return { reachable: true, detail: 'in memory' }
  }
  async usage() {
    return { total: 2 ** 30, free: 2 ** 29 }
  }
  async close(): Promise<void> {}
}

/** All bytes of a source, which must be as many as it said, and those it said. */
async function taken(source: Source, signal?: AbortSignal, sent?: Hears): Promise<Buffer> {
  const chunks: Buffer[] = []
  let left = source.size
  for await (const chunk of source.open()) {
    await new Promise(setImmediate) // bytes go outside: others have their turn
    gaveUp('upload', signal)
    left -= chunk.length
    if (left < 0) break
    chunks.push(Buffer.from(chunk)) // copied: later changes must not show
    sent?.(chunk.length)
  }
  gaveUp('upload', signal)
  if (left !== 0) throw new FsError('EIO', 'upload: the source is not as long as it said')
  const content = Buffer.concat(chunks)
  const digest = createHash('sha256').update(content).digest('hex')
  if (digest !== (source.digest ?? digest)) throw new FsError('EIO', 'upload: the source has another digest')
  return content
}

function outOfReach(op: Op): never {
  throw new FsError('EAGAIN', `${op}: no shares`)
}
