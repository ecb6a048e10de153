// Directories: files whose content is a dirnode. All edits of one call, and of all calls that
// wait for the same directory, are one publish, judged by what the directory holds at that moment.

import { LRUCache } from 'lru-cache'
import { FsError } from '../../errors.ts'
import { type Cap, parseCap } from '../cap.ts'
import { judgeAll, mustBeDirectory, mustBeLinkable, type Outcomes, possible } from '../edits.ts'
import { Dirnode, type DirnodeKind, NotDirectory } from '../format/dirnode.ts'
import type { Child, Edit, Listing, Metadata, Outcome, Waiting } from '../grid.ts'
import type { Downloads } from './immutable/download.ts'
import { MAX_WHOLE } from './mutable/asking.ts'
import type { MutableFiles } from './mutable/mutable.ts'

/** Bytes of the longest immutable directory that is read. */
const MAX_IMMUTABLE = MAX_WHOLE

/** Bytes of directories that are remembered as they were seen last, about: what is made of their content takes several times as much. */
const SEEN = 64 << 20
const ENTRY = 1024

type Edited = { readonly outcomes: readonly Outcome[]; readonly listing: Listing }

export class Directories {
  readonly #mutable: MutableFiles
  readonly #downloads: Downloads
  readonly #seen = new LRUCache<string, { readonly content: Buffer; readonly dirnode: Dirnode }>({
    maxSize: SEEN,
    sizeCalculation: ({ content }) => ENTRY + 8 * content.length,
  })

  constructor(mutable: MutableFiles, downloads: Downloads) {
    this.#mutable = mutable
    this.#downloads = downloads
  }

  async list(dir: Cap, { signal }: Waiting = {}): Promise<Listing> {
    const what = `list ${dir}`
    mustBeDirectory(dir, what)
    const chunks: Buffer[] = []
    for await (const chunk of this.#content(dir, what, signal)) chunks.push(chunk)
    const content = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
    return listing(dir, this.#parse(dir, content, what))
  }

  /** A change of ours is seen in the grid when this returns; EAGAIN leaves open whether it was made. */
  async edit(dir: Cap, edits: readonly Edit[], { signal }: Waiting = {}): Promise<Edited> {
    const what = `edit ${dir}`
    mustBeDirectory(dir, what)
    if (dir.authority !== 'write') throw new FsError('EROFS', what)
    const wanted = possible(edits, what)
    let outcomes: Outcomes = new Map()
    const change = (old: Buffer): Buffer | null => {
      outcomes = new Map()
      const dirnode = this.#parse(dir, old, what).copy()
      if (!apply(wanted, dirnode, outcomes)) return null
      const content = dirnode.content()
      this.#remember(dir, content, dirnode)
      return content
    }
    try {
      const content = await this.#mutable.modify(dir, change, { signal })
      const dirnode = this.#parse(dir, content, what) // others may have changed it together with us
      return { outcomes: wanted.map(({ name }) => outcomes.get(name)!), listing: listing(dir, dirnode) }
    } catch (err) {
      if (signal?.aborted) throw new FsError('EAGAIN', `${what}: the caller gave up`)
      throw err
    }
  }

  async mkdir(children: ReadonlyMap<string, Child>): Promise<Cap> {
    for (const child of children.values()) mustBeLinkable(child, 'mkdir')
    const { cap } = await this.#mutable.create('SSK', writeKey => {
      const dirnode = Dirnode.empty({ mutable: true, writeKey })
      for (const [name, child] of children) dirnode.set(name.normalize('NFC'), kept(child))
      return dirnode.content()
    })
    return parseCap(cap.uri().replace('URI:SSK:', 'URI:DIR2:'))
  }

  /** What this content says; of the one that was seen last it is known. Not to be changed. */
  #parse(dir: Cap, content: Buffer, what: string): Dirnode {
    const known = this.#seen.get(dir.uri())
    if (known?.content.equals(content)) return known.dirnode
    const dirnode = parse(content, kindOf(dir), what)
    this.#remember(dir, content, dirnode)
    return dirnode
  }

  #remember(dir: Cap, content: Buffer, dirnode: Dirnode): void {
    this.#seen.set(dir.uri(), { content, dirnode })
  }

  async *#content(dir: Cap, what: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
    if (dir.mutable) return yield* this.#mutable.read(dir, { start: 0, end: MAX_WHOLE }, { signal })
    if (dir.kind === 'DIR2-LIT') return yield dir.data()
    const size = dir.contentSize!
    if (size > MAX_IMMUTABLE) throw new FsError('EFBIG', `${what}: ${size} bytes`)
    yield* this.#downloads.read(dir, { start: 0, end: size }, signal)
  }
}

const kindOf = (dir: Cap): DirnodeKind => ({
  mutable: dir.mutable,
  writeKey: dir.authority === 'write' ? dir.secrets().key : null,
})

function parse(content: Buffer, kind: DirnodeKind, what: string): Dirnode {
  try {
    return Dirnode.parse(content, kind)
  } catch (err) {
    throw err instanceof NotDirectory ? new FsError('EIO', `${what}: ${err.message}`) : err
  }
}

const listing = (dir: Cap, dirnode: Dirnode): Listing => ({
  children: dirnode.children(),
  writable: dir.authority === 'write',
})

/** Makes the edits that may be made, sets first, and notes what became of each. Whether anything changed. */
function apply(edits: readonly Edit[], dirnode: Dirnode, outcomes: Outcomes): boolean {
  const children = { get: (name: string) => dirnode.child(name) }
  const now = Date.now() / 1000
  let changed = false
  // Twice: an unlink after a set is judged when the set is done.
  for (const op of ['set', 'unlink'] as const) {
    for (const edit of judgeAll(edits, children, outcomes)) {
      if (edit.op !== op) continue
      changed = true
      if (edit.op === 'set') dirnode.set(edit.name, linked(edit.child, dirnode.child(edit.name), now))
      else dirnode.unset(edit.name)
      outcomes.set(edit.name, { done: true })
    }
  }
  return changed
}

/** With `no-write` only reading is linked. */
const kept = ({ cap, metadata }: Child): Child => ({
  cap: metadata['no-write'] === true ? cap.readonly() : cap,
  metadata,
})

/** The key `tahoe` of the metadata is the grid's own: when the name was first made, and when it was linked last, in seconds. */
function linked(child: Child, before: Child | undefined, now: number): Child {
  const { cap, metadata } = kept(child)
  const times = before?.metadata['tahoe'] as Metadata | undefined
  const linkcrtime = typeof times?.['linkcrtime'] === 'number' ? times['linkcrtime'] : now
  return { cap, metadata: { ...metadata, tahoe: { linkcrtime, linkmotime: now } } }
}
