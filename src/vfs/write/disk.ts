// What staging asks of this machine's disk, so that a test can make one that fails or stops.

import { constants } from 'node:fs'
import { type FileHandle, open, readdir, stat, statfs, unlink } from 'node:fs/promises'

export type DiskFile = {
  /** Writes all of it at `position`, or throws. */
  write(parts: readonly Uint8Array[], position: number): Promise<void>
  read(into: Uint8Array, position: number): Promise<number>
  /** Returns when what was written is durable. */
  sync(): Promise<void>
  close(): Promise<void>
}

export type Disk = {
  /** `new`: it must not be there yet. */
  open(path: string, how: 'new' | 'read'): Promise<DiskFile>
  /** Returns when the names in `dir` are durable. */
  syncDir(dir: string): Promise<void>
  unlink(path: string): Promise<void>
  list(dir: string): Promise<readonly string[]>
  size(path: string): Promise<number>
  space(dir: string): Promise<{ readonly total: number; readonly free: number }>
}

/** What is written past the page cache begins and ends on a multiple of this. */
export const BLOCK = 4096

/**
 * Writes of so many bytes, which begin on a block, go past the page cache. Where the NFS client runs
 * on the same machine its own dirty pages may fill what the kernel allows, and whoever dirties
 * another then waits for them to be written, that is, for itself.
 */
export const DIRECT_MIN = 256 * 1024

class NodeFile implements DiskFile {
  readonly #path: string
  readonly #handle: FileHandle
  /** The same file, past the page cache; null where that is refused. */
  #direct: Promise<FileHandle | null> | null = null

  constructor(path: string, handle: FileHandle) {
    this.#path = path
    this.#handle = handle
  }

  async write(parts: readonly Uint8Array[], position: number): Promise<void> {
    const whole = parts.reduce((sum, part) => sum + part.length, 0)
    if (whole >= DIRECT_MIN && position % BLOCK === 0 && (await this.#writeDirect(parts, whole, position)))
      return
    const { bytesWritten } = await this.#handle.writev(parts, position)
    if (bytesWritten < whole)
      await writeAll(this.#handle, Buffer.concat(parts).subarray(bytesWritten), position + bytesWritten)
  }

  /** With zeros up to the end of its last block; false where it is refused. */
  async #writeDirect(parts: readonly Uint8Array[], whole: number, position: number): Promise<boolean> {
    this.#direct ??= openDirect(this.#path)
    const handle = await this.#direct
    if (!handle) return false
    const length = Math.ceil(whole / BLOCK) * BLOCK
    const memory = borrow(length)
    const bytes = Buffer.from(memory, 0, length)
    let at = 0
    for (const part of parts) {
      bytes.set(part, at)
      at += part.length
    }
    bytes.fill(0, at)
    try {
      await writeAll(handle, bytes, position)
      return true
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'EINVAL') throw err
      this.#direct = Promise.resolve(null) // it wants larger blocks, or other memory
      await handle.close()
      return false
    } finally {
      spare.push(memory)
    }
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    let got = 0
    while (got < into.length) {
      const { bytesRead } = await this.#handle.read(into, got, into.length - got, position + got)
      if (bytesRead === 0) break
      got += bytesRead
    }
    return got
  }

  /** On macOS only the full fsync reaches the disk itself. */
  sync(): Promise<void> {
    return process.platform === 'darwin' ? this.#handle.sync() : this.#handle.datasync()
  }

  async close(): Promise<void> {
    await (await this.#direct)?.close()
    await this.#handle.close()
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done)
    if (bytesWritten === 0) throw Object.assign(new Error('nothing was written'), { code: 'ENOSPC' })
    done += bytesWritten
  }
}

/** macOS has no such way, and some file systems refuse it. */
const openDirect = (path: string): Promise<FileHandle | null> =>
  constants.O_DIRECT === undefined
    ? Promise.resolve(null)
    : open(path, constants.O_WRONLY | constants.O_DIRECT).catch(() => null)

/** Memory that is in nobody's use: one for each file that is written to at the same time. */
const spare: ArrayBuffer[] = []

/** Memory that begins on a page, as that of an ordinary buffer does not: one that could grow has pages of its own. */
function borrow(bytes: number): ArrayBuffer {
  const memory = spare.pop()
  return memory && memory.byteLength >= bytes ? memory : new ArrayBuffer(bytes, { maxByteLength: bytes })
}

export const disk: Disk = {
  async open(path, how) {
    return new NodeFile(path, await open(path, how === 'new' ? 'wx+' : 'r', 0o600))
  },
  async syncDir(dir) {
    const handle = await open(dir, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
  unlink,
  list: dir => readdir(dir),
  size: async path => (await stat(path)).size,
  async space(dir) {
    const { bavail, blocks, bsize } = await statfs(dir)
    return { total: blocks * bsize, free: bavail * bsize }
  },
}
