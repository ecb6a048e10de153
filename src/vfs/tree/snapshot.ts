// What a directory held when it was last listed: its edges in the order of their
// cookies, found by name. It never changes; a later listing makes another.

import { type Cap, carryCap, unknownCap } from '../../tahoe/cap.ts'
import { parseExact } from '../../tahoe/format/json.ts'
import type { Metadata } from '../../tahoe/grid.ts'
import { marked, nameKey, shown } from '../names.ts'
import type { FileId } from '../vfs.ts'

export type Edge = {
  /** The name as the grid has it. */
  readonly real: string
  /** The name as it is shown, unique in its directory. */
  readonly name: string
  /** An ordinal, given once and never again in this directory. */
  readonly cookie: bigint
  readonly id: FileId
  readonly cap: Cap
  readonly metadata: Metadata
}

/** The inode of a name that an intent hides, and that somebody else has made lead elsewhere. */
export const NOBODY: FileId = 0n

export class Snapshot {
  readonly edges: readonly Edge[]
  /** The ordinal for the next edge that is new. */
  readonly next: bigint
  readonly #byKey: ReadonlyMap<string, Edge>

  /** `edges` in the order of their cookies. */
  constructor(edges: readonly Edge[], next: bigint) {
    this.edges = edges
    this.next = next
    this.#byKey = new Map(edges.map(edge => [nameKey(edge.name), edge]))
  }

  find(name: string): Edge | undefined {
    return this.#byKey.get(nameKey(name))
  }

  /** As it rests, to be sealed. */
  pack(): Buffer {
    const rows = this.edges.map(({ real, name, cookie, id, cap, metadata }) => {
      const row = [real, String(cookie), String(id), packCap(cap), metadata]
      return name === shown(real) ? row : [...row, name]
    })
    return Buffer.from(JSON.stringify([String(this.next), rows]))
  }

  static unpack(packed: Buffer): Snapshot {
    const [next, rows] = parseExact(packed.toString()) as [
      string,
      [string, string, string, PackedCap, Metadata, string?][],
    ]
    const edges = rows.map(([real, cookie, id, cap, metadata, name]) => ({
      real,
      name: name ?? shown(real),
      cookie: BigInt(cookie),
      id: BigInt(id),
      cap: unpackCap(cap),
      metadata,
    }))
    return new Snapshot(edges, BigInt(next))
  }
}

/** A cap's text; of an unknown, both its slots, for it may be linked again only with both. */
export type PackedCap = string | readonly [string, string]

export const packCap = (cap: Cap): PackedCap =>
  cap.kind === 'unknown' && cap.authority === 'write' ? [cap.uri(), cap.readonly().uri()] : cap.uri()

export const unpackCap = (packed: PackedCap): Cap =>
  typeof packed === 'string' ? carryCap(packed) : unknownCap(packed[0], packed[1] === '' ? null : packed[1])

/** Gives each name of one directory the form it is shown in; two that are the same to a file system stay apart. */
export class Names {
  readonly #taken: Set<string>

  /** `kept` are names that stay as they are shown, whatever comes before them in the listing. */
  constructor(kept: Iterable<string> = []) {
    this.#taken = new Set(kept)
  }

  show(real: string): string {
    let name = shown(real)
    if (this.#taken.has(nameKey(name))) name = marked(name, real)
    this.#taken.add(nameKey(name))
    return name
  }
}
