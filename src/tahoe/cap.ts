// Capability strings: parsed, printed, attenuated. A Cap does not print itself by
// accident: only uri() gives the secret text.
//
// What parses: the fifteen-odd words Tahoe 1.20 knows, each with exactly its fields.
// What is unknown: `URI:` and a word we do not know, or anything behind `ro.` or
// `imm.`; it is carried byte for byte. Everything else is refused.

import { inspect } from 'node:util'
import { FsError } from '../errors.ts'
import { decode, encode } from './format/base32.ts'
import { taggedHash } from './format/hash.ts'

/** The URI's own words, without what they say about authority. */
export type Kind = 'LIT' | 'CHK' | 'SSK' | 'MDMF' | 'DIR2' | 'DIR2-MDMF' | 'DIR2-CHK' | 'DIR2-LIT' | 'unknown'
export type Authority = 'write' | 'read' | 'verify'

type Shape = 'lit' | 'chk' | 'mutable'
type Word = { readonly kind: Kind; readonly authority: Authority; readonly shape: Shape }

const words: ReadonlyMap<string, Word> = new Map([
  ['LIT', { kind: 'LIT', authority: 'read', shape: 'lit' }],
  ['CHK', { kind: 'CHK', authority: 'read', shape: 'chk' }],
  ['CHK-Verifier', { kind: 'CHK', authority: 'verify', shape: 'chk' }],
  ['SSK', { kind: 'SSK', authority: 'write', shape: 'mutable' }],
  ['SSK-RO', { kind: 'SSK', authority: 'read', shape: 'mutable' }],
  ['SSK-Verifier', { kind: 'SSK', authority: 'verify', shape: 'mutable' }],
  ['MDMF', { kind: 'MDMF', authority: 'write', shape: 'mutable' }],
  ['MDMF-RO', { kind: 'MDMF', authority: 'read', shape: 'mutable' }],
  ['MDMF-Verifier', { kind: 'MDMF', authority: 'verify', shape: 'mutable' }],
  ['DIR2', { kind: 'DIR2', authority: 'write', shape: 'mutable' }],
  ['DIR2-RO', { kind: 'DIR2', authority: 'read', shape: 'mutable' }],
  ['DIR2-Verifier', { kind: 'DIR2', authority: 'verify', shape: 'mutable' }],
  ['DIR2-MDMF', { kind: 'DIR2-MDMF', authority: 'write', shape: 'mutable' }],
  ['DIR2-MDMF-RO', { kind: 'DIR2-MDMF', authority: 'read', shape: 'mutable' }],
  ['DIR2-MDMF-Verifier', { kind: 'DIR2-MDMF', authority: 'verify', shape: 'mutable' }],
  ['DIR2-CHK', { kind: 'DIR2-CHK', authority: 'read', shape: 'chk' }],
  ['DIR2-CHK-Verifier', { kind: 'DIR2-CHK', authority: 'verify', shape: 'chk' }],
  ['DIR2-LIT', { kind: 'DIR2-LIT', authority: 'read', shape: 'lit' }],
] satisfies [string, Word][])

const suffix = {
  mutable: { write: '', read: '-RO', verify: '-Verifier' },
  chk: { write: '', read: '', verify: '-Verifier' },
  lit: { write: '', read: '', verify: '' },
} satisfies Record<Shape, Record<Authority, string>>

const mutableKinds: ReadonlySet<Kind> = new Set<Kind>(['SSK', 'MDMF', 'DIR2', 'DIR2-MDMF'])

// 16 and 32 bytes of base32; the last character has two, or four, bits that must be zero.
const b16 = '([a-z2-7]{25}[aeimquy4])'
const b32 = '([a-z2-7]{51}[aq])'
const number = '(0|[1-9][0-9]{0,15})'
const chkFields = new RegExp(`^${b16}:${b32}:${number}:${number}:${number}$`)
const mutableFields = new RegExp(`^${b16}:${b32}$`)
const extendedFields = new RegExp(`^${b16}:${b32}(?::.*)?$`) // MDMF: what old nodes added is not needed
const capShape = /^(ro\.|imm\.)?URI:([A-Za-z0-9-]+):([!-~]*)$/

