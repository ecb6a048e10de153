// What a folder of shares asks of this machine's disk, so that a test can make one that fails,
// or that forgets at a loss of power what was not synced. Errors are those of Node.

import { closeSync, constants, openSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { type Code, FsError } from '../../errors.ts'

export type ShareFile = {
  /** Bytes that it has. */
  size(): Promise<number>
  /** How many bytes from `position` are now in `into`: all that fit, or those up to the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>
  /** Writes all of it at `position`, or throws. */
  write(parts: readonly Uint8Array[], position: number): Promise<void>
  /** Cuts it, or fills it up with zeros. */
  truncate(size: number): Promise<void>
  /** Returns when its bytes are durable. Its name is its directory's. */
  sync(): Promise<void>
  close(): Promise<void>
}

export type ShareDisk = {
  /** `new`: to be written, and not there yet. `change`: to be read and written. */
  open(path: string, how: 'read' | 'new' | 'change'): Promise<ShareFile>
  /** A new file of the same bytes, which share their place on the disk where it can do that. Not durable. */
  copy(from: string, to: string): Promise<void>
  /** In one step, over a file that may be there. */
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  mkdir(path: string): Promise<void>
  /** Only an empty one. */
  rmdir(path: string): Promise<void>
  list(path: string): Promise<readonly string[]>
  /** Bytes, and when it was last written in milliseconds since 1970. */
  stat(path: string): Promise<{ readonly size: number; readonly modified: number }>
  /** Returns when the names in a directory are durable. */
  syncDir(path: string): Promise<void>
  space(path: string): Promise<{ readonly total: number; readonly free: number }>
  /** Holds the lock file `path`, alone, until the function that it gives is called or this process ends. Throws when another holds it. */
  lock(path: string): () => void
}

class NodeFile implements ShareFile {
  readonly #handle: fs.FileHandle

  constructor(handle: fs.FileHandle) {
    this.#handle = handle
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size
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

  async write(parts: readonly Uint8Array[], position: number): Promise<void> {
    let left = parts.filter(part => part.length > 0)
    let at = position
    while (left.length > 0) {
      const { bytesWritten } = await this.#handle.writev(left, at)
      if (bytesWritten === 0) throw Object.assign(new Error('nothing was written'), { code: 'ENOSPC' })
      at += bytesWritten
      left = after(left, bytesWritten)
    }
  }

  truncate(size: number): Promise<void> {
    return this.#handle.truncate(size)
  }

  /** On macOS only the full fsync reaches the disk itself. */
  sync(): Promise<void> {
    return process.platform === 'darwin' ? this.#handle.sync() : this.#handle.datasync()
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

/** What remains of `parts` without their first `bytes`. */
function after(parts: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes
  const left: Uint8Array[] = []
  for (const part of parts) {
    if (skip < part.length) left.push(skip > 0 ? part.subarray(skip) : part)
    skip = Math.max(0, skip - part.length)
  }
  return left
}

const flags = { read: 'r', new: 'wx+', change: 'r+' }

export const disk: ShareDisk = {
  open: async (path, how) => new NodeFile(await fs.open(path, flags[how], 0o600)),
  copy: (from, to) => fs.copyFile(from, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL),
  rename: fs.rename,
  unlink: fs.unlink,
  mkdir: path => fs.mkdir(path, { mode: 0o700 }),
  rmdir: fs.rmdir,
  list: path => fs.readdir(path),
  async stat(path) {
    const { size, mtimeMs } = await fs.stat(path)
    return { size, modified: mtimeMs }
  },
  async syncDir(path) {
    const handle = await fs.open(path, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
  async space(path) {
    const { bavail, blocks, bsize } = await fs.statfs(path)
    return { total: blocks * bsize, free: bavail * bsize }
  },
  lock(path) {
    makeLockFile(path)
    const lock = new DatabaseSync(path)
    try {
      lock.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    } catch (err) {
      lock.close()
      throw err
    }
    return () => lock.close()
  },
}

/** Opens it only where it makes it: to close a file that is there would give up the locks that this process has on it. */
function makeLockFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (err) {
    if (errno(err) !== 'EEXIST') throw err
  }
}

/** The code of an error of Node's, if it has one. */
export const errno = (err: unknown): string | undefined => (err as NodeJS.ErrnoException | null)?.code

const codeFor: Partial<Record<string, Code>> = {
  ENOSPC: 'ENOSPC',
  EDQUOT: 'ENOSPC',
  EFBIG: 'ENOSPC', // the file system's longest file, or the process's
  ENOENT: 'ENOENT',
  EMFILE: 'EAGAIN',
  ENFILE: 'EAGAIN',
}

/** What a disk refused, as an FsError. What we may not reach is EIO: EACCES is for a wrong secret. */
export function refused(what: string, err: unknown): FsError {
  if (err instanceof FsError) return err
  const code = errno(err)
  return new FsError(codeFor[code ?? ''] ?? 'EIO', `${what}: ${code ?? 'it failed'}`, { cause: err })
}

export async function isThere(disk: ShareDisk, path: string): Promise<boolean> {
  try {
    await disk.stat(path)
    return true
  } catch (err) {
    if (errno(err) === 'ENOENT') return false
    throw err
  }
}
