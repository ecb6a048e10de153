// The bytes that a file has here: those of its cap, or what is drawn where it was changed.
// They come with the attributes that they belong to: a client that heard of new content
// meanwhile would keep these bytes as if they were of it, and so they are read anew.

import { codeOf, FsError } from '../errors.ts'
import { waitFor } from './ask.ts'
import type { Contents } from './read/content.ts'
import type { Reader } from './read/reader.ts'
import type { Inode } from './tree/inode.ts'
import type { Listings } from './tree/listings.ts'
import type { Tree } from './tree/tree.ts'
import type { Attr, FileId } from './vfs.ts'
import type { Draft } from './write/draft.ts'
import type { Drawing } from './write/drawing.ts'
import { segmentsOf } from './write/extents.ts'

/** How often a read that found its file changed begins again. */
const MAX_ANEW = 5

export type BytesOptions = {
  readonly tree: Tree
  readonly listings: Listings
  readonly reader: Reader
  readonly drawing: Drawing
  readonly contents: Contents
  readonly attrOf: (inode: Inode) => Attr
}

/** Bytes, and the attributes that they belong to. */
export type WithAttr = { readonly data: readonly Uint8Array[]; readonly attr: Attr }

export class Bytes {
  readonly #tree: Tree
  readonly #listings: Listings
  readonly #reader: Reader
  readonly #drawing: Drawing
  readonly #contents: Contents
  readonly #attrOf: (inode: Inode) => Attr

  constructor({ tree, listings, reader, drawing, contents, attrOf }: BytesOptions) {
    this.#tree = tree
    this.#listings = listings
    this.#reader = reader
    this.#drawing = drawing
    this.#contents = contents
    this.#attrOf = attrOf
  }

  /** The bytes `start` to `end`, as many of them as the file has. EIO when they cannot be had. */
  async read(id: FileId, start: number, end: number, signal?: AbortSignal): Promise<WithAttr> {
    for (let tries = 0; ; tries++) {
      const known = this.#tree.inode(id)
      const draft = known.local?.draft
      if (draft) return this.#drawn(known, draft, start, end, signal)
      if (tries >= MAX_ANEW) throw new FsError('EIO', 'read: the file changes faster than it can be read')
      const inode = await this.#listings.sized(known, signal, 'content')
      const { size } = inode
      const content = this.#contents.of(inode)
      if (!content) throw new FsError('EIO', 'read: its content is not known')
      try {
        const data = await this.#reader.read(content, Math.min(start, size), Math.min(end, size), signal)
        const now = this.#tree.inode(id)
        if (!now.local?.draft && this.#contents.of(now)?.key === content.key)
          return { data, attr: this.#attrOf(now) }
      } catch (err) {
        if (!(codeOf(err) === 'ESTALE' && content.version !== undefined)) throw err
        await waitFor(this.#listings.restat(this.#tree.inode(id)), signal, 'read')
      }
    }
  }

  /** Those of a file that is changed here, as it was in one moment. */
  async #drawn(
    inode: Inode,
    draft: Draft,
    start: number,
    end: number,
    signal: AbortSignal | undefined,
  ): Promise<WithAttr> {
    for (let tries = 0; ; tries++) {
      const { seq } = draft
      const attr = this.#attrOf(inode)
      const [from, to] = [Math.min(start, attr.size), Math.min(end, attr.size)]
      const extents = [...draft.extents.pieces(from, to)].flatMap(({ extent }) => extent ?? [])
      const segments = segmentsOf(extents)
      for (const segment of segments) segment.users++
      try {
        const data = await this.#drawing.read({ ...draft.content, extents }, from, to, signal)
        if (draft.seq === seq || tries >= MAX_ANEW || inode.local?.draft !== draft) return { data, attr }
      } finally {
        for (const segment of segments) segment.users--
      }
    }
  }
}
