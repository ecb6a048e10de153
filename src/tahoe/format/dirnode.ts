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

/** A child as it is stored; what it means is found out when it is asked for. */
type Entry = {
  readonly name: string
  /** The name's bytes, by which entries are sorted. */
  readonly key: Buffer
  readonly whole: Buffer
  readonly reader: Buffer
  readonly sealed: Buffer
  readonly metadata: Buffer
  child: Child | null
}

export class Dirnode {
  readonly #kind: DirnodeKind
  readonly #entries: Map<string, Entry>
  /** What stands sealed where there is no write cap: in one directory always the same. */
  #sealedNothing: Buffer | null = null

  private constructor(kind: DirnodeKind, entries: Map<string, Entry>) {
    this.#kind = kind
    this.#entries = entries
  }

  static empty(kind: DirnodeKind): Dirnode {
    return new Dirnode(kind, new Map())
  }

  /** Throws NotDirectory for what is none. The content must not change afterwards. */
  static parse(content: Buffer, kind: DirnodeKind): Dirnode {
    const entries = new Map<string, Entry>()
    try {
      let start = 0
      for (const body of netstringsIn(content)) {
        const [name, reader, sealed, metadata, ...more] = netstringsIn(body)
        if (!metadata || more.length > 0) throw new NotDirectory('an entry does not have four parts')
        const end = body.byteOffset - content.byteOffset + body.length + 1
        const whole = content.subarray(start, end)
        const normal = name!.toString().normalize('NFC')
        const parts = { reader: reader!, sealed: sealed!, metadata }
        entries.set(normal, { name: normal, key: Buffer.from(normal), whole, ...parts, child: null })
        start = end
      }
    } catch (err) {
      throw err instanceof NotNetstrings ? new NotDirectory(err.message) : err
    }
    return new Dirnode(kind, entries)
  }

  /** The same, to be changed by itself. */
  copy(): Dirnode {
    return new Dirnode(this.#kind, new Map(this.#entries))
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
    const reader = cap.readonly().uri()
    const parts = {
      key: Buffer.from(name),
      reader: Buffer.from(cap.kind === 'unknown' ? this.#withoutPrefix(reader) : reader, 'latin1'),
      sealed: this.#seal(cap.authority === 'write' ? cap.uri() : ''),
      metadata: Buffer.from(JSON.stringify(metadata)),
    }
    const { key, sealed } = parts
    const whole = netstring(Buffer.concat([key, parts.reader, sealed, parts.metadata].map(netstring)))
    this.#entries.set(name, { name, whole, ...parts, child: null })
  }

  unset(name: string): void {
    this.#entries.delete(name)
  }

  /** The content that a file of this directory has. */
  content(): Buffer {
    const sorted = [...this.#entries.values()].sort((a, b) => a.key.compare(b.key))
    return Buffer.concat(sorted.map(({ whole }) => whole))
  }

  /** The strongest cap that we can read. What we do not understand is carried, and spoils nothing. */
  #child(entry: Entry): Child {
    entry.child ??= this.#read(entry)
    return entry.child
  }

  #read(entry: Entry): Child {
    const metadata = metadataOf(entry.metadata.toString())
    const reader = entry.reader.toString('latin1').replace(/ +$/, '')
    const writer = this.#unseal(entry.sealed)
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

  #seal(writer: string): Buffer {
    const { mutable, writeKey } = this.#kind
    if (!mutable) return Buffer.alloc(0)
    if (writer === '' && this.#sealedNothing) return this.#sealedNothing
    const bytes = Buffer.from(writer, 'latin1')
    const salt = taggedHash('allmydata_dirnode_child_rwcap_to_salt_v1', bytes, SALT)
    const key = this.#keyFor(salt, writeKey!)
    const crypttext = Buffer.concat([salt, aesCtr(key).update(bytes)])
    const sealed = Buffer.concat([crypttext, mac(key, crypttext)])
    if (writer === '') this.#sealedNothing = sealed
    return sealed
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
