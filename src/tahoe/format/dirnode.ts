// A directory as the content of a file: a netstring for each child, in the order of their names'
// bytes, of four netstrings: name, read cap, sealed write cap, metadata as JSON.
// docs/specifications/dirnodes.rst. What a child is made of stays as it was until that
// very child is changed: also what is in it that we do not understand.

import { createHash } from 'node:crypto'
import { type Cap, carryCap, parseCap, unknownCap } from '../cap.ts'
import type { Child, Metadata } from '../grid.ts'
import { aesCtr } from './aes.ts'
import { netstring, sha256, taggedHash, taggedPairHash } from './hash.ts'
import { parseExact } from './json.ts'
import { NotNetstrings, netstringsIn } from './netstrings.ts'

const SALT = 16
const MAC = 32

/** Whether a directory may hold what can change, and by which key its write caps are sealed; null: they cannot be read. */
export type DirnodeKind = { readonly mutable: boolean; readonly writeKey: Uint8Array | null }

/** The content of a directory is not that of one. */
export class NotDirectory extends Error {}

/** A child as it is stored: its whole entry, and the parts of it. */
type Entry = {
  readonly name: string
  readonly whole: Buffer
  readonly reader: string
  readonly sealed: Buffer
  readonly metadata: string
}

export class Dirnode {
  readonly #kind: DirnodeKind
  readonly #entries: Map<string, Entry>

  private constructor(kind: DirnodeKind, entries: Map<string, Entry>) {
    this.#kind = kind
    this.#entries = entries
  }

  static empty(kind: DirnodeKind): Dirnode {
    return new Dirnode(kind, new Map())
  }

  /** Throws NotDirectory for what is none. */
  static parse(content: Buffer, kind: DirnodeKind): Dirnode {
    const entries = new Map<string, Entry>()
    try {
      for (const body of netstringsIn(content)) {
        const [name, reader, sealed, metadata, ...more] = netstringsIn(body)
        if (!metadata || more.length > 0) throw new NotDirectory('an entry does not have four parts')
        const normal = name!.toString().normalize('NFC')
        entries.set(normal, {
          name: normal,
          whole: netstring(body),
          reader: reader!.toString('latin1').replace(/ +$/, ''),
          sealed: sealed!,
          metadata: metadata.toString(),
        })
      }
    } catch (err) {
      throw err instanceof NotNetstrings ? new NotDirectory(err.message) : err
    }
    return new Dirnode(kind, entries)
  }

  has(name: string): boolean {
    return this.#entries.has(name)
  }

  /** All children, by name. */
  children(): Map<string, Child> {
    const children = new Map<string, Child>()
    for (const entry of this.#entries.values()) children.set(entry.name, this.#child(entry))
    return children
  }

  child(name: string): Child | undefined {
    const entry = this.#entries.get(name)
    return entry && this.#child(entry)
  }

  /** Links a name (NFC) with exactly this metadata, in the place of what it named. */
  set(name: string, { cap, metadata }: Child): void {
    const writer = cap.authority === 'write' ? cap.uri() : ''
    const reader = cap.readonly().uri()
    const parts = {
      reader: cap.kind === 'unknown' ? this.#withoutPrefix(reader) : reader,
      sealed: this.#kind.mutable ? this.#seal(Buffer.from(writer, 'latin1')) : Buffer.alloc(0),
      metadata: JSON.stringify(metadata),
    }
    const whole = netstring(
      Buffer.concat([
        netstring(Buffer.from(name)),
        netstring(Buffer.from(parts.reader, 'latin1')),
        netstring(parts.sealed),
        netstring(Buffer.from(parts.metadata)),
      ]),
    )
    this.#entries.set(name, { name, whole, ...parts })
  }

  unset(name: string): void {
    this.#entries.delete(name)
  }

  /** The content that a file of this directory has. */
  content(): Buffer {
    const sorted = [...this.#entries.values()].map(entry => [Buffer.from(entry.name), entry.whole] as const)
    sorted.sort(([a], [b]) => a.compare(b))
    return Buffer.concat(sorted.map(([, whole]) => whole))
  }

  /** The strongest cap that we can read. What we do not understand is carried, and spoils nothing. */
  #child({ reader, sealed, metadata: text }: Entry): Child {
    const metadata = metadataOf(text)
    const writer = this.#unseal(sealed)
    if (writer !== '') {
      const cap = carryCap(writer)
      return { cap: cap.kind === 'unknown' ? unknownCap(writer, this.#withPrefix(reader)) : cap, metadata }
    }
    return { cap: this.#readable(reader), metadata }
  }

  /** What stands in the read-only slot gives no more than reading, whatever it is. */
  #readable(text: string): Cap {
    try {
      const cap = parseCap(text)
      if (cap.kind !== 'unknown') return cap.readonly()
    } catch {} // carried
    return unknownCap(null, this.#withPrefix(text))
  }

  #withPrefix(text: string): string {
    if (text === '' || /^(ro|imm)\./.test(text)) return text
    return (this.#kind.mutable ? 'ro.' : 'imm.') + text
  }

  #withoutPrefix(text: string): string {
    return this.#kind.mutable ? text.replace(/^ro\./, '') : text.replace(/^(ro|imm)\./, '')
  }

  #seal(writer: Buffer): Buffer {
    const salt = taggedHash('allmydata_dirnode_child_rwcap_to_salt_v1', writer, SALT)
    const key = this.#keyFor(salt, this.#kind.writeKey!)
    const sealed = Buffer.concat([salt, aesCtr(key).update(writer)])
    return Buffer.concat([sealed, mac(key, sealed)])
  }

  /** An empty text where there is no write cap, or none for us. */
  #unseal(sealed: Buffer): string {
    const { writeKey } = this.#kind
    if (writeKey === null || sealed.length <= SALT + MAC) return ''
    const key = this.#keyFor(sealed.subarray(0, SALT), writeKey)
    return aesCtr(key).update(sealed.subarray(SALT, -MAC)).toString('latin1').replace(/ +$/, '')
  }

  #keyFor(salt: Uint8Array, writeKey: Uint8Array): Buffer {
    return taggedPairHash(
      'allmydata_mutable_writekey_and_salt_to_dirnode_child_capkey_v1',
      salt,
      writeKey,
      16,
    )
  }
}

/** HMAC-SHA256 but for its key, which Tahoe does not fill up to 64 bytes. Nobody checks it; all write it. */
function mac(key: Buffer, bytes: Uint8Array): Buffer {
  const inner = createHash('sha256')
    .update(key.map(byte => byte ^ 0x36))
    .update(bytes)
    .digest()
  return sha256(Buffer.concat([key.map(byte => byte ^ 0x5c), inner]))
}

/** What is no JSON object is as good as nothing; it stays in its entry all the same. */
function metadataOf(text: string): Metadata {
  try {
    const value = parseExact(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Metadata) : {}
  } catch {
    return {}
  }
}
