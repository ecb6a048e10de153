// What a change makes visible. How each thing that it touches was shown before is noted when it is
// touched, and compared with how it is shown once all is done: what is as it was is no news,
// whatever happened to it in between.

import { nameKey } from '../names.ts'
import type { FileId, News } from '../vfs.ts'
import type { Folder, Shown } from './folder.ts'
import { type Inode, nlinkOf } from './inode.ts'
import type { Edge, Snapshot } from './snapshot.ts'

/** Those who are told. */
export class Watch {
  readonly #listeners = new Set<{ readonly listener: (news: News) => void }>()

  add(listener: (news: News) => void): () => void {
    const each = { listener }
    this.#listeners.add(each)
    return () => void this.#listeners.delete(each)
  }

  /** Where a change that begins notes what it touches; null while nobody is told. */
  begin(): Before | null {
    return this.#listeners.size > 0 ? new Before() : null
  }

  /** The change is made, and not written down yet. Directories that are gone show nothing, whatever is done in them. */
  tell(before: Before, by: object | undefined, isGone: (dir: FileId) => boolean): void {
    const all = [...before.news(by, isGone)]
    for (const { listener } of this.#listeners) for (const news of all) listener(news)
  }
}

type Attributes = Pick<Inode, 'mode' | 'size' | 'atime' | 'mtime' | 'ctime' | 'writable'> & {
  readonly nlink: number
  otherBytes: boolean
}

type Names = {
  /** Null where nobody can have been shown any. */
  readonly snapshot: Snapshot | null
  /** Of intents that were touched, by their key. */
  readonly shown: Map<string, Shown | undefined>
}

/** How things were shown before one change. */
export class Before {
  readonly #inodes = new Map<Inode, Attributes>()
  readonly #folders = new Map<Folder, Names>()

  /** An inode is about to be shown otherwise; `otherBytes`: with others. */
  inode(inode: Inode, otherBytes: boolean): void {
    let was = this.#inodes.get(inode)
    if (!was) {
      const { mode, size, atime, mtime, ctime, writable } = inode
      was = { mode, size, atime, mtime, ctime, writable, nlink: nlinkOf(inode), otherBytes }
      this.#inodes.set(inode, was)
    }
    was.otherBytes ||= otherBytes
  }

  /** Another listing is about to lie under a folder's intents. */
  names(folder: Folder): Names {
    let was = this.#folders.get(folder)
    if (!was) {
      was = { snapshot: folder.known ? folder.snapshot : null, shown: new Map() }
      this.#folders.set(folder, was)
    }
    return was
  }

  /** A name's intent is about to begin, to change or to end. */
  name(folder: Folder, key: string): void {
    const { snapshot, shown } = this.names(folder)
    if (!shown.has(key)) shown.set(key, folder.intents.has(key) ? folder.find(key) : snapshot?.find(key))
  }

  *news(by: object | undefined, isGone: (dir: FileId) => boolean): Generator<News> {
    const listed = new Set<FileId>()
    for (const [folder, was] of this.#folders) {
      if (isGone(folder.id)) continue
      for (const name of otherNames(folder, was)) {
        listed.add(folder.id)
        yield { what: 'name', dir: folder.id, name, by }
      }
    }
    for (const [inode, was] of this.#inodes) {
      const { id } = inode
      if (was.otherBytes || was.size !== inode.size) yield { what: 'content', id, by }
      else if (!listed.has(id) && !isAs(inode, was)) yield { what: 'attributes', id, by }
    }
  }
}

const isAs = (inode: Inode, was: Attributes): boolean =>
  inode.mode === was.mode &&
  inode.atime === was.atime &&
  inode.mtime === was.mtime &&
  inode.ctime === was.ctime &&
  inode.writable === was.writable &&
  nlinkOf(inode) === was.nlink

function* otherNames(folder: Folder, { snapshot, shown }: Names): Generator<string> {
  if (!snapshot) return
  for (const [key, was] of shown) yield* spellings(was, folder.find(key))
  if (snapshot === folder.snapshot) return
  const seen = new Set<string>()
  for (const { name } of differing(snapshot.edges, folder.snapshot.edges)) {
    const key = nameKey(name)
    if (seen.has(key) || shown.has(key) || folder.intents.has(key)) continue // hidden before and after
    seen.add(key)
    yield* spellings(snapshot.find(key), folder.snapshot.find(key))
  }
}

function* spellings(was: Shown | undefined, is: Shown | undefined): Generator<string> {
  if (was?.id === is?.id && was?.name === is?.name) return
  if (was) yield was.name
  if (is && is.name !== was?.name) yield is.name
}

/** The edges of either side that the other does not have so. Both are in the order of their cookies. */
function* differing(before: readonly Edge[], after: readonly Edge[]): Generator<Edge> {
  let [at, to] = [0, 0]
  while (at < before.length || to < after.length) {
    const [was, is] = [before[at], after[to]]
    if (was && is && was.cookie === is.cookie) {
      if (was.id !== is.id || was.name !== is.name) yield* [was, is]
      at++
      to++
    } else if (was && (!is || was.cookie < is.cookie)) {
      yield was
      at++
    } else {
      yield is!
      to++
    }
  }
}
