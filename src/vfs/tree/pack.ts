// Intents, and what is known of an inode here alone, as they rest: to be sealed.

import type { Cap } from '../../tahoe/cap.ts'
import { parseExact } from '../../tahoe/format/json.ts'
import type { Metadata } from '../../tahoe/grid.ts'
import type { Intent } from './folder.ts'
import type { Inode, Local } from './inode.ts'
import { type PackedCap, packCap, unpackCap } from './snapshot.ts'

const pack = (cap: Cap | null): PackedCap | null => cap && packCap(cap)
const unpack = (packed: PackedCap | null): Cap | null => (packed === null ? null : unpackCap(packed))

type PackedIntent = {
  real: string
  name: string
  want: string | null
  expect: PackedCap | null
  was: string | null
  sent: (PackedCap | null)[]
  seen: string
  since: number
}

export function packIntent({ real, name, want, expect, was, sent, seen, since }: Intent): Buffer {
  const packed: PackedIntent = {
    real,
    name,
    want: want === null ? null : String(want),
    expect: pack(expect),
    was: was === null ? null : String(was),
    sent: sent.map(pack),
    seen: String(seen),
    since,
  }
  return Buffer.from(JSON.stringify(packed))
}

export function unpackIntent(body: Buffer, cookie: bigint): Intent {
  const {
    real,
    name,
    want,
    expect,
    was,
    sent,
    seen = '0',
    since,
  } = parseExact(body.toString()) as PackedIntent
  return {
    real,
    name,
    cookie,
    want: want === null ? null : BigInt(want),
    expect: unpack(expect),
    was: was === null ? null : BigInt(was),
    sent: sent.map(unpack),
    seen: BigInt(seen),
    since,
    changes: 0,
  }
}

type PackedLocal = {
  cap: PackedCap | null
  metadata: Metadata
  sent: PackedCap[]
  target: string | null
  /** Whether its bytes are not those of its cap. */
  draft: boolean
  /** The version of a mutable file that they are to replace, and the last change that is in it. */
  replaces: string | null
  replaced: number
}

export function packLocal({ cap }: Inode, { metadata, sent, target, draft }: Local): Buffer {
  const packed: PackedLocal = {
    cap: pack(cap),
    metadata,
    sent: sent.map(packCap),
    target: target === null ? null : target.toString('base64'),
    draft: draft !== null,
    replaces: draft?.replaces ?? null,
    replaced: draft?.replaced ?? 0,
  }
  return Buffer.from(JSON.stringify(packed))
}

export function unpackLocal(
  body: Buffer,
  since: number,
): { cap: Cap | null; draft: boolean; replaces: string | null; replaced: number; local: Local } {
  const packed = parseExact(body.toString()) as PackedLocal
  const { cap, metadata, sent, target, draft, replaces = null, replaced } = packed
  const local: Local = {
    since,
    metadata,
    sent: sent.map(unpackCap),
    changes: 0,
    draft: null,
    target: target === null ? null : Buffer.from(target, 'base64'),
  }
  return { cap: unpack(cap), draft, replaces, replaced, local }
}
