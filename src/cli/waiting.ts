// What waits for the grid, and what two sides changed at once, as `status` tells it.

import type { Conflict, Pending, PendingItem } from '../vfs/write/pending.ts'
import { withoutCaps } from './secrets.ts'
import { inWords, printable, whileInWords, withoutCode } from './words.ts'

/** As JSON has it: times are ISO. */
export type Waiting = {
  /** All there are: files, directories and names. */
  readonly files: number
  /** Bytes of content that the grid does not have. */
  readonly bytes: number
  readonly oldest: string | null
  /** The oldest of them. */
  readonly items: readonly Item[]
}

export type Item = Omit<PendingItem, 'since' | 'retryAt'> & {
  readonly since: string
  readonly retryAt: string | null
}

export type Clash = Omit<Conflict, 'at'> & { readonly at: string }

const iso = (ms: number): string => new Date(ms).toISOString()
const isoOrNull = (ms: number | null): string | null => (ms === null ? null : iso(ms))

export const waitingOf = ({ files, bytes, oldest, items }: Pending): Waiting => ({
  files,
  bytes,
  oldest: isoOrNull(oldest),
  items: items.map(({ path, state, bytes, sent, since, error, retryAt }) => ({
    path,
    state,
    bytes,
    sent,
    since: iso(since),
    error: error === null ? null : withoutCaps(error),
    retryAt: isoOrNull(retryAt),
  })),
})

export const clashOf = ({ path, copy, at, what }: Conflict): Clash => ({
  path,
  copy,
  at: iso(at),
  what: withoutCaps(what),
})

/** Lines that `status` shows of each. */
const MAX_LINES = 10

/** How much it is: `2 changes, 1.5 MiB`; a directory made or a name removed is one as well. */
export const amount = ({ files, bytes }: Pick<Waiting, 'files' | 'bytes'>): string =>
  `${files} ${files === 1 ? 'change' : 'changes'}, ${inWords(bytes)}`

/** What is still to be sent, and what keeps it. */
export function toGo({ files, bytes, items }: Waiting): string {
  const sent = items.reduce((sum, item) => sum + item.sent, 0)
  const failed = items.find(({ error }) => error !== null)
  const why = failed ? `; ${printable(`${failed.path}: ${withoutCode(failed.error!)}`)}` : ''
  return `${amount({ files, bytes: Math.max(0, bytes - sent) })} to go${why}`
}

/** What an earlier server left, as one line or none. */
export const fromBefore = (waiting: Waiting): string[] =>
  waiting.files === 0 ? [] : [`still to be published from before: ${amount(waiting)}`]

/** Where it is when a server has ended, and what becomes of it. */
export const kept = (waiting: Waiting, stateDir: string): string =>
  `not on the grid yet: ${amount(waiting)}; it is kept in ${stateDir}, and goes on when this root is served from there again`

export function itemLines({ items, files }: Pick<Waiting, 'items' | 'files'>, now: number): string[] {
  const shown = items.slice(0, MAX_LINES)
  const more = files - shown.length
  return [...shown.map(item => itemLine(item, now)), ...(more > 0 ? [`and ${more} more`] : [])]
}

/** Of the items that are known those at or below a path, all of them for null. */
export const itemsBelow = ({ items }: Waiting, path: string | null): Item[] =>
  items.filter(item => path === null || item.path === path || item.path.startsWith(`${path}/`))

function itemLine({ path, state, bytes, sent, since, error, retryAt }: Item, now: number): string {
  const percent = sent < bytes ? Math.floor((sent / bytes) * 100) : 100
  const parts: string[] = [state]
  if (state === 'uploading') parts.push(`${inWords(bytes)} (${percent}% sent)`)
  else if (bytes > 0) parts.push(inWords(bytes)) // else it is only a name
  parts.push(`for ${whileInWords(now - Date.parse(since))}`)
  const why = error === null ? '' : `; ${withoutCode(error)}`
  const left = retryAt === null ? null : Date.parse(retryAt) - now
  const again = left === null ? '' : left > 0 ? `; tried again in ${whileInWords(left)}` : '; tried again now'
  return printable(`${path}: ${parts.join(', ')}${why}${again}`)
}

/** Those found at `ms` or later. */
export const clashSince = (clashes: readonly Clash[], ms: number): Clash[] =>
  clashes.filter(({ at }) => Date.parse(at) >= ms)

export const clashLines = (clashes: readonly Clash[]): string[] => {
  const more = clashes.length - MAX_LINES
  return [...clashes.slice(-MAX_LINES).map(clashLine), ...(more > 0 ? [`and ${more} older ones`] : [])]
}

const clashLine = ({ path, copy, at, what }: Clash): string =>
  printable(`${path}${copy === null ? '' : ` and ${copy}`}: ${what} (${toTheMinute(at)})`)

const toTheMinute = (at: string): string => `${at.slice(0, 16).replace('T', ' ')} UTC`
