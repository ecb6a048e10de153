// The FUSE frontend: given a mounted device, it serves one file system through this kernel.

import { type Log, silent } from '../log.ts'
import type { Vfs } from '../vfs/vfs.ts'
import { openDevice, type ReaderKind } from './device.ts'
import { Session } from './session.ts'

export type FuseOptions = {
  readonly vfs: Vfs
  /** Whose files they are: that user and root may everything, others next to nothing. */
  readonly owner: { readonly uid: number }
  readonly log?: Log | undefined
  /** How requests are read; by default the best way that works here. */
  readonly reader?: ReaderKind | undefined
}

export type FuseStats = {
  /** By operation (`READ`), then by outcome (`OK`, `ENOENT`). */
  readonly calls: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly reader: ReaderKind
  /** Inodes that are open, and those that the kernel holds. */
  readonly open: number
  readonly held: number
}

export type FuseServing = {
  stats(): FuseStats
  /** Resolves when the kernel has let go of the mount (unmounted, and used by nobody), or after `abort`. */
  readonly closed: Promise<void>
  /** Ends it from this side: whoever still uses the mount hears ENOTCONN. */
  abort(): void
}

/** `device`: the descriptor of /dev/fuse by which it was mounted. It is closed at the end. */
export function serveFuse(device: number, { vfs, owner, log = silent, reader }: FuseOptions): FuseServing {
  const session = new Session({ vfs, owner, log, open: listener => openDevice(device, listener, reader) })
  return {
    closed: session.closed,
    abort: () => void session.abort(),
    stats: () => ({
      calls: Object.fromEntries([...session.calls].map(([name, by]) => [name, Object.fromEntries(by)])),
      reader: session.reader,
      open: session.opens.size,
      held: session.notices.size,
    }),
  }
}
