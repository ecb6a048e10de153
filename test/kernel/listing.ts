// A tree as the grid has it, and as the guest says it sees it, in the same words.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Cap, parseCap } from '../../src/tahoe/cap.ts'
import type { Grid } from '../../src/tahoe/grid.ts'
import { openLocal } from '../../src/tahoe/native/local.ts'
import { Turns } from '../../src/tahoe/turns.ts'
import { bytesOf } from '../support/tahoe-bytes.ts'

/** A node's `?t=json` of a directory, as far as it is looked at. */
type Listed = ['dirnode', { children: Record<string, Found> }]
type Found = [
  'dirnode' | 'filenode',
  { ro_uri: string; metadata: { 'tahoe-nfs'?: { type?: string; mode?: number; mtime?: string } } },
]

/** Requests at a time. */
const LANES = 6

/** The same of a grid without a web API. */
export async function listingOn(grid: Grid, dir: Cap, at = ''): Promise<string[]> {
  const lines: string[] = []
  for (const [name, { cap, metadata }] of (await grid.list(dir)).children) {
    const path = at + name
    if (cap.type === 'directory') {
      lines.push(`d ${path}`, ...(await listingOn(grid, cap, `${path}/`)))
      continue
    }
    const bytes = await bytesOf(grid.read(cap, { start: 0, end: cap.size! }))
    const isSymlink = (metadata['tahoe-nfs'] as { type?: string } | undefined)?.type === 'symlink'
    lines.push(
      isSymlink ? `l ${path} -> ${bytes}` : `f ${createHash('sha256').update(bytes).digest('hex')} ${path}`,
    )
  }
  return lines.sort()
}

/** What a folder of shares holds, while no server has it open. */
export async function heldIn(dir: string): Promise<string[]> {
  const aliases = await readFile(join(dir, 'private/aliases'), 'utf8')
  const root = parseCap(/^tahoe: (\S+)$/m.exec(aliases)![1]!)
  const grid = await openLocal({ dirs: [dir], shares: { needed: 1, happy: 1, total: 1 } })
  return await listingOn(grid, root).finally(() => grid.close())
}

/** Everything below a directory, by a node's web API: one line for each name, sorted. See `listing` in checks.sh. */
export async function listingOf(node: { url: string }, dir: string): Promise<string[]> {
  const turns = new Turns(LANES)
  const get = async <T>(uri: string, query: string, take: (answer: Response) => Promise<T>): Promise<T> => {
    const done = await turns.take('get')
    try {
      const answer = await fetch(`${node.url}uri/${encodeURIComponent(uri)}${query}`)
      if (!answer.ok) throw new Error(`the node answered ${answer.status}`)
      return await take(answer)
    } finally {
      done()
    }
  }
  const sums = new Map<string, Promise<string>>()
  const sumOf = (uri: string): Promise<string> => {
    let sum = sums.get(uri)
    if (!sum) sums.set(uri, (sum = get(uri, '', sha256)))
    return sum
  }
  const lineOf = async (path: string, uri: string, isSymlink: boolean): Promise<string> =>
    isSymlink
      ? `l ${path} -> ${await get(uri, '', answer => answer.text())}`
      : `f ${await sumOf(uri)} ${path}`
  const below = async (uri: string, at: string): Promise<string[]> => {
    const [, { children }] = (await get(uri, '?t=json', answer => answer.json())) as Listed
    const lines = Object.entries(children).map(async ([name, [kind, { ro_uri, metadata }]]) => {
      const path = at + name
      if (kind === 'dirnode') return [`d ${path}`, ...(await below(ro_uri, `${path}/`))]
      return [await lineOf(path, ro_uri, metadata['tahoe-nfs']?.type === 'symlink')]
    })
    return (await Promise.all(lines)).flat()
  }
  return (await below(dir, '')).sort()
}

async function sha256(answer: Response): Promise<string> {
  const sum = createHash('sha256')
  for await (const chunk of answer.body!) sum.update(chunk)
  return sum.digest('hex')
}

/** Throws for two listings that are not the same, with some of what only one of them has. */
export function mustEqual(onGrid: readonly string[], seen: readonly string[]): void {
  const only = (these: readonly string[], those: readonly string[]): string[] => {
    const other = new Set(those)
    return these.filter(line => !other.has(line))
  }
  const [grid, guest] = [only(onGrid, seen), only(seen, onGrid)]
  if (grid.length === 0 && guest.length === 0 && onGrid.length === seen.length) return
  const some = (lines: string[]): string => lines.slice(0, 10).join(' | ')
  throw new Error(
    `${onGrid.length} names on the grid, ${seen.length} in the guest; ` +
      `only on the grid (${grid.length}): ${some(grid)}; only in the guest (${guest.length}): ${some(guest)}`,
  )
}
