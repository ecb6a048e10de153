// The inodes of the in-memory file system: what it keeps of each, their times, and
// the rules that need to know no more than that.

import { randomBytes } from 'node:crypto'
import { FsError } from '../../src/errors.ts'
import type { Attr, AttrChange, Call, FileId, FsStat, Kind } from '../../src/vfs/vfs.ts'
import { Content } from './content.ts'
import { Watch } from './watch.ts'

export type Inode = {
  readonly id: FileId
  readonly generation: bigint
  readonly kind: Kind
  mode: number
  /** Names; for a directory two, and one for each directory inside. 0 when it is removed. */
  nlink: number
  retained: number
  atime: bigint
  mtime: bigint
  ctime: bigint
  createverf: Buffer | null
}
export type File = Inode & { readonly kind: 'file'; readonly content: Content }
export type Link = Inode & { readonly kind: 'symlink'; readonly target: Uint8Array }
export type Dir = Inode & {
  readonly kind: 'directory'
  parent: Dir | null
  /** By NFC name, in the order of their cookies: a new line at the end, one that is replaced in its place. */
  readonly lines: Map<string, Line>
  lastCookie: bigint
  /** The lines as last listed; null since they changed. */
  listing: readonly Line[] | null
}
export type Line = { readonly cookie: bigint; readonly name: string; readonly node: Node }
export type Node = File | Link | Dir

const totalBytes = 2 ** 40
const totalFiles = 2 ** 20

export class Inodes {
  readonly watch = new Watch()
  readonly #clock: () => bigint
  readonly #nodes = new Map<FileId, Node>()
  #lastId = 0n

  constructor(clock: () => bigint) {
    this.#clock = clock
  }

  node(id: FileId): Node {
    const node = this.#nodes.get(id)
    if (!node) throw new FsError('ESTALE', `inode ${id}`)
    return node
  }

  has(id: FileId): boolean {
    return this.#nodes.has(id)
  }

  dir(id: FileId): Dir {
    const node = this.node(id)
    if (node.kind !== 'directory') throw new FsError('ENOTDIR', `inode ${id}`)
    return node
  }

  file(id: FileId): File {
    const node = this.node(id)
    if (node.kind !== 'file')
      throw new FsError(node.kind === 'directory' ? 'EISDIR' : 'EINVAL', `inode ${id}`)
    return node
  }

  newFile(attrs: AttrChange, createverf: Uint8Array | null): File {
    const file: File = { ...this.#new('file', attrs), content: new Content() }
    file.content.resize(attrs.size ?? 0)
    file.createverf = createverf && Buffer.from(createverf)
    return this.#keep(file)
  }

  newLink(attrs: AttrChange, target: Uint8Array): Link {
    return this.#keep({ ...this.#new('symlink', attrs), target: Uint8Array.from(target) })
  }

  newDir(attrs: AttrChange, parent: Dir | null): Dir {
    const lines = new Map<string, Line>()
    return this.#keep({ ...this.#new('directory', attrs), parent, lines, lastCookie: 0n, listing: null })
  }

  #new<K extends Kind>(kind: K, attrs: AttrChange): Inode & { readonly kind: K } {
    const now = this.#clock()
    const wished = (time: bigint | 'now' | undefined) => (typeof time === 'bigint' ? time : now)
    return {
      id: ++this.#lastId,
      generation: randomBytes(8).readBigUInt64BE(),
      kind,
      mode: (attrs.mode ?? { file: 0o644, directory: 0o755, symlink: 0o777 }[kind]) & 0o7777,
      nlink: kind === 'directory' ? 2 : 1,
      retained: 0,
      atime: wished(attrs.atime),
      mtime: wished(attrs.mtime),
      ctime: now,
      createverf: null,
    }
  }

