// What staging asks of this machine's disk, so that a test can make one that fails or stops.

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

class NodeFile implements DiskFile {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  async write(parts: readonly Uint8Array[], position: number): Promise<void> {
    const whole = parts.reduce((sum, part) => sum + part.length, 0)
    const { bytesWritten } = await this.#handle.writev(parts, position)
    if (bytesWritten === whole) return
    const rest = Buffer.concat(parts).subarray(bytesWritten)
    for (let done = 0; done < rest.length; ) {
      const more = await this.#handle.write(rest, done, rest.length - done, position + bytesWritten + done)
      if (more.bytesWritten === 0) throw Object.assign(new Error('nothing was written'), { code: 'ENOSPC' })
      done += more.bytesWritten
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

  close(): Promise<void> {
    return this.#handle.close()
  }
}

export const disk: Disk = {
  async open(path, how) {
    return new NodeFile(await open(path, how === 'new' ? 'wx+' : 'r', 0o600))
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
