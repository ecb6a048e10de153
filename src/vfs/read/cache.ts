// Blocks of file content on this disk, sealed, bounded in bytes. A block is one file, in
// units of 64 KiB that open one by one; a unit that does not open is thrown away and
// fetched again. Nothing here is precious: no fsync, and a lost block is only a slower read.

import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat, statfs, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LRUCache } from 'lru-cache'
import { FsError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { derive, keyedHash } from '../state/seal.ts'
import { blockRange, type Content } from './content.ts'
import { Lru } from './lru.ts'

const UNIT = 64 * 1024
const TAG = 16
const MAGIC = Buffer.from('tnb1')
const HEADER = 16 // magic, 8 random bytes of the nonce, length

/** Bytes of opened blocks and units kept in memory. */
const OPENED = 64 << 20

/** Blocks on their way to the disk; when it is slower than the grid, what comes more is not kept. */
const MAX_WRITING = 64

/** Below this share of the disk, or this many bytes, the cache makes room; below half of it, it takes nothing in. */
const FLOOR_SHARE = 0.05
const FLOOR_BYTES = 1 << 30

/** What is dropped at a time while the disk is short. */
const STEP = 64 << 20

export type CacheOptions = {
  readonly dir: string
  /** A key that the cache derives its own from. */
  readonly key: Uint8Array
  /** Bytes on disk at most; 0 keeps nothing. */
  readonly limit: number
  readonly log: Log
  /** What the disk has; a test may say otherwise. */
  readonly space?: (dir: string) => Promise<{ readonly total: number; readonly free: number }>
}

export class BlockCache {
  readonly limit: number
  readonly #dir: string
  readonly #key: Uint8Array
  readonly #log: Log
  readonly #space: NonNullable<CacheOptions['space']>
  readonly #lru: Lru
  /** Blocks as they came, by name; units as they were read from the disk, by `name/unit`. */
  readonly #opened = new LRUCache<string, Buffer>({
    maxSize: OPENED,
    sizeCalculation: unit => unit.length || 1,
  })
  readonly #contentKeys = new LRUCache<string, KeyObject>({ max: 1024 })
  readonly #writing = new Map<string, { data: Buffer; done: Promise<void> }>()
  readonly #dropping = new Set<Promise<void>>()
  #scanning: Promise<void> | null = null
  #reserved = 0
  #closed = false
  #room = { checked: Number.NEGATIVE_INFINITY, low: false, full: false }

  private constructor({ dir, key, limit, log, space = spaceOf }: CacheOptions) {
    this.#dir = dir
    this.#space = space
    this.#key = key
    this.limit = limit
    this.#log = log
    this.#lru = new Lru(limit)
  }

  /** Opens the cache in `dir`, which must be new or its own; what it holds is found again in the background. */
  static async open(options: CacheOptions): Promise<BlockCache> {
    const { dir, key, log } = options
    await mkdir(dir, { recursive: true, mode: 0o700 })
    const owner = keyedHash(key, 'owner', 16).toString('hex')
    const ownerFile = join(dir, 'owner')
    const found = await readFile(ownerFile, 'utf8').catch(() => null)
    if (found === null) {
      const files = await readdir(dir)
      if (files.length > 0)
        throw new FsError(
          'EEXIST',
          `the cache directory ${dir} holds other files; name another with --cache-dir`,
        )
      await writeFile(ownerFile, owner, { mode: 0o600 })
    } else if (found !== owner) {
      throw new FsError(
        'EACCES',
        `the cache directory ${dir} belongs to another root, or to a state that is gone; remove it, or name another with --cache-dir`,
      )
    }
    const cache = new BlockCache(options)
    cache.#scanning = cache
      .#scan()
      .catch((err: unknown) => log.warn({ err }, 'the cache directory could not be read'))
      .finally(() => {
        cache.#scanning = null
      })
    return cache
  }

  /** Bytes on disk. */
  get bytes(): number {
    return this.#lru.bytes
  }

  has(content: Content, block: number): boolean {
    const name = nameOf(content, block)
    return this.#lru.has(name) || this.#writing.has(name)
  }

  /** Bytes `from`–`to` of a block, in pieces; null when they are not here, or not any more. */
  async read(content: Content, block: number, from: number, to: number): Promise<Buffer[] | null> {
    const name = nameOf(content, block)
    const writing = this.#writing.get(name)
    if (writing) return [writing.data.subarray(from, to)]
    const whole = this.#opened.get(name)
    if (whole) {
      this.#lru.touch(name)
      return [whole.subarray(from, to)]
    }
    const first = Math.floor(from / UNIT)
    const last = Math.floor((to - 1) / UNIT)
    let units = this.#remembered(name, first, last)
    if (!units) {
      if (!this.#lru.has(name) && !this.#scanning) return null
      const until = this.#comesFromBefore(content, block, first) ? unitsOf(content, block) - 1 : last
      units = await this.#load(content, name, first, Math.max(last, until))
      if (!units) return null
      units.length = last - first + 1
    }
    this.#lru.touch(name)
    units[units.length - 1] = units.at(-1)!.subarray(0, to - last * UNIT)
    units[0] = units[0]!.subarray(from - first * UNIT)
    return units
  }

  /** Room for a block that is about to be fetched; false when there is none and it will not be kept. */
  async reserve(bytes: number): Promise<boolean> {
    const size = taken(bytes)
    if (size > this.limit || this.#closed || this.#writing.size >= MAX_WRITING) return false
    await this.#scanning // until then nobody knows what is taken
    await this.#checkSpace()
    if (this.#lru.bytes + this.#reserved + size > this.limit || this.#room.low) this.#evict(size)
    if (this.#lru.bytes + this.#reserved + size > this.limit || this.#room.full) return false
    this.#reserved += size
    return true
  }

  /** Gives back a reservation whose block did not come. */
  unreserve(bytes: number): void {
    this.#reserved -= taken(bytes)
  }

  /** Keeps a block for which room was reserved. It can be read at once. */
  put(content: Content, block: number, data: Buffer): void {
    const name = nameOf(content, block)
    if (this.#closed || this.has(content, block)) {
      this.unreserve(data.length)
      return
    }
    const done = this.#store(content, name, data)
      .catch((err: unknown) => this.#log.warn({ err }, 'a block could not be cached'))
      .finally(() => {
        this.#writing.delete(name)
        this.unreserve(data.length)
      })
    this.#writing.set(name, { data, done })
  }

  /** Has a block at hand for its next readers, who mostly come soon, though it is not kept on disk. */
  remember(content: Content, block: number, data: Buffer): void {
    this.#opened.set(nameOf(content, block), data)
  }

  /** Waits for what is being written; what comes later is not kept. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#scanning
    await Promise.all([...this.#writing.values()].map(({ done }) => done))
    await Promise.all(this.#dropping)
  }

  async #store(content: Content, name: string, data: Buffer): Promise<void> {
    const header = Buffer.concat([MAGIC, randomBytes(8), Buffer.alloc(4)])
    header.writeUInt32BE(data.length, 12)
    const key = this.#contentKey(content)
    const parts: Buffer[] = [header]
    for (let at = 0, unit = 0; at < data.length; at += UNIT, unit++) {
      const plain = data.subarray(at, at + UNIT)
      const cipher = createCipheriv('aes-256-gcm', key, nonceOf(header, unit)).setAAD(Buffer.from(name))
      parts.push(cipher.update(plain), cipher.final(), cipher.getAuthTag())
    }
    this.#opened.set(name, data)
    const temporary = join(this.#dir, `tmp-${process.pid}-${name}`)
    try {
      await writeWhole(temporary, parts)
      await mkdir(join(this.#dir, name.slice(0, 2)), { recursive: true, mode: 0o700 })
      await rename(temporary, this.#path(name))
    } catch (err) {
      await rm(temporary, { force: true })
      throw err
    }
    this.#lru.add(name, taken(data.length))
  }

  /** Whether what lies before a unit was read a moment ago: then the rest of its block is read in one go. */
  #comesFromBefore(content: Content, block: number, unit: number): boolean {
    if (unit > 0) return this.#opened.has(`${nameOf(content, block)}/${unit - 1}`)
    if (block === 0) return false
    const before = nameOf(content, block - 1)
    return this.#opened.has(before) || this.#opened.has(`${before}/${unitsOf(content, block - 1) - 1}`)
  }

  #remembered(name: string, first: number, last: number): Buffer[] | null {
    const units: Buffer[] = []
    for (let unit = first; unit <= last; unit++) {
      const opened = this.#opened.get(`${name}/${unit}`)
      if (!opened) return null
      units.push(opened)
    }
    return units
  }

  async #load(content: Content, name: string, first: number, last: number): Promise<Buffer[] | null> {
    try {
      return await this.#openUnits(content, name, first, last)
    } catch (err) {
      if (!this.#lru.has(name)) return null // evicted meanwhile, or not found yet
      this.#log.warn({ block: name, error: String(err) }, 'a cached block is damaged or gone: fetched again')
      this.#drop(name)
      return null
    }
  }

  async #openUnits(content: Content, name: string, first: number, last: number): Promise<Buffer[]> {
    const sealed = Buffer.allocUnsafe((last - first + 1) * (UNIT + TAG))
    const header = Buffer.allocUnsafe(HEADER)
    const file = await open(this.#path(name), 'r')
    let got: number
    try {
      const [head, body] = await Promise.all([
        file.read(header, 0, HEADER, 0),
        file.read(sealed, 0, sealed.length, HEADER + first * (UNIT + TAG)),
      ])
      if (head.bytesRead < HEADER || !header.subarray(0, 4).equals(MAGIC)) throw new Error('not a block')
      got = body.bytesRead
    } finally {
      await file.close()
    }
    const length = header.readUInt32BE(12)
    const key = this.#contentKey(content)
    const units: Buffer[] = []
    for (let unit = first, at = 0; unit <= last; unit++, at += UNIT + TAG) {
      const size = Math.min(UNIT, length - unit * UNIT)
      if (size <= 0 || at + size + TAG > got) throw new Error('a block that is too short')
      const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(header, unit)).setAAD(Buffer.from(name))
      decipher.setAuthTag(sealed.subarray(at + size, at + size + TAG))
      const plain = decipher.update(sealed.subarray(at, at + size))
      decipher.final()
      this.#opened.set(`${name}/${unit}`, plain)
      units.push(plain)
    }
    return units
  }

  /** Kept as an object: made anew for each unit it would cost as much as the sealing. */
  #contentKey({ key }: Content): KeyObject {
    let found = this.#contentKeys.get(key)
    if (!found) {
      found = createSecretKey(derive(this.#key, Buffer.alloc(0), `content ${key}`))
      this.#contentKeys.set(key, found)
    }
    return found
  }

  #path(name: string): string {
    return join(this.#dir, name.slice(0, 2), name)
  }

  #drop(name: string): void {
    this.#lru.delete(name)
    const dropping: Promise<void> = unlink(this.#path(name))
      .catch((err: NodeJS.ErrnoException) => {
        if (err.code !== 'ENOENT') this.#log.warn({ err }, 'a cached block could not be removed')
      })
      .finally(() => this.#dropping.delete(dropping))
    this.#dropping.add(dropping)
  }

  /** Makes room: from the limit down to nine tenths of it, or by 64 MiB more when the disk is short. */
  #evict(wanted = 0): void {
    const most = this.limit * 0.9 - this.#reserved - wanted
    const target = this.#room.low ? Math.min(this.#lru.bytes - STEP, most) : most
    while (this.#lru.bytes > target) {
      const oldest = this.#lru.oldest()
      if (oldest === undefined) break
      this.#drop(oldest)
    }
    this.#room.low = false // until it is looked at again
  }

  async #checkSpace(): Promise<void> {
    if (performance.now() - this.#room.checked < 1000) return
    this.#room.checked = performance.now()
    try {
      const { total, free } = await this.#space(this.#dir)
      const floor = Math.max(total * FLOOR_SHARE, Math.min(FLOOR_BYTES, total * 0.1))
      this.#room.low = free < floor
      this.#room.full = free < floor / 2
    } catch (err) {
      this.#log.warn({ err }, 'the cache directory does not answer; nothing is kept')
      this.#room.full = true
    }
  }

  async #scan(): Promise<void> {
    const found: { name: string; bytes: number; time: number }[] = []
    for (const entry of await readdir(this.#dir)) {
      if (entry.startsWith('tmp-') && !entry.startsWith(`tmp-${process.pid}-`))
        await rm(join(this.#dir, entry), { force: true })
      if (!/^[0-9a-f]{2}$/.test(entry)) continue
      for (const name of await readdir(join(this.#dir, entry))) {
        if (this.#lru.has(name)) continue
        const info = await stat(join(this.#dir, entry, name)).catch(() => null)
        if (info) found.push({ name, bytes: blocksOn(info.size), time: info.mtimeMs })
      }
    }
    found.sort((a, b) => a.time - b.time)
    for (const { name, bytes, time } of found) if (!this.#lru.has(name)) this.#lru.add(name, bytes, time)
    if (this.#lru.bytes > this.limit) this.#evict()
  }
}

const unitsOf = (content: Content, block: number): number => {
  const { start, end } = blockRange(content, block)
  return Math.ceil((end - start) / UNIT)
}

const nameOf = (content: Content, block: number): string => `${content.key}.${block}`

/** What a file of so many bytes takes on disk, its inode included. */
const blocksOn = (bytes: number): number => Math.ceil(bytes / 4096) * 4096 + 4096

/** What a block of so many bytes takes on disk once it is sealed. */
const taken = (bytes: number): number => blocksOn(HEADER + bytes + Math.ceil(bytes / UNIT) * TAG)

async function spaceOf(dir: string): Promise<{ total: number; free: number }> {
  const { bavail, blocks, bsize } = await statfs(dir)
  return { total: blocks * bsize, free: bavail * bsize }
}

async function writeWhole(path: string, parts: readonly Buffer[]): Promise<void> {
  const file = await open(path, 'w', 0o600)
  try {
    const { bytesWritten } = await file.writev(parts)
    const whole = parts.reduce((sum, part) => sum + part.length, 0)
    if (bytesWritten < whole) throw new Error(`only ${bytesWritten} of ${whole} bytes could be written`)
  } finally {
    await file.close()
  }
}

function nonceOf(header: Buffer, unit: number): Buffer {
  const nonce = Buffer.allocUnsafe(12)
  header.copy(nonce, 0, 4, 12)
  nonce.writeUInt32BE(unit, 8)
  return nonce
}
