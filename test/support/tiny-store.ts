// What is in a small grid in memory: real caps, and what they lead to. Tests make it,
// change it behind everybody's back, and look at it; nothing here is counted.

import { createHash } from 'node:crypto'
import { type Cap, parseCap } from '../../src/tahoe/cap.ts'
import { encode } from '../../src/tahoe/format/base32.ts'
import { parseExact } from '../../src/tahoe/format/json.ts'
import type { Child, Metadata } from '../../src/tahoe/grid.ts'

type Link = Cap | readonly [Cap, Metadata]
type Stored = { bytes: Buffer; version: number }
type Times = { readonly linkcrtime: number; readonly linkmotime: number }

/** A directory and all below it, to be compared whole. What cannot be followed is as its cap prints itself. */
export type Tree = { readonly [name: string]: Buffer | { readonly symlink: string } | Tree | string }

const hash = (...parts: (string | Uint8Array)[]): Buffer => {
  const sum = createHash('sha256')
  for (const part of parts) sum.update(part).update('\n')
  return sum.digest()
}
const fields = (seed: Buffer): string => `${encode(seed.subarray(0, 16))}:${encode(hash('check', seed))}`
const place = (cap: Cap): string => (cap.verify() ?? cap).uri()
const throughJson = (metadata: Metadata) => parseExact(JSON.stringify(metadata)) as Metadata

export class TinyStore {
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

  /** Links a name, with the grid's times in its metadata or with exactly the metadata given. */
  set(dir: Cap, name: string, link: Link): void {
    const children = this.#dirs.get(place(dir))!
    const [cap, given] = Array.isArray(link) ? (link as readonly [Cap, Metadata]) : [link as Cap, undefined]
    const tahoe = this.#times(children.get(name))
    children.set(name, { cap, metadata: given === undefined ? { tahoe } : throughJson(given) })
  }

  /** Links a name as Tahoe does for a client: the key `tahoe` is the grid's own, all others are the client's. */
  link(dir: Cap, name: string, child: Child): void {
    const children = this.#dirs.get(place(dir))!
    const metadata = { ...throughJson(child.metadata), tahoe: this.#times(children.get(name)) }
    const cap = child.metadata['no-write'] ? child.cap.readonly() : child.cap
    children.set(name, { cap, metadata })
  }

  /** A second time under the same name keeps when it was first made. */
  #times(before: Child | undefined): Times {
    const now = 1_700_000_000 + this.#made++
    const times = before?.metadata['tahoe'] as Times | undefined
    return { ...times, linkcrtime: times?.linkcrtime ?? now, linkmotime: now }
  }

  unset(dir: Cap, name: string): void {
    this.#dirs.get(place(dir))!.delete(name)
  }

  /** Takes a directory or a file away: its shares are out of reach from now on. */
  lose(cap: Cap): void {
    this.#dirs.delete(place(cap))
    this.#files.delete(place(cap))
  }

  /** What stands in a directory now, or undefined where its shares are out of reach. */
  childrenOf(dir: Cap): ReadonlyMap<string, Child> | undefined {
    const children = this.#dirs.get(place(dir))
    return children && new Map(children)
  }

  /** A file's content and its version now, or undefined where its shares are out of reach. */
  contentOf(cap: Cap): Readonly<Stored> | undefined {
    const stored = this.#files.get(place(cap))
    return stored && { ...stored }
  }

  /** A directory's truth at this moment. */
  children(dir: Cap): ReadonlyMap<string, Child> {
    const children = this.childrenOf(dir)
    if (!children) throw new Error(`nothing stored for ${dir}`)
    return children
  }

  /** A file's content at this moment, also that of a LIT. */
  bytes(cap: Cap): Buffer {
    const content = cap.kind === 'LIT' ? cap.data() : this.contentOf(cap)?.bytes
    if (!content) throw new Error(`nothing stored for ${cap}`)
    return content
  }

  /** All that is below a directory: files as their bytes, our symlinks as their targets. */
  toTree(dir: Cap, above: readonly Cap[] = []): Tree {
    const path = [...above, dir]
    const show = ({ cap, metadata }: Child): Tree[string] => {
      if (cap.type === 'unknown' || path.some(one => one.same(cap))) return String(cap)
      if (cap.type === 'directory') return this.toTree(cap, path)
      const ours = metadata['tahoe-nfs'] as Metadata | undefined
      return ours?.['type'] === 'symlink' ? { symlink: this.bytes(cap).toString() } : this.bytes(cap)
    }
    return Object.fromEntries([...this.children(dir)].map(([name, child]) => [name, show(child)]))
  }
}
