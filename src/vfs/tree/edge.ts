// What an edge of the grid says of the file it leads to: times, mode, and whether it is
// a symlink. Our own key `tahoe-nfs` is believed only while it speaks of this very cap;
// of the rest, only what other Tahoe tools are known to write.

import { createHash } from 'node:crypto'
import type { Cap } from '../../tahoe/cap.ts'
import type { Child, Metadata } from '../../tahoe/grid.ts'
import type { Kind } from '../vfs.ts'
import type { Inode } from './inode.ts'

export type EdgeAttrs = {
  readonly kind: Kind
  /** Null where the edge says nothing. */
  readonly mode: number | null
  readonly mtime: bigint | null
  readonly ctime: bigint | null
}

/** The first 16 hex digits of a tagged SHA-256 of the read cap: what `of` must equal. */
export const capMark = (cap: Cap): string =>
  createHash('sha256').update(`tahoe-nfs/of/v1\n${cap.readonly().uri()}`).digest('hex').slice(0, 16)

export function edgeAttrs({ cap, metadata }: Child): EdgeAttrs {
  const link = record(metadata['tahoe'])
  const linked = seconds(link?.['linkmotime'])
  const ours = record(metadata['tahoe-nfs'])
  if (ours && ours['v'] === 1 && ours['of'] === capMark(cap)) {
    const symlink = ours['type'] === 'symlink' && mayBeTarget(cap)
    return {
      kind: cap.type === 'directory' ? 'directory' : symlink ? 'symlink' : 'file',
      mode: Number.isInteger(ours['mode']) ? (ours['mode'] as number) & 0o7777 : null,
      mtime: stamp(ours['mtime']) ?? linked,
      ctime: linked,
    }
  }
  return {
    kind: cap.type === 'directory' ? 'directory' : 'file',
    mode: null,
    mtime: foreignTime(metadata['mtime'], link) ?? linked,
    ctime: linked,
  }
}

/** What we leave beside a name: doc/METADATA.md. Whatever else stood there is handed on. */
export function edgeMetadata({ kind, mode, mtime }: Inode, cap: Cap, before: Metadata): Metadata {
  const { tahoe: _, 'tahoe-nfs': ours, ...others } = before
  const { uid, gid } = record(ours) ?? {}
  const time = mtime < 0n ? 0n : mtime
  const [whole, rest] = [time / SECOND, time % SECOND]
  return {
    ...others,
    mtime: Number(whole),
    'tahoe-nfs': {
      v: 1,
      of: capMark(cap),
      mode,
      mtime: `${whole}.${String(rest).padStart(9, '0')}`,
      ...(kind === 'symlink' ? { type: 'symlink' } : {}),
      ...(Number.isInteger(uid) ? { uid } : {}),
      ...(Number.isInteger(gid) ? { gid } : {}),
    },
  }
}

const SECOND = 1_000_000_000n

/** A symlink is an immutable file of its target; one too long for a path is somebody's file. */
const mayBeTarget = (cap: Cap): boolean =>
  cap.type === 'file' &&
  !cap.mutable &&
  cap.authority === 'read' &&
  cap.size !== null &&
  cap.size <= TARGET_MAX

/** The longest target that Linux and macOS follow. */
const TARGET_MAX = 4096

/**
 * An `mtime` as `tahoe backup` and SFTP leave it. The node keeps it when other content is
 * put under the name, so it holds only while the link has not been set again since it was made.
 */
function foreignTime(mtime: unknown, link: Record<string, unknown> | null): bigint | null {
  const made = link?.['linkcrtime']
  const set = link?.['linkmotime']
  if (typeof made === 'number' && typeof set === 'number' && set - made > 0.001) return null
  return seconds(mtime)
}

const record = (value: unknown): Record<string, unknown> | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null

// Beyond these a time is taken for a mistake: NFS carries 32 bits of seconds.
const sane = (whole: number) => whole >= 0 && whole < 2 ** 32

function seconds(value: unknown): bigint | null {
  if (typeof value !== 'number' || !Number.isFinite(value) || !sane(value)) return null
  return BigInt(Math.round(value * 1e6)) * 1000n
}

function stamp(value: unknown): bigint | null {
  const found = typeof value === 'string' ? /^(\d{1,10})\.(\d{9})$/.exec(value) : null
  if (!found || !sane(Number(found[1]))) return null
  return BigInt(found[1]!) * 1_000_000_000n + BigInt(found[2]!)
}
