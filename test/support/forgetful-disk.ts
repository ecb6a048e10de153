// A disk in memory that forgets what was not synced, as one does at a loss of power; and a machine
// on it that dies at a step of one's choice.
//
// A file's bytes are durable by its own sync, a name by that of its directory. What was not synced
// may be there all the same: in part, and in any order. Only a rename is never half lost: when the
// old name is gone, the new one is there.

import { basename, dirname } from 'node:path'
import type { ShareDisk, ShareFile } from '../../src/tahoe/storage/disk.ts'

/** After the end: of what was not synced, nothing is there, all of it (a process died, not the machine), or some. */
export type Loss = 'all' | 'none' | { readonly some: number }

type File = { bytes: Buffer; synced: Buffer }
type Dir = { names: Map<string, Node>; synced: Map<string, Node> }
type Node = File | Dir

const isDir = (node: Node | undefined): node is Dir => node !== undefined && 'names' in node

const failed = (code: string, path: string) => Object.assign(new Error(`${code}: ${path}`), { code })

const newDir = (): Dir => ({ names: new Map(), synced: new Map() })

export class ForgetfulDisk implements ShareDisk {
  readonly root: Dir = newDir()
  /** What was done so far, by name. */
  readonly steps: string[] = []
  isDead = false
  /** The step that is only half done, and after which nothing is. */
  last = Number.POSITIVE_INFINITY
  free = 1 << 30
  #locked = new Set<string>()
  /** Renames whose new name is not synced: from where, to where, and what. */
  #moved: { from: Dir; name: string; to: Dir; as: string; node: Node }[] = []

