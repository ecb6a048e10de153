// A plain file system in memory, read-write: the oracle that every other Vfs is
// compared with, and the world of the frontends' tests. Every method does its
// work in one turn of the event loop, so what it says is true at one moment.

import { randomBytes } from 'node:crypto'
import { FsError } from '../../src/errors.ts'
import type * as V from '../../src/vfs/vfs.ts'
import {
  attrOf,
  type Dir,
  Inodes,
  indexAfter,
  isDots,
  isWithin,
  key,
  type Line,
  lineOf,
  mayReplace,
  type Node,
  nameMax,
  patient,
} from './inode.ts'

const onceKept = 1024

export class MemFs implements V.Vfs {
  readonly root: V.FileId
  readonly nameMax = nameMax
  /** May be set at any time: prepare a tree, then refuse changes. */
  readOnly = false
  /** May be replaced, as a restart would. */
  writeverf: Uint8Array = randomBytes(8)

  readonly #owner: { readonly uid: number; readonly gid: number }
  readonly #inodes: Inodes
  readonly #once = new Map<string, unknown>()

  constructor({ uid, gid, now }: { uid: number; gid: number; now?: () => bigint }) {
    this.#owner = { uid, gid }
    this.#inodes = new Inodes(now ?? (() => BigInt(Date.now()) * 1_000_000n))
    this.root = this.#inodes.newDir({}, null).id
  }

  known = (id: V.FileId): V.Attr => this.#attr(this.#inodes.node(id))

  watch = (listener: (news: V.News) => void): (() => void) => this.#inodes.watch.listen(listener)

