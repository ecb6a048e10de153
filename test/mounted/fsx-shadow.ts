// What a file must hold, in memory, and what was done to it: a difference is told with what led to it.

type Deed = { readonly step: number; readonly what: string; readonly from: number; readonly to: number }

/** Of what was done, this much is told. */
const told = 12

export class Shadow {
  content: Buffer
  #deeds: Deed[] = []
  /** What it held since the last sync, the oldest first; null when nobody will ask. */
  #since: Buffer[] | null

  constructor(content: Buffer, { remembers }: { remembers: boolean }) {
    this.content = content
    this.#since = remembers ? [content] : null
  }

  write(step: number, at: number, data: Buffer, how = 'write'): void {
    const size = Math.max(this.content.length, at + data.length)
    if (size > this.content.length || this.#since) this.content = grown(this.content, size)
    data.copy(this.content, at)
    this.did(step, `${how} ${data.length} at ${at}`, at, at + data.length)
    this.#since?.push(this.content)
  }

  resize(step: number, size: number, how = 'truncate'): void {
    const old = this.content.length
    this.content = grown(this.content, size)
    this.did(step, `${how} ${old} to ${size}`, Math.min(old, size), Math.max(old, size))
    this.#since?.push(this.content)
  }

  /** It is another file from now on, which is empty. */
  beAnew(step: number, how: string): void {
    this.content = Buffer.alloc(0)
    this.did(step, how)
    if (this.#since) this.#since = [this.content]
  }

  /** Notes what changed nothing in it, but may have. */
  did(step: number, what: string, from = 0, to = Number.POSITIVE_INFINITY): void {
    this.#deeds.push({ step, what, from, to })
    if (this.#deeds.length > 2000) this.#deeds = this.#deeds.slice(-1000)
  }

  /** What it holds now is on the disk. */
  synced(): void {
    this.#since &&= [this.content]
  }

  /** What it may hold where only what was synced is kept: byte by byte any of these. */
  sinceSync(): readonly Buffer[] {
    if (!this.#since) throw new Error('this shadow does not remember')
    return this.#since
  }

  /** Throws when `have`, which was read at `at`, is not what it holds there up to `to`. */
  check(have: Buffer, what: string, at = 0, to = this.content.length): void {
    const want = this.content.subarray(at, to)
    if (want.equals(have)) return
    let from = 0
    while (from < Math.min(want.length, have.length) && want[from] === have[from]) from++
    let end = Math.max(want.length, have.length)
    if (want.length === have.length) while (want[end - 1] === have[end - 1]) end--
    throw this.mismatch(what, at + from, at + end, [have.subarray(from), want.subarray(from)], have.length)
  }

  /** `have` may be, byte by byte, any of `allowed`, and `between` two of them in size. It is what this file holds from now on. */
  settle(have: Buffer, allowed: readonly Buffer[], what: string, { between = false } = {}): void {
    const sizes = allowed.map(({ length }) => length)
    const [least, most] = [Math.min(...sizes), Math.max(...sizes)]
    const { length } = have
    if (!(between ? length >= least && length <= most : sizes.includes(length)))
      throw this.mismatch(
        `${what}: its size may be ${sizes}`,
        Math.min(length, least),
        Math.max(length, most),
        [],
        length,
      )
    const isRight = (byte: number, i: number): boolean => allowed.some(content => (content[i] ?? 0) === byte)
    const from = have.findIndex((byte, i) => !isRight(byte, i))
    if (from >= 0) {
      const end = have.findLastIndex((byte, i) => !isRight(byte, i)) + 1
      throw this.mismatch(what, from, end, [have.subarray(from), this.content.subarray(from)], have.length)
    }
    this.content = have
    this.synced()
  }

  mismatch(what: string, from: number, end: number, bytes: readonly Buffer[], size: number): Error {
    const touching = this.#deeds.filter(deed => deed.from < end && deed.to > from).slice(-told)
    const shown = bytes.map(
      (each, i) => `${i === 0 ? 'is' : 'should be'}  ${each.subarray(0, 32).toString('hex')}`,
    )
    return new Error(
      [
        `${what}: wrong at offset ${from}, ${end - from} bytes, of ${size} where there should be ${this.content.length}`,
        ...shown,
        'the last operations that touched it:',
        ...touching.map(deed => `  step ${deed.step}: ${deed.what}`),
      ].join('\n'),
    )
  }
}

/** A copy of another size, zeros where there was nothing. */
function grown(content: Buffer, size: number): Buffer {
  const next = Buffer.alloc(size)
  content.copy(next, 0, 0, size)
  return next
}
