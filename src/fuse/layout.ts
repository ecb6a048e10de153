// How the kernel's messages lie in memory: C structs of fixed size whose fields stand where
// their sizes put them, in this machine's byte order. A struct is declared once, reads and
// writes, and types follow from it. A Body cannot be read past its end.

import { endianness } from 'node:os'
import { FsError } from '../errors.ts'

/** The protocol is native: every machine that Node's Linux builds run on, but one, is little-endian. */
export const isLittleEndian = endianness() === 'LE'

export type Field<T> = {
  readonly bytes: number
  read(from: Buffer, at: number): T
  write(to: Buffer, at: number, value: T): void
}

/** What lies between fields: never read, written as zeros. */
export type Gap = { readonly bytes: number; readonly gap: true }

// biome-ignore lint/suspicious/noExplicitAny: what each holds is inferred
type Fields = { readonly [name: string]: Field<any> | Gap }
type ValueOf<F> = F extends { read(from: Buffer, at: number): infer T } ? T : never
type Values<F extends Fields> = { readonly [K in keyof F as F[K] extends Gap ? never : K]: ValueOf<F[K]> }

export const u16: Field<number> = {
  bytes: 2,
  read: (from, at) => from.readUInt16LE(at),
  write: (to, at, value) => void to.writeUInt16LE(value, at),
}

export const u32: Field<number> = {
  bytes: 4,
  read: (from, at) => from.readUInt32LE(at),
  write: (to, at, value) => void to.writeUInt32LE(value, at),
}

export const s32: Field<number> = {
  bytes: 4,
  read: (from, at) => from.readInt32LE(at),
  write: (to, at, value) => void to.writeInt32LE(value, at),
}

/** Ids, cookies, seconds. */
export const u64: Field<bigint> = {
  bytes: 8,
  read: (from, at) => from.readBigUInt64LE(at),
  write: (to, at, value) => void to.writeBigUInt64LE(value, at),
}

export const s64: Field<bigint> = {
  bytes: 8,
  read: (from, at) => from.readBigInt64LE(at),
  write: (to, at, value) => void to.writeBigInt64LE(value, at),
}

/** Sizes and offsets. Those beyond 2^53 are read as about what they are: past the end of every file. */
export const size64: Field<number> = {
  bytes: 8,
  read: (from, at) => from.readUInt32LE(at) + from.readUInt32LE(at + 4) * 2 ** 32,
  write: (to, at, value) => {
    to.writeUInt32LE(value % 2 ** 32, at)
    to.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4)
  },
}

export const gap = (bytes: number): Gap => ({ bytes, gap: true })

export function struct<const F extends Fields>(fields: F): Field<Values<F>> {
  const placed: { readonly name: string; readonly at: number; readonly field: Field<unknown> | Gap }[] = []
  let bytes = 0
  for (const [name, field] of Object.entries(fields)) {
    placed.push({ name, at: bytes, field: field as Field<unknown> | Gap })
    bytes += field.bytes
  }
  return {
    bytes,
    read(from, at) {
      const value: { [name: string]: unknown } = {}
      for (const { name, at: offset, field } of placed)
        if ('read' in field) value[name] = field.read(from, at + offset)
      return value as Values<F>
    },
    write(to, at, value) {
      for (const { name, at: offset, field } of placed)
        if ('write' in field) field.write(to, at + offset, (value as { [name: string]: unknown })[name])
        else to.fill(0, at + offset, at + offset + field.bytes)
    },
  }
}

/** What follows a request's header, taken from the front. It is the kernel's memory: what is kept is copied. */
export class Body {
  readonly #buffer: Buffer
  #at: number
  readonly #end: number

  constructor(buffer: Buffer, at: number, end: number) {
    this.#buffer = buffer
    this.#at = at
    this.#end = end
  }

  take<T>(field: Field<T>): T {
    return field.read(this.#buffer, this.#step(field.bytes))
  }

  /** The next `n` bytes, which are the kernel's until the next request. */
  bytes(n: number): Buffer {
    const at = this.#step(n)
    return this.#buffer.subarray(at, at + n)
  }

  /** The bytes up to the next NUL, which goes with them. */
  text(): Buffer {
    const nul = this.#buffer.indexOf(0, this.#at)
    if (nul < 0 || nul >= this.#end) throw short()
    const text = this.#buffer.subarray(this.#at, nul)
    this.#at = nul + 1
    return text
  }

  #step(n: number): number {
    const at = this.#at
    if (n > this.#end - at) throw short()
    this.#at = at + n
    return at
  }
}

const short = () => new FsError('EINVAL', 'a request that is shorter than what it holds')