/** Longer than any cap Tahoe makes; it bounds what a hostile directory can make us keep as one. */
const MAX_TEXT = 65_536

type Fields = {
  readonly text: string
  readonly word: Word | null
  readonly authority: Authority
  /** CHK: key, or storage index. Mutable: write key, read key, or storage index. */
  readonly key?: string
  /** CHK: hash of the URI extension. Mutable: fingerprint of the public key. */
  readonly check?: string
  readonly needed?: number
  readonly total?: number
  readonly size?: number
  readonly data?: Buffer
  /** Of an unknown: what stood in the read-only slot beside it. */
  readonly reader?: string
}

export class Cap {
  readonly #fields: Fields
  #storageIndex: string | null = null

  /** For this file only: parseCap, carryCap, unknownCap and litCap make caps. */
  constructor(fields: Fields) {
    this.#fields = fields
  }

  /** The secret text. Whoever has it has what the cap gives. */
  uri(): string {
    return this.#fields.text
  }

  toString(): string {
    const { kind, authority } = this
    return authority === 'read' ? `[cap ${kind}]` : `[cap ${kind} ${authority}]`
  }

  toJSON(): string {
    return this.toString()
  }

  [inspect.custom](): string {
    return this.toString()
  }

  get kind(): Kind {
    return this.#fields.word?.kind ?? 'unknown'
  }

  /** Of an unknown: the slot it stood in; by itself, 'read' only if its prefix promises that. */
  get authority(): Authority {
    return this.#fields.authority
  }

  get type(): 'file' | 'directory' | 'unknown' {
    const { kind } = this
    if (kind === 'unknown') return 'unknown'
    return kind.startsWith('DIR2') ? 'directory' : 'file'
  }

