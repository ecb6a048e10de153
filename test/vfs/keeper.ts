// A client that keeps all that it was ever shown, and looks again only at what it was told of. What
// it keeps must be the truth at any time: a change that nobody told it of is found, and so is news
// of what is as it was.

import { FsError } from '../../src/errors.ts'
import type { Attr, FileId, News, Vfs } from '../../src/vfs/vfs.ts'
import { content, entries } from './walk.ts'

type Listed = { readonly ids: ReadonlyMap<string, FileId>; readonly told: Set<string> }

export class Keeper {
  readonly #vfs: Vfs
  readonly #stop: () => void
  /** As they were when it was told last; undefined of an inode that is gone. */
  readonly #attrs = new Map<FileId, Attr | undefined>()
  /** The attributes that directories had when names in them were told of. */
  readonly #listedAs = new Map<FileId, string>()
  readonly #bytes = new Map<FileId, Buffer>()
  readonly #listed = new Map<FileId, Listed>()
  /** Counts the news. */
  #heard = 0
  #complaint: Error | null = null

  constructor(vfs: Vfs) {
    this.#vfs = vfs
    this.#stop = vfs.watch(news => this.#hear(news))
  }

  close(): void {
    this.#stop()
  }

  /** Looks at everything, and throws where it was not told of a change, or of one that is none. */
  async check(): Promise<void> {
    const seen = new Set<FileId>()
    await this.#look(this.#vfs.root, seen)
    for (const id of this.#attrs.keys()) this.#attributes(id) // also where no name leads any more
    if (this.#complaint) throw this.#complaint
    for (const id of this.#listed.keys()) if (!seen.has(id)) this.#listed.delete(id)
  }

  #hear(news: News): void {
    this.#heard++
    if (news.what === 'name') {
      this.#listed.get(news.dir)?.told.add(news.name)
      this.#renewed(news.dir, attr => {
        const before = this.#listedAs.get(news.dir)
        this.#listedAs.set(news.dir, shown(attr))
        return before === shown(attr) // another name of the same change
      })
      return
    }
    if (news.what === 'content') this.#bytes.delete(news.id)
    this.#renewed(news.id)
  }

  #renewed(id: FileId, mayBe: (attr: Attr | undefined) => boolean = () => false): void {
    const attr = this.#known(id)
    const maySame = mayBe(attr)
    if (!this.#attrs.has(id)) return
    if (shown(this.#attrs.get(id)) === shown(attr) && !maySame)
      this.#complaint ??= new Error(`${shown(attr)} was told of, and is as it was`)
    this.#attrs.set(id, attr)
  }

  async #look(dir: FileId, seen: Set<FileId>): Promise<void> {
    if (seen.has(dir)) return
    seen.add(dir)
    const ids = await this.#still(
      async () => new Map((await entries(this.#vfs, dir)).map(({ name, id }) => [name, id])),
      ids => this.#names(dir, ids),
    )
    this.#attributes(dir)
    for (const [name, id] of ids) {
      if (this.#listed.get(dir)?.told.has(name)) continue // it has changed since
      const attr = await this.#ask(() => this.#vfs.lookup(dir, name))
      if (!attr || attr.id !== id) continue
      this.#attributes(id)
      if (attr.kind === 'directory') await this.#look(id, seen)
      else await this.#content(attr)
    }
  }

  #names(dir: FileId, ids: ReadonlyMap<string, FileId>): void {
    const { ids: kept, told } = this.#listed.get(dir) ?? { ids, told: new Set() }
    for (const name of new Set([...kept.keys(), ...ids.keys()]))
      if (!told.has(name) && kept.get(name) !== ids.get(name))
        throw new Error(
          `${name} in ${dir} led to ${kept.get(name)}, leads to ${ids.get(name)}, and nobody said so`,
        )
    this.#listed.set(dir, { ids, told: new Set() })
  }

  #attributes(id: FileId): void {
    const attr = this.#known(id)
    if (this.#attrs.has(id) && shown(this.#attrs.get(id)) !== shown(attr))
      throw new Error(`${shown(this.#attrs.get(id))} is ${shown(attr)}, and nobody said so`)
    this.#attrs.set(id, attr)
  }

  async #content({ id, kind }: Attr): Promise<void> {
    const read = async () =>
      kind === 'symlink' ? Buffer.from((await this.#vfs.readlink(id)).target) : content(this.#vfs, id)
    const judge = (bytes: Buffer) => {
      const kept = this.#bytes.get(id)
      if (kept && !kept.equals(bytes))
        throw new Error(`${shown(this.#known(id))} has other bytes, and nobody said so`)
      this.#bytes.set(id, bytes)
    }
    await this.#ask(() => this.#still(read, judge))
  }

  /** An answer during which nothing was told: it is judged while it is of now. */
  async #still<T>(ask: () => Promise<T>, judge: (answer: T) => void): Promise<T> {
    for (;;) {
      const heard = this.#heard
      const answer = await ask()
      if (this.#heard !== heard) continue
      judge(answer)
      return answer
    }
  }

  /** Undefined where it went meanwhile. */
  async #ask<T>(ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask()
    } catch (err) {
      if (err instanceof FsError && ['ENOENT', 'ESTALE', 'EACCES'].includes(err.code)) return undefined
      throw err
    }
  }

  #known(id: FileId): Attr | undefined {
    try {
      return this.#vfs.known(id)
    } catch {
      return undefined
    }
  }
}

const shown = (attr: Attr | undefined): string =>
  JSON.stringify(attr ?? 'gone', (_, value) => (typeof value === 'bigint' ? String(value) : value))