  /** The disk as the next process finds it. */
  revive(loss: Loss): void {
    let seed = typeof loss === 'object' ? loss.some * 7919 + 1 : 0
    const chance = () => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0) / 2 ** 32
    const nodes = new Set<Node>()
    collect(this.root, nodes)
    for (const node of nodes) {
      if (loss === 'all') forget(node)
      else if (loss !== 'none') forgetSome(node, chance)
      if (isDir(node)) node.synced = new Map(node.names)
      else node.synced = node.bytes
    }
    this.#mendRenames()
    this.isDead = false
    this.last = Number.POSITIVE_INFINITY
    this.steps.length = 0
    this.#locked.clear()
  }

  /** What was moved and is now under neither name is under its old one again. */
  #mendRenames(): void {
    for (const { from, name, to, as, node } of this.#moved.reverse()) {
      if (to.names.get(as) === node || from.names.get(name) === node) continue
      from.names.set(name, node)
      from.synced.set(name, node)
    }
    this.#moved = []
  }

  /** Takes a step, or dies at it. */
  #step(what: string, path: string): boolean {
    if (this.isDead) throw failed('EIO', 'this machine is dead')
    this.steps.push(`${what} ${basename(path)}`)
    if (this.steps.length <= this.last) return true
    this.isDead = true
    return false
  }

  #act(what: string, path: string, act: () => void, half?: () => void): void {
    const lives = this.#step(what, path)
    if (lives) act()
    else half?.()
    if (!lives) throw failed('EIO', 'this machine is dead')
  }

  #find(path: string): Node {
    let node: Node | undefined = this.root
    for (const name of path.split('/').filter(Boolean)) node = isDir(node) ? node.names.get(name) : undefined
    if (!node) throw failed('ENOENT', path)
    return node
  }

  #dir(path: string): Dir {
    const node = this.#find(path)
    if (!isDir(node)) throw failed('ENOTDIR', path)
    return node
  }

  async open(path: string, how: 'read' | 'new' | 'change'): Promise<ShareFile> {
    await null
    const name = basename(path)
    if (how === 'new')
      this.#act('open', path, () => {
        const dir = this.#dir(dirname(path))
        if (dir.names.has(name)) throw failed('EEXIST', path)
        dir.names.set(name, { bytes: Buffer.alloc(0), synced: Buffer.alloc(0) })
      })
    else if (this.isDead) throw failed('EIO', path)
    const node = this.#find(path)
    if (isDir(node)) throw failed('EISDIR', path)
    return this.#file(node, path)
  }

  #file(node: File, path: string): ShareFile {
    const put = (bytes: Buffer, position: number) => {
      const grown = Buffer.alloc(Math.max(node.bytes.length, position + bytes.length))
      node.bytes.copy(grown)
      bytes.copy(grown, position)
      node.bytes = grown
    }
    return {
      size: async () => node.bytes.length,
      read: async (into, position) => {
        if (this.isDead) throw failed('EIO', path)
        return node.bytes.copy(into, 0, position)
      },
      write: async (parts, position) => {
        await null
        const bytes = Buffer.concat(parts)
        const half = () => put(bytes.subarray(0, bytes.length >> 1), position)
        this.#act('write', path, () => put(bytes, position), half)
      },
      truncate: async size => {
        this.#act('truncate', path, () => {
          const cut = Buffer.alloc(size)
          node.bytes.copy(cut)
          node.bytes = cut
        })
      },
      sync: async () => {
        await null
        this.#act('sync', path, () => (node.synced = node.bytes))
      },
      close: async () => {},
    }
  }

  async copy(from: string, to: string): Promise<void> {
    const { bytes } = this.#find(from) as File
    const put = (size: number) => {
      this.#dir(dirname(to)).names.set(basename(to), {
        bytes: Buffer.from(bytes.subarray(0, size)),
        synced: Buffer.alloc(0),
      })
    }
    this.#act(
      'copy',
      to,
      () => put(bytes.length),
      () => put(bytes.length >> 1),
    )
  }

  async rename(from: string, to: string): Promise<void> {
    await null
    this.#act('rename', to, () => {
      const node = this.#find(from)
      const [source, target] = [this.#dir(dirname(from)), this.#dir(dirname(to))]
      const replaced = target.names.get(basename(to))
      if (isDir(replaced) && replaced.names.size > 0) throw failed('ENOTEMPTY', to)
      source.names.delete(basename(from))
      target.names.set(basename(to), node)
      this.#moved.push({ from: source, name: basename(from), to: target, as: basename(to), node })
    })
  }

  async unlink(path: string): Promise<void> {
    await null
    this.#act('unlink', path, () => {
      if (isDir(this.#find(path))) throw failed('EISDIR', path)
      this.#dir(dirname(path)).names.delete(basename(path))
    })
  }

  async mkdir(path: string): Promise<void> {
    await null
    this.#act('mkdir', path, () => {
      const above = this.#dir(dirname(path))
      if (above.names.has(basename(path))) throw failed('EEXIST', path)
      above.names.set(basename(path), newDir())
    })
  }

  async rmdir(path: string): Promise<void> {
    await null
    this.#act('rmdir', path, () => {
      if (this.#dir(path).names.size > 0) throw failed('ENOTEMPTY', path)
      this.#dir(dirname(path)).names.delete(basename(path))
    })
  }

  async list(path: string): Promise<readonly string[]> {
    if (this.isDead) throw failed('EIO', path)
    return [...this.#dir(path).names.keys()]
  }

  async stat(path: string): Promise<{ size: number; modified: number }> {
    if (this.isDead) throw failed('EIO', path)
    const node = this.#find(path)
    return { size: isDir(node) ? 0 : node.bytes.length, modified: 0 }
  }

  async syncDir(path: string): Promise<void> {
    await null
    const dir = this.#dir(path)
    this.#act('sync', path, () => {
      dir.synced = new Map(dir.names)
      this.#moved = this.#moved.filter(({ to }) => to !== dir)
    })
  }

  async space(): Promise<{ total: number; free: number }> {
    return { total: 1 << 30, free: this.free }
  }

  lock(path: string): () => void {
    if (this.#locked.has(path)) throw Object.assign(new Error('locked'), { errcode: 5 })
    this.#locked.add(path)
    return () => this.#locked.delete(path)
  }
}

const SECTOR = 512

/** What was not synced never was. */
function forget(node: Node): void {
  if (isDir(node)) node.names = new Map(node.synced)
  else node.bytes = node.synced
}

/** Some of what was not synced never was. */
function forgetSome(node: Node, chance: () => number): void {
  if (!isDir(node)) {
    const { bytes, synced } = node
    if (bytes === synced || chance() < 0.3) return
    const cut = SECTOR * Math.floor(((bytes.length / SECTOR) | 0) * chance() + 1)
    // Sectors are written in any order, each of them whole.
    node.bytes = chance() < 0.5 ? Buffer.concat([bytes.subarray(0, cut), synced.subarray(cut)]) : synced
    return
  }
  for (const name of new Set([...node.names.keys(), ...node.synced.keys()])) {
    if (chance() < 0.5) continue
    const before = node.synced.get(name)
    if (before) node.names.set(name, before)
    else node.names.delete(name)
  }
}

/** All that is under some name now, or was when that was last synced. */
function collect(node: Node, into: Set<Node>): void {
  if (into.has(node)) return
  into.add(node)
  if (isDir(node)) for (const below of [...node.names.values(), ...node.synced.values()]) collect(below, into)
}