  freshFor = (id: V.FileId): number => (this.#inodes.has(id) ? Number.POSITIVE_INFINITY : 0)

  async getattr(id: V.FileId, call?: V.Call): Promise<V.Attr> {
    patient(call)
    return this.known(id)
  }

  async setattr(id: V.FileId, change: V.AttrChange, call?: V.ChangingCall & { guard?: bigint | undefined }) {
    return this.#change(call, () => {
      const node = this.#inodes.node(id)
      if (call?.guard !== undefined && call.guard !== node.ctime) throw new FsError('ECANCELED', 'setattr')
      if (Object.values(change).every(value => value === undefined)) return this.#changing(node, () => {})
      this.#refuse('setattr', node.kind, change)
      return this.#changing(node, () => this.#inodes.apply(node, change))
    })
  }

  async lookup(dir: V.FileId, name: string, call?: V.Call): Promise<V.Attr> {
    patient(call)
    const from = this.#inodes.dir(dir)
    if (name === '.') return this.#attr(from)
    if (name === '..') return this.#attr(this.#inodes.node((from.parent ?? from).id))
    return this.#attr(lineOf(from, name).node)
  }

  async list(dir: V.FileId, cookie: bigint, call?: V.Call): Promise<Iterable<V.Entry>> {
    patient(call)
    const from = this.#inodes.dir(dir)
    from.listing ??= [...from.lines.values()]
    return this.#draw(from.listing, cookie)
  }

  async read(id: V.FileId, offset: number, count: number, call?: V.Call): Promise<V.Read> {
    patient(call)
    const file = this.#inodes.file(id)
    const data = file.content.read(offset, count)
    return { data, eof: offset + count >= file.content.size, attr: this.#attr(file) }
  }

  async write(id: V.FileId, offset: number, data: Uint8Array, stable: boolean, call?: V.ChangingCall) {
    return this.#change(call, (): V.Written => {
      const file = this.#inodes.file(id)
      this.#refuse('write', 'file')
      if (!Number.isSafeInteger(offset + data.length)) throw new FsError('EFBIG', 'write')
      const change = this.#changing(file, () => {
        file.content.write(offset, data)
        if (data.length > 0) this.#inodes.touch(file)
      })
      return { ...change, count: data.length, stable }
    })
  }

  async commit(id: V.FileId, call?: V.Call): Promise<V.Attr> {
    return this.getattr(id, call)
  }

  async create(dir: V.FileId, name: string, how: V.CreateHow, call?: V.ChangingCall): Promise<V.Made> {
    const attrs = how.mode === 'exclusive' ? {} : how.attrs
    return this.#change(call, () => {
      const into = this.#inodes.dir(dir)
      const there = isDots(name) ? undefined : into.lines.get(key(name))?.node
      if (!there) {
        const createverf = how.mode === 'exclusive' ? how.createverf : null
        return this.#make(into, name, 'file', attrs, () => this.#inodes.newFile(attrs, createverf))
      }
      this.#refuse('create', 'file')
      const again = how.mode === 'exclusive' && there.createverf?.equals(how.createverf)
      if (!again) {
        if (how.mode !== 'unchecked' || there.kind === 'symlink') throw new FsError('EEXIST', 'create')
        this.#refuse('create', there.kind, { size: attrs.size ?? 0 })
        if (attrs.size !== undefined) this.#inodes.apply(there, { size: attrs.size })
      }
      return { attr: this.#attr(there), dir: this.#changing(into, () => {}) }
    })
  }

  async mkdir(dir: V.FileId, name: string, attrs: V.AttrChange, call?: V.ChangingCall): Promise<V.Made> {
    return this.#change(call, () => {
      const into = this.#inodes.dir(dir)
      return this.#make(into, name, 'directory', attrs, () => {
        into.nlink += 1
        return this.#inodes.newDir(attrs, into)
      })
    })
  }

  async symlink(dir: V.FileId, name: string, target: Uint8Array, attrs: V.AttrChange, call?: V.ChangingCall) {
    return this.#change(call, () => {
      if (target.length > 4096) throw new FsError('ENAMETOOLONG', 'symlink')
      const build = () => this.#inodes.newLink(attrs, target)
      return this.#make(this.#inodes.dir(dir), name, 'symlink', attrs, build)
    })
  }

  async readlink(id: V.FileId, call?: V.Call): Promise<{ target: Uint8Array; attr: V.Attr }> {
    patient(call)
    const link = this.#inodes.node(id)
    if (link.kind !== 'symlink') throw new FsError('EINVAL', 'readlink')
    return { target: link.target, attr: this.#attr(link) }
  }

  async link(id: V.FileId, dir: V.FileId, name: string, call?: V.ChangingCall): Promise<V.Made> {
    return this.#change(call, () => {
      const node = this.#inodes.node(id)
      if (node.kind === 'directory') throw new FsError('EISDIR', 'link')
      if (node.nlink === 0) throw new FsError('ENOENT', 'link') // only retained: it has no name to share
      return this.#make(this.#inodes.dir(dir), name, node.kind, {}, () => {
        node.nlink += 1
        this.#inodes.stamp(node)
        return node
      })
    })
  }

  async remove(dir: V.FileId, name: string, call?: V.ChangingCall): Promise<V.Removed> {
    return this.#change(call, () => {
      const from = this.#inodes.dir(dir)
      this.#refuse('remove', 'directory')
      if (isDots(name)) throw new FsError('EINVAL', `remove ${name}`)
      const { node } = lineOf(from, name)
      if (node.kind === 'directory') throw new FsError('EISDIR', 'remove')
      return this.#unlink(from, name, node)
    })
  }

  async rmdir(dir: V.FileId, name: string, call?: V.ChangingCall): Promise<V.Removed> {
    return this.#change(call, () => {
      const from = this.#inodes.dir(dir)
      this.#refuse('rmdir', 'directory')
      if (isDots(name)) throw new FsError(name === '.' ? 'EINVAL' : 'EEXIST', `rmdir ${name}`)
      const { node } = lineOf(from, name)
      if (node.kind !== 'directory') throw new FsError('ENOTDIR', 'rmdir')
      if (node.lines.size > 0) throw new FsError('ENOTEMPTY', 'rmdir')
      return this.#unlink(from, name, node)
    })
  }

  async rename(
    fromDir: V.FileId,
    fromName: string,
    toDir: V.FileId,
    toName: string,
    call?: V.ChangingCall & { replace?: boolean | undefined },
  ) {
    return this.#change(call, (): V.Renamed => {
      const [from, to] = [this.#inodes.dir(fromDir), this.#inodes.dir(toDir)]
      this.#refuse('rename', 'directory')
      if (isDots(fromName) || isDots(toName)) throw new FsError('EINVAL', 'rename')
      const { node } = lineOf(from, fromName)
      const old = to.lines.get(key(toName))
      if (old && call?.replace === false) throw new FsError('EEXIST', 'rename')
      if (to.nlink === 0) throw new FsError('ENOENT', 'rename into a removed directory')
      if (node.kind === 'directory' && isWithin(to, node)) throw new FsError('EINVAL', 'rename below itself')
      const replaced = old && old.node !== node ? old.node : null
      if (replaced) mayReplace(node, replaced)
      const objects = [from, to, node, replaced ?? node]
      const before = objects.map(each => this.#attr(each))
      if (old?.node !== node) {
        if (replaced) this.#drop(to, replaced)
        this.#inodes.lead(from, fromName, null)
        this.#inodes.lead(to, toName, node)
        if (node.kind === 'directory') {
          from.nlink -= 1
          to.nlink += 1
          node.parent = to
        }
        this.#inodes.stamp(node)
        for (const dir of new Set([from, to])) this.#inodes.touch(dir)
      }
      const changes = objects.map((each, i) => ({ before: before[i]!, after: this.#attr(each) }))
      return { from: changes[0]!, to: changes[1]!, object: changes[2]!, replaced: replaced && changes[3]! }
    })
  }

  retain(id: V.FileId): void {
    this.#inodes.node(id).retained += 1
  }

  release(id: V.FileId): void {
    const node = this.#inodes.node(id)
    if (node.retained === 0) throw new Error('released more often than retained')
    node.retained -= 1
    this.#inodes.forget(node)
  }

  async statfs(call?: V.Call): Promise<V.FsStat> {
    patient(call)
    return this.#inodes.usage()
  }

  async close(): Promise<void> {
    this.#inodes.clear()
  }

  /** `work`, or the result that its `once` had before. It throws before its first effect or not at all. */
  async #change<T>(call: V.ChangingCall | undefined, work: () => T): Promise<T> {
    patient(call)
    const once = call?.once
    if (once !== undefined && this.#once.has(once)) return this.#once.get(once) as T
    const result = work()
    this.#inodes.watch.tell(call?.by)
    if (once === undefined) return result
    this.#once.set(once, result)
    if (this.#once.size > onceKept) this.#once.delete(this.#once.keys().next().value!)
    return result
  }

  #changing(node: Node, work: () => void): V.Change {
    const before = this.#attr(node)
    work()
    return { before, after: this.#attr(node) }
  }

  /** A new name in `into` for what `build` gives. */
  #make(into: Dir, name: string, kind: V.Kind, attrs: V.AttrChange, build: () => Node): V.Made {
    const { size, ...sizeless } = attrs
    this.#refuse('create', kind, kind === 'file' ? attrs : sizeless)
    if (isDots(name) || into.lines.has(key(name))) throw new FsError('EEXIST', JSON.stringify(name))
    if (into.nlink === 0) throw new FsError('ENOENT', 'a name in a removed directory')
    const before = this.#attr(into)
    const node = build()
    this.#inodes.lead(into, name, node)
    this.#inodes.touch(into)
    return { attr: this.#attr(node), dir: { before, after: this.#attr(into) } }
  }

  #unlink(from: Dir, name: string, node: Node): V.Removed {
    const before = this.#attr(node)
    const dir = this.#changing(from, () => {
      this.#inodes.lead(from, name, null)
      this.#drop(from, node)
      this.#inodes.touch(from)
    })
    return { dir, object: { before, after: this.#attr(node) } }
  }

  /** `node` has one name less. */
  #drop(dir: Dir, node: Node): void {
    if (node.kind === 'directory') dir.nlink -= 1
    node.nlink = node.kind === 'directory' ? 0 : node.nlink - 1
    this.#inodes.stamp(node)
    this.#inodes.forget(node)
  }

  *#draw(lines: readonly Line[], cookie: bigint): Generator<V.Entry> {
    for (let i = indexAfter(lines, cookie); i < lines.length; i++) {
      const { cookie, name, node } = lines[i]!
      yield { cookie, name, id: node.id, attr: this.#attr(node) }
    }
  }

  #attr(node: Node): V.Attr {
    return attrOf(node, this.#owner, !this.readOnly)
  }

  /** Throws for what may not change, or not to that. */
  #refuse(what: string, kind: V.Kind, change: V.AttrChange = {}): void {
    if (this.readOnly) throw new FsError('EROFS', what)
    const { uid = this.#owner.uid, gid = this.#owner.gid, size } = change
    if (uid !== this.#owner.uid || gid !== this.#owner.gid) throw new FsError('EPERM', what)
    if (size === undefined) return
    if (kind !== 'file') throw new FsError(kind === 'directory' ? 'EISDIR' : 'EINVAL', what)
    if (!Number.isSafeInteger(size) || size < 0) throw new FsError('EINVAL', what)
  }
}