  #keep<N extends Node>(node: N): N {
    this.#nodes.set(node.id, node)
    return node
  }

  /** Without a name and not retained, it is gone. */
  forget(node: Node): void {
    if (node.nlink === 0 && node.retained === 0) this.#nodes.delete(node.id)
  }

  clear(): void {
    this.#nodes.clear()
  }

  usage(): FsStat {
    let [freeBytes, freeFiles] = [totalBytes, totalFiles - this.#nodes.size]
    for (const node of this.#nodes.values()) freeBytes -= node.kind === 'file' ? node.content.used : 0
    return { totalBytes, freeBytes, totalFiles, freeFiles }
  }

  /** Its attributes changed: strictly later than the last time, whatever the clock says. */
  stamp(node: Node): void {
    const now = this.#clock()
    node.ctime = now > node.ctime ? now : node.ctime + 1n
    this.watch.changed(node.id, 'attributes')
  }

  /** Its content changed, or its names. */
  touch(node: Node): void {
    this.stamp(node)
    node.mtime = node.ctime > node.mtime ? node.ctime : node.mtime + 1n
    if (node.kind === 'directory') node.listing = null
    else this.watch.changed(node.id, 'content')
  }

  /** From now on `name` leads to `node`, or to nothing. Whoever calls this touches the directory. */
  lead(dir: Dir, name: string, node: Node | null): void {
    const old = dir.lines.get(key(name))
    if (node) dir.lines.set(key(name), { cookie: old?.cookie ?? ++dir.lastCookie, name, node })
    else dir.lines.delete(key(name))
    if (old) this.watch.named(dir.id, old.name)
    if (node) this.watch.named(dir.id, name)
  }

  apply(node: Node, change: AttrChange): void {
    if (change.size !== undefined && node.kind === 'file') {
      node.content.resize(change.size)
      this.touch(node)
    } else {
      this.stamp(node)
    }
    if (change.mode !== undefined) node.mode = change.mode & 0o7777
    if (change.atime !== undefined) node.atime = change.atime === 'now' ? node.ctime : change.atime
    if (change.mtime !== undefined) node.mtime = change.mtime === 'now' ? node.ctime : change.mtime
  }
}

export function attrOf(node: Node, owner: { uid: number; gid: number }, writable: boolean): Attr {
  const { id, generation, kind, mode, nlink, atime, mtime, ctime } = node
  const [size, used] = bytesOf(node)
  return { id, generation, kind, mode, nlink, ...owner, size, used, atime, mtime, ctime, writable }
}

function bytesOf(node: Node): readonly [size: number, used: number] {
  if (node.kind === 'file') return [node.content.size, node.content.used]
  if (node.kind === 'symlink') return [node.target.length, 0]
  return [4096, 4096]
}

/** What a name is compared by. Frontends refuse the first kind of name at their edge; here it would be a bug of theirs. */
export function key(name: string): string {
  if (name === '' || /[/\0]/.test(name)) throw new FsError('EINVAL', `the name ${JSON.stringify(name)}`)
  if (Buffer.byteLength(name) > nameMax)
    throw new FsError('ENAMETOOLONG', `a name of more than ${nameMax} bytes`)
  return name.normalize('NFC')
}

export const nameMax = 255

export const isDots = (name: string) => name === '.' || name === '..'

export function lineOf(dir: Dir, name: string): Line {
  const line = dir.lines.get(key(name))
  if (!line) throw new FsError('ENOENT', JSON.stringify(name))
  return line
}

/** The line after `cookie`, by halving: resuming costs the same anywhere. */
export function indexAfter(lines: readonly Line[], cookie: bigint): number {
  let [low, high] = [0, lines.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (lines[middle]!.cookie <= cookie) low = middle + 1
    else high = middle
  }
  return low
}

export function isWithin(dir: Dir, ancestor: Dir): boolean {
  for (let at: Dir | null = dir; at; at = at.parent) if (at === ancestor) return true
  return false
}

/** Whether a rename may put `node` where `old` is. */
export function mayReplace(node: Node, old: Node): void {
  if (old.kind !== 'directory') {
    if (node.kind === 'directory') throw new FsError('ENOTDIR', 'rename of a directory over something else')
    return
  }
  if (node.kind !== 'directory') throw new FsError('EISDIR', 'rename over a directory')
  if (old.lines.size > 0) throw new FsError('ENOTEMPTY', 'rename over a directory with names')
}

export function patient(call: Call | undefined): void {
  if (call?.signal?.aborted) throw new FsError('EAGAIN', 'the caller waits no longer')
}
