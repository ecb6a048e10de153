// XDR (RFC 4506): bytes to values and back. A codec is a value that does both,
// and types follow from codecs. A Reader cannot leave its record; every bound is
// checked before anything is taken. Bulk data is never copied: reading gives a
// view, writing collects buffers.

/** The bytes do not say what was declared. One level up this becomes GARBAGE_ARGS, or a closed connection. */
export class Garbage extends Error {
  override readonly name = 'Garbage'
}

export const padding = (n: number): number => (4 - (n & 3)) & 3

export class Reader {
  readonly buf: Buffer
  readonly end: number
  off: number

  constructor(buf: Buffer, off = 0, end = buf.length) {
    this.buf = buf
    this.off = off
    this.end = end
  }

  /** The place of the next n bytes, which are then behind us. */
  #step(n: number): number {
    const at = this.off
    if (n > this.end - at) throw new Garbage(`${n} bytes wanted, ${this.end - at} left`)
    this.off = at + n
    return at
  }

  uint32(): number {
    return this.buf.readUInt32BE(this.#step(4))
  }

  int32(): number {
    return this.buf.readInt32BE(this.#step(4))
  }

  uint64(): bigint {
    return this.buf.readBigUInt64BE(this.#step(8))
  }

  /** A view of the next n bytes. */
  take(n: number): Buffer {
    const at = this.#step(n)
    return this.buf.subarray(at, at + n)
  }
}

const firstChunk = 512
const largestChunk = 65_536
/** Below this, copying a piece costs less than one more buffer to send. */
const copiedBelow = 512

export class Writer {
  /** Bytes written so far. */
  length = 0
  readonly #done: Buffer[] = []
  #chunk: Buffer
  #from = 0
  #at = 0

  constructor(room: number = firstChunk) {
    this.#chunk = Buffer.allocUnsafe(room)
  }

  #room(n: number): number {
    if (this.#at + n > this.#chunk.length) {
      this.#seal()
      this.#chunk = Buffer.allocUnsafe(Math.max(n, Math.min(this.#chunk.length * 4, largestChunk)))
      this.#from = 0
      this.#at = 0
    }
    const at = this.#at
    this.#at += n
    this.length += n
    return at
  }

  #seal(): void {
    if (this.#at > this.#from) this.#done.push(this.#chunk.subarray(this.#from, this.#at))
    this.#from = this.#at
  }

  uint32(n: number): void {
    const at = this.#room(4)
    this.#chunk.writeUInt32BE(n, at)
  }

  int32(n: number): void {
    const at = this.#room(4)
    this.#chunk.writeInt32BE(n, at)
  }

  uint64(n: bigint): void {
    const at = this.#room(8)
    this.#chunk.writeBigUInt64BE(n, at)
  }

  /** The bytes as they are; large ones by reference, so they must not change until they are sent. */
  put(bytes: Uint8Array): void {
    if (bytes.length < copiedBelow) {
      const at = this.#room(bytes.length)
      this.#chunk.set(bytes, at)
      return
    }
    this.#seal()
    this.#done.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
    this.length += bytes.length
  }

  zeros(n: number): void {
    const at = this.#room(n)
    this.#chunk.fill(0, at, at + n)
  }

  /** Everything written, in order. */
  buffers(): Buffer[] {
    this.#seal()
    return this.#done
  }
}

export type Codec<T> = {
  read(r: Reader): T
  write(w: Writer, value: T): void
}

export type TypeOf<C> = C extends Codec<infer T> ? T : never

export const uint32: Codec<number> = { read: r => r.uint32(), write: (w, n) => w.uint32(n) }

/** For ids and cookies, whose every bit counts. */
export const uint64: Codec<bigint> = { read: r => r.uint64(), write: (w, n) => w.uint64(n) }

/**
 * For sizes and offsets. What is no safe integer reads as Infinity, so that a
 * procedure can refuse it by name (FBIG, or end of file) instead of calling it garbage.
 */
export const size64: Codec<number> = {
  read: r => {
    const n = r.uint32() * 4_294_967_296 + r.uint32()
    return Number.isSafeInteger(n) ? n : Number.POSITIVE_INFINITY
  },
  write: (w, n) => {
    if (!Number.isSafeInteger(n) || n < 0) throw new RangeError(`${n} is no size`)
    w.uint32(Math.floor(n / 4_294_967_296))
    w.uint32(n >>> 0)
  },
}

export const bool: Codec<boolean> = {
  read: r => {
    const n = r.uint32()
    if (n > 1) throw new Garbage(`a boolean of ${n}`)
    return n === 1
  },
  write: (w, b) => w.uint32(b ? 1 : 0),
}

export const nothing: Codec<undefined> = { read: () => undefined, write: () => {} }

/** opaque[n]: exactly n bytes. */
export const fixed = (n: number): Codec<Uint8Array> => ({
  read: r => {
    const bytes = r.take(n)
    r.take(padding(n))
    return bytes
  },
  write: (w, bytes) => {
    if (bytes.length !== n) throw new RangeError(`${bytes.length} bytes where ${n} belong`)
    w.put(bytes)
    w.zeros(padding(n))
  },
})

/** opaque<max>: the bound is part of the type, and is checked before anything is taken. */
export const opaque = (max: number): Codec<Uint8Array> => ({
  read: r => {
    const n = r.uint32()
    if (n > max) throw new Garbage(`opaque of ${n} bytes, at most ${max}`)
    const bytes = r.take(n)
    r.take(padding(n))
    return bytes
  },
  write: (w, bytes) => {
    w.uint32(bytes.length)
    w.put(bytes)
    w.zeros(padding(bytes.length))
  },
})

/** opaque<max> whose bytes lie in several pieces; read as one. */
export const pieces = (max: number): Codec<readonly Uint8Array[]> => {
  const whole = opaque(max)
  return {
    read: r => [whole.read(r)],
    write: (w, list) => {
      let n = 0
      for (const piece of list) n += piece.length
      w.uint32(n)
      for (const piece of list) w.put(piece)
      w.zeros(padding(n))
    },
  }
}

/** string<max> of ASCII that we write ourselves; what strangers call names stays opaque until its edge. */
export const ascii = (max: number): Codec<string> => {
  const bytes = opaque(max)
  return {
    read: r => Buffer.from(bytes.read(r)).toString('latin1'),
    write: (w, s) => bytes.write(w, Buffer.from(s, 'latin1')),
  }
}

/** T<max>. */
export const array = <T>(item: Codec<T>, max: number): Codec<readonly T[]> => ({
  read: r => {
    const n = r.uint32()
    if (n > max) throw new Garbage(`array of ${n}, at most ${max}`)
    const list: T[] = []
    for (let i = 0; i < n; i++) list.push(item.read(r))
    return list
  },
  write: (w, list) => {
    w.uint32(list.length)
    for (const value of list) item.write(w, value)
  },
})

/** A linked list (`struct x { …; x *next; }`), as MOUNT and READDIR have them; read by iteration. */
export const list = <T>(item: Codec<T>, max: number): Codec<readonly T[]> => ({
  read: r => {
    const all: T[] = []
    while (bool.read(r)) {
      if (all.length === max) throw new Garbage(`a list longer than ${max}`)
      all.push(item.read(r))
    }
    return all
  },
  write: (w, all) => {
    for (const value of all) {
      w.uint32(1)
      item.write(w, value)
    }
    w.uint32(0)
  },
})

/** T*, and the unions on a bool whose other arm is void. */
export const optional = <T>(item: Codec<T>): Codec<T | null> => ({
  read: r => (bool.read(r) ? item.read(r) : null),
  write: (w, value) => {
    w.uint32(value === null ? 0 : 1)
    if (value !== null) item.write(w, value)
  },
})

/** Names for numbers; a number without a name is garbage. */
export function enumeration<const N extends Record<string, number>>(numbers: N): Codec<keyof N & string> {
  const names = new Map(Object.entries(numbers).map(([name, n]) => [n, name]))
  return {
    read: r => {
      const n = r.int32()
      const name = names.get(n)
      if (name === undefined) throw new Garbage(`no ${Object.keys(numbers)[0]}… is ${n}`)
      return name
    },
    write: (w, name) => w.int32(numbers[name]!),
  }
}

// biome-ignore lint/suspicious/noExplicitAny: a codec reads and writes its type, so no one type stands for all
type Fields = Record<string, Codec<any>>

export function struct<const F extends Fields>(fields: F): Codec<{ readonly [K in keyof F]: TypeOf<F[K]> }> {
  const all = Object.entries(fields)
  return {
    read: r => {
      const value: Record<string, unknown> = {}
      for (const [name, codec] of all) value[name] = codec.read(r)
      return value as { readonly [K in keyof F]: TypeOf<F[K]> }
    },
    write: (w, value) => {
      for (const [name, codec] of all) codec.write(w, value[name as keyof F])
    },
  }
}

/** A discriminated union: `is` names the arm. */
export function union<const A extends Fields>(
  tag: Codec<keyof A & string>,
  arms: A,
): Codec<{ [K in keyof A & string]: { readonly is: K; readonly value: TypeOf<A[K]> } }[keyof A & string]> {
  return {
    read: r => {
      const is = tag.read(r)
      return { is, value: arms[is]!.read(r) }
    },
    write: (w, { is, value }) => {
      tag.write(w, is)
      arms[is]!.write(w, value)
    },
  }
}
