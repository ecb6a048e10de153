// What a publish starts from, and what it must achieve. Servers know nothing of versions, and
// several are not written at one moment: so a version is acknowledged only when no other writer,
// who started from the same shares, can be acknowledged too.

import type { StorageServer } from '../../storage/server.ts'
import { type FoundVersion, highestSeqnum, recoverable, type ServerMap } from './map.ts'
import type { Home } from './placement.ts'
import type { FoundShare } from './share.ts'

export type Ground = {
  readonly homes: readonly Home[]
  /** Servers that did not answer. They get nothing. */
  readonly silent: readonly StorageServer[]
  /** Shares of the current version that may be on servers which did not answer. */
  readonly unseen: number
  /** Shares that others have replaced already by a version that is not the current one. */
  readonly contested: number
  /** Whether all that is there must be replaced, of whatever version it is. */
  readonly every: boolean
}

/** Of a new file. */
export const nowhere: Ground = { homes: [], silent: [], unseen: 0, contested: 0, every: false }

/**
 * Whether enough is replaced when those homes are. Most shares of the current version must be:
 * then two writers who both replace it meet on one, where only the first of them passes the test.
 * And too few must be left to read it: then whoever finds a version whole has found the latest.
 */
export function replacesEnough(
  { homes, unseen, contested, every }: Ground,
  needed: number,
  replaced: (home: Home) => boolean,
): boolean {
  const current = homes.filter(home => home.current)
  const seen = new Set(current.map(({ number }) => number)).size
  const kept = new Set(current.filter(home => !replaced(home)).map(({ number }) => number)).size
  if (every || seen + unseen === 0) return kept + unseen === 0
  return kept + unseen < needed && 2 * (seen - kept) > seen + unseen + contested
}

/** To replace `version`. */
export function groundOf(map: ServerMap, { id, header, shares }: FoundVersion): Ground {
  const rivals = map.versions.filter(each => each.id !== id && each.header.seqnum >= header.seqnum)
  const theirs = new Set(rivals.flatMap(rival => [...rival.shares.keys()]))
  const contested = [...theirs].filter(number => !shares.has(number)).length
  const unseen = map.silent.length > 0 ? header.total - shares.size : 0
  // Where nobody has most of the shares, whoever replaces them all is the one.
  const every =
    unseen === 0 && shares.size <= contested && rivals.every(rival => 2 * rival.shares.size <= header.total)
  const isCurrent = (share: FoundShare) => share.header?.signed.equals(header.signed) ?? false
  const homes = homesOf(map, every ? () => true : isCurrent)
  return { homes, silent: map.silent, unseen, contested, every }
}

/**
 * To replace what several writers have left, when nothing of it can be read, by what one of them
 * had made from `base` and signed as `mine`; null if another of them may have most of the shares,
 * or if there is more than that.
 */
export function groundOfRuins(
  map: ServerMap,
  mine: { readonly signed: Buffer; readonly seqnum: number; readonly total: number },
  base: Buffer,
): Ground | null {
  if (map.silent.length > 0 || map.versions.some(recoverable)) return null
  if (highestSeqnum(map) > mine.seqnum) return null
  const known = new Set(map.versions.flatMap(({ shares }) => [...shares.keys()]))
  const unknown = mine.total - known.size
  const others = map.versions.filter(
    ({ header }) => !header.signed.equals(mine.signed) && !header.signed.equals(base),
  )
  if (others.some(({ shares }) => 2 * (shares.size + unknown) > mine.total)) return null
  return { ...nowhere, homes: homesOf(map, () => true), every: true }
}

const homesOf = (map: ServerMap, current: (share: FoundShare) => boolean): Home[] =>
  map.found.map(share => ({
    server: share.server,
    number: share.number,
    checkstring: share.checkstring,
    current: current(share),
  }))
