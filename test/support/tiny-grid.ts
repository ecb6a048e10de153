// A small grid in memory, for faults and for counting what is asked of it. Its caps are
// real; its truth is not Tahoe's, which is judged over a real node. It only reads.

import { createHash } from 'node:crypto'
import { FsError } from '../../src/errors.ts'
import { type Cap, parseCap } from '../../src/tahoe/cap.ts'
import { encode } from '../../src/tahoe/format/base32.ts'
import type { Child, Grid, Listing, Metadata, Range, Version, Waiting } from '../../src/tahoe/grid.ts'

type Op = 'list' | 'read' | 'stat'
type Link = Cap | readonly [Cap, Metadata]
type Stored = { bytes: Buffer; version: number }

const hash = (...parts: (string | Uint8Array)[]): Buffer => {
  const sum = createHash('sha256')
  for (const part of parts) sum.update(part).update('\n')
  return sum.digest()
}
const fields = (seed: Buffer): string => `${encode(seed.subarray(0, 16))}:${encode(hash('check', seed))}`
const place = (cap: Cap): string => (cap.verify() ?? cap).uri()

export class TinyGrid implements Grid {
  /** How often each thing was asked for, and the bytes handed over. */
  readonly asked = { list: 0, read: 0, stat: 0, bytes: 0 }
  /** The ranges that were read, in order. */
  readonly ranges: Range[] = []
  /** So many questions are answered "not now"; Infinity: all, until it is set to 0. */
  readonly notNow: Record<Op, number> = { list: 0, read: 0, stat: 0 }
  /** So many reads break off after `breakAt` bytes. */
  breaks = 0
  breakAt = 0
  /** So many reads end early, and say nothing, as no grid should. */
  short = 0
  chunk = 64 * 1024
  /** Reads that go on at this moment. */
  reading = 0
  readonly #gates = new Map<string, PromiseWithResolvers<void>>()
  readonly #files = new Map<string, Stored>()
  readonly #dirs = new Map<string, Map<string, Child>>()
  #made = 0

  /** An immutable file. The same bytes give the same cap. */
  file(bytes: Uint8Array | string, needed = 1): Cap {
    const content = Buffer.from(bytes)
    const cap = parseCap(`URI:CHK:${fields(hash('chk', content))}:${needed}:${needed}:${content.length}`)
    this.#files.set(place(cap), { bytes: content, version: 1 })
    return cap
  }

  mutable(bytes: Uint8Array | string, kind: 'SSK' | 'MDMF' = 'SSK'): Cap {
    const cap = parseCap(`URI:${kind}:${fields(hash('mutable', String(this.#made++)))}`)
    this.#files.set(place(cap), { bytes: Buffer.from(bytes), version: 1 })
    return cap
  }

  /** The next version of a mutable file. */
  overwriteWith(cap: Cap, bytes: Uint8Array | string): void {
    const stored = this.#files.get(place(cap))!
    stored.bytes = Buffer.from(bytes)
    stored.version++
  }

  directory(children: Readonly<Record<string, Link>> = {}): Cap {
    const cap = parseCap(`URI:DIR2:${fields(hash('dir', String(this.#made++)))}`)
    this.#dirs.set(place(cap), new Map())
    for (const [name, link] of Object.entries(children)) this.set(cap, name, link)
    return cap
  }

  immutableDirectory(children: Readonly<Record<string, Link>>): Cap {
    const cap = parseCap(`URI:DIR2-CHK:${fields(hash('dir', String(this.#made++)))}:1:1:1000`)
    this.#dirs.set(place(cap), new Map())
    for (const [name, link] of Object.entries(children)) this.set(cap, name, link)
    return cap
  }

  /** Links a name, as Tahoe does: a second time under the same name keeps when it was first made. */
  set(dir: Cap, name: string, link: Link): void {
    const children = this.#dirs.get(place(dir))!
    const [cap, given] = Array.isArray(link) ? (link as readonly [Cap, Metadata]) : [link as Cap, undefined]
    const now = 1_700_000_000 + this.#made++
    const before = children.get(name)?.metadata['tahoe'] as { linkcrtime: number } | undefined
    const metadata = given ?? { tahoe: { linkcrtime: before?.linkcrtime ?? now, linkmotime: now } }
    children.set(name, { cap, metadata })
  }

  unset(dir: Cap, name: string): void {
    this.#dirs.get(place(dir))!.delete(name)
  }

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

  async #answer(op: Op, signal: AbortSignal | undefined): Promise<void> {
    this.asked[op]++
    await this.#pass(op, signal)
    if (signal?.aborted) throw new FsError('EAGAIN', `${op}: the caller gave up`)
    if (this.notNow[op] <= 0) return
    this.notNow[op]--
    throw new FsError('EAGAIN', `${op}: not now`)
  }

  async #pass(name: string, signal: AbortSignal | undefined): Promise<void> {
    const gate = this.#gates.get(name)
    if (!gate) return
    let leave = () => {}
    const gone = new Promise<never>((_, reject) => {
      leave = () => reject(new FsError('EAGAIN', 'the caller gave up'))
      signal?.addEventListener('abort', leave)
    })
    await Promise.race([gate.promise, gone]).finally(() => signal?.removeEventListener('abort', leave))
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
    await this.#answer('read', signal)
    const stored = this.#files.get(place(cap))
    if (!stored) throw new FsError('EAGAIN', 'read: no shares')
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
      if (signal?.aborted) throw new FsError('EAGAIN', 'read: the caller gave up')
      let end = Math.min(at + this.chunk, last)
      for (const gate of gates) if (gate > at && gate < end) end = gate
      if (broken && end - range.start > this.breakAt) throw new FsError('EAGAIN', 'read: it broke off')
      this.asked.bytes += end - at
      yield Buffer.from(bytes.subarray(at, end))
      at = end
    }
  }

  async list(dir: Cap, { signal }: Waiting = {}): Promise<Listing> {
    await this.#answer('list', signal)
    const children = this.#dirs.get(place(dir))
    if (!children) throw new FsError('EAGAIN', 'list: no shares')
    return { children: new Map(children), writable: dir.authority === 'write' }
  }

  async stat(cap: Cap, { signal }: Waiting = {}): Promise<Version> {
    await this.#answer('stat', signal)
    const { bytes, version } = this.#files.get(place(cap))!
    return { size: bytes.length, version: `seq${version}` }
  }

  /** Takes a directory or a file away: its shares are out of reach from now on. */
  lose(cap: Cap): void {
    this.#dirs.delete(place(cap))
    this.#files.delete(place(cap))
  }

  upload(): Promise<never> {
    return refuse('upload')
  }
  edit(): Promise<never> {
    return refuse('edit')
  }
  mkdir(): Promise<never> {
    return refuse('mkdir')
  }
  overwrite(): Promise<never> {
    return refuse('overwrite')
  }
  async health() {
    return { reachable: true, detail: 'in memory' }
  }
  async usage() {
    return { total: 2 ** 30, free: 2 ** 29 }
  }
  async close(): Promise<void> {}
}

const refuse = (what: string): Promise<never> =>
  Promise.reject(new FsError('ENOTSUP', `${what}: it only reads`))
