// What is known of an object's shares once all of them were read.

import type { StorageServer } from '../../storage/server.ts'

/** A share on a server. */
export type ShareAt = { readonly server: StorageServer; readonly number: number }

export type DamagedShare = ShareAt & {
  readonly reason: string
  /** Whether its server refuses what is written beside it as long as it is there. */
  readonly blocks: boolean
  /** Whether it is right but for that: its server would take it from somebody else only. */
  readonly estranged: boolean
}

export type Verified = {
  readonly needed: number
  readonly total: number
  readonly good: readonly ShareAt[]
  readonly damaged: readonly DamagedShare[]
  /** Those that gave no answer, to all that was asked or to some of it. */
  readonly silent: readonly StorageServer[]
  /** Whether its content can be read all the same. */
  readonly readable: boolean
}

export type State = 'healthy' | 'fewer' | 'damaged' | 'unreadable'

export const numbersOf = (shares: readonly ShareAt[]): Set<number> =>
  new Set(shares.map(({ number }) => number))

export function stateOf({ total, good, damaged, readable }: Verified): State {
  if (!readable) return 'unreadable'
  if (damaged.length > 0) return 'damaged'
  return numbersOf(good).size < total ? 'fewer' : 'healthy'
}

/** Damaged shares that are told one by one. */
const TOLD = 4

/** One line for a person. */
export function inWords(verified: Verified): string {
  const { needed, total, good, damaged, silent } = verified
  const parts = [`${numbersOf(good).size} of ${total} shares are good, ${needed} are needed`]
  for (const { server, number, reason } of damaged.slice(0, TOLD))
    parts.push(`share ${number} in ${server.name} is damaged: ${reason}`)
  if (damaged.length > TOLD) parts.push(`${damaged.length - TOLD} more are damaged`)
  if (silent.length > 0) parts.push(`no answer from ${silent.map(({ name }) => name).join(', ')}`)
  return parts.join('; ')
}