  /** Whether what it leads to may change, not whether this cap may change it. */
  get mutable(): boolean {
    if (this.#fields.word === null) return !this.#fields.text.startsWith('imm.')
    return mutableKinds.has(this.kind)
  }

  /** Bytes of content of an immutable file; null where the cap does not say. */
  get size(): number | null {
    return this.type === 'file' ? (this.#fields.size ?? null) : null
  }

  /** Bytes of what is stored under an immutable cap, also of a directory's. */
  get contentSize(): number | null {
    return this.#fields.size ?? null
  }

  /** Shares needed to read it, where the cap says. */
  get needed(): number | null {
    return this.#fields.needed ?? null
  }

  /** Shares made of it, where the cap says. */
  get total(): number | null {
    return this.#fields.total ?? null
  }

  /** Where its shares lie, in base32; null for a LIT, which has none, and for an unknown. */
  get storageIndex(): string | null {
    const { word, key, authority } = this.#fields
    if (word === null || key === undefined) return null
    this.#storageIndex ??= authority === 'verify' ? key : storageIndexOf(word.shape, authority, key)
    return this.#storageIndex
  }

  /** The same object without the power to change it. A cap without that power is its own. */
  readonly(): Cap {
    const { word, authority, key, check, reader } = this.#fields
    if (authority !== 'write') return this
    if (word === null) return new Cap({ text: reader ?? '', word, authority: 'read' })
    return attenuated(word, 'read', readKey(key!), [check!])
  }

  /** The same object without the power to read it; null where that leaves nothing (LIT, unknown). */
  verify(): Cap | null {
    const { word, authority, check, needed, total, size } = this.#fields
    const si = this.storageIndex
    if (word === null || si === null) return null
    if (authority === 'verify') return this
    if (word.shape === 'mutable') return attenuated(word, 'verify', si, [check!])
    return attenuated(word, 'verify', si, [check!, needed!, total!, size!])
  }

  /** The content that a LIT carries in itself. EINVAL for any other kind. */
  data(): Buffer {
    const { data } = this.#fields
    if (data === undefined) throw new FsError('EINVAL', `data of ${this}`)
    return Buffer.from(data)
  }

  /**
   * The two fields of a cap with shares. `key`: of a CHK the key, of a mutable the write key or read
   * key, of a verify cap the storage index; 16 bytes. `check`: of a CHK the hash of its URI
   * extension, of a mutable the fingerprint of its public key; 32 bytes. EINVAL for any other kind.
   */
  secrets(): { readonly key: Buffer; readonly check: Buffer } {
    const { key, check } = this.#fields
    if (key === undefined || check === undefined) throw new FsError('EINVAL', `secrets of ${this}`)
    return { key: decode(key)!, check: decode(check)! }
  }

  /** Whether both lead to the same object, whatever each may do with it. */
  same(other: Cap): boolean {
    if (this.uri() === other.uri() && this.uri() !== '') return true
    if (this.kind !== other.kind) return false
    if (this.kind === 'unknown') {
      const reader = this.readonly().uri()
      return reader !== '' && reader === other.readonly().uri()
    }
    const mine = this.verify()
    return mine !== null && mine.uri() === other.verify()?.uri()
  }
}

const readKey = (writeKey: string): string =>
  encode(taggedHash('allmydata_mutable_writekey_to_readkey_v1', decode(writeKey)!, 16))

function storageIndexOf(shape: Shape, authority: Authority, key: string): string {
  const tag =
    shape === 'chk'
      ? 'allmydata_immutable_key_to_storage_index_v1'
      : 'allmydata_mutable_readkey_to_storage_index_v1'
  const source = authority === 'write' ? readKey(key) : key
  return encode(taggedHash(tag, decode(source)!, 16))
}

/** Less authority in the same kind's words: all fields are good already, because they came from a cap. */
function attenuated(word: Word, authority: Authority, key: string, rest: readonly (string | number)[]): Cap {
  const text = `URI:${word.kind}${suffix[word.shape][authority]}:${[key, ...rest].join(':')}`
  return parseCap(text)
}

/** A cap a person or a program gave. EINVAL for what is none; the text is never in the message. */
export function parseCap(text: string): Cap {
  const shape = text.length <= MAX_TEXT ? capShape.exec(text) : null
  if (shape === null) throw new FsError('EINVAL', 'parse a cap: it is not of the form URI:…')
  const [, prefix, name, fields] = shape
  if (prefix !== undefined) return new Cap({ text, word: null, authority: 'read' })
  const word = words.get(name!)
  if (word === undefined) return new Cap({ text, word: null, authority: 'write' })
  const cap = parseFields(word, text, fields!)
  if (cap === null) throw new FsError('EINVAL', `parse a cap: the fields of a ${word.kind} cap are damaged`)
  return cap
}

function parseFields(word: Word, text: string, fields: string): Cap | null {
  const { authority } = word
  if (word.shape === 'lit') {
    const data = decode(fields)
    return data && new Cap({ text, word, authority, data, size: data.length })
  }
  if (word.shape === 'mutable') {
    const extended = word.kind === 'MDMF' || word.kind === 'DIR2-MDMF'
    const match = (extended ? extendedFields : mutableFields).exec(fields)
    if (match === null) return null
    const [, key, check] = match as unknown as [string, string, string]
    // Printed without the extension, as Tahoe itself prints it.
    const plain = extended ? text.slice(0, text.length - fields.length) + `${key}:${check}` : text
    return new Cap({ text: plain, word, authority, key, check })
  }
  const match = chkFields.exec(fields)
  if (match === null) return null
  const [, key, check, k, n, bytes] = match as unknown as [string, string, string, string, string, string]
  const [needed, total, size] = [Number(k), Number(n), Number(bytes)]
  if (needed < 1 || needed > total || total > 256 || !Number.isSafeInteger(size)) return null
  return new Cap({ text, word, authority, key, check, needed, total, size })
}

/** A cap found in somebody's directory: what does not parse there is carried, not refused. */
export function carryCap(text: string): Cap {
  try {
    return parseCap(text)
  } catch {
    return unknownCap(null, text)
  }
}

/**
 * An unknown from a directory's two slots. Both are needed to link it again:
 * uri() gives the stronger, readonly().uri() what stood in the read-only slot.
 */
export const unknownCap = (rw: string | null, ro: string | null): Cap =>
  rw === null
    ? new Cap({ text: ro ?? '', word: null, authority: 'read' })
    : new Cap({ text: rw, word: null, authority: 'write', ...(ro === null ? {} : { reader: ro }) })

/** The cap that is its own content. Tahoe makes one of what has at most 55 bytes. */
export const litCap = (data: Uint8Array): Cap => parseCap(`URI:LIT:${encode(data)}`)
export const LIT_MAX = 55
