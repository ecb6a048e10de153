// Edits of one directory by us and by a Tahoe node: what may be put there, how each side puts it
// there, and what must be seen of it.

import type { ExecutionContext } from 'ava'
import fc from 'fast-check'
import { type Cap, litCap, parseCap, unknownCap } from '../../src/tahoe/cap.ts'
import { encode } from '../../src/tahoe/format/base32.ts'
import type { Child, Edit } from '../../src/tahoe/grid.ts'
import type { Ours } from './in-turn.ts'
import { web } from './tahoe.ts'
import { at, forWeb, ourView, shown, theirView, timeless, type View } from './web-view.ts'

const secret = (seed: string) => `${encode(Buffer.alloc(16, seed))}:${encode(Buffer.alloc(32, seed))}`
const future = unknownCap('URI:FUTURE-W:abc', 'ro.URI:FUTURE-R:abc')
/** One of each kind, with and without the power to write. Nothing is behind those that are not LIT. */
export const kinds: readonly Cap[] = [
  litCap(Buffer.from('few words')),
  litCap(Buffer.alloc(0)),
  parseCap(`URI:CHK:${secret('c')}:3:10:12345`),
  ...['SSK', 'MDMF', 'DIR2', 'DIR2-MDMF'].flatMap(kind => {
    const cap = parseCap(`URI:${kind}:${secret('m')}`)
    return [cap, cap.readonly()]
  }),
  parseCap(`URI:DIR2-CHK:${secret('i')}:1:1:678`),
  parseCap('URI:DIR2-LIT:'),
  future,
  future.readonly(),
  unknownCap(null, 'imm.URI:FUTURE-I:xyz'),
]

export const metadatas: readonly Child['metadata'][] = [
  {},
  { mtime: 1.7e9, 'tahoe-nfs': { v: 1, of: 'é', deep: [1, null, { x: false }] } },
  { 'no-write': true, big: 9007199254740991, small: 1.25e-7, text: '\u{1F600}\n"\\' },
]

export const names = [
  'a',
  'B',
  'é',
  'e\u0301',
  '日本',
  '\u{1F600}',
  '\u{FF5E}',
  ' two words ',
  '..x',
  '100%&?#',
]

/** One edit of a directory: of which name, and the child that it gets; null to unlink it. */
export type Wish = { readonly name: string; readonly child: Child | null }

/** We make them in one call; each is what we see at that moment. */
export async function ourEdits({ grid }: Ours, dir: Cap, wishes: readonly Wish[]): Promise<View> {
  const before = (await grid.list(dir)).children
  const edits = wishes.flatMap(({ name, child }): Edit[] => {
    const expect = before.get(name.normalize('NFC'))?.cap ?? null
    if (child) return [{ op: 'set', name, child, expect }]
    return expect ? [{ op: 'unlink', name, expect }] : []
  })
  const { outcomes, listing } = await grid.edit(dir, edits)
  if (outcomes.some(({ done }) => !done)) throw new Error('an edit was refused')
  return ourView(listing)
}

/** The node makes the sets in one call, and the unlinks in one each. */
export async function theirEdits(node: { url: string }, dir: Cap, wishes: readonly Wish[]): Promise<View> {
  const sets = wishes.flatMap(({ name, child }) => (child ? [[name, child] as const] : []))
  if (sets.length > 0) await web(node, 'POST', `${at(dir)}?t=set_children`, forWeb(sets))
  const before = await theirView(node, dir)
  for (const { name, child } of wishes) {
    if (child || !(name.normalize('NFC') in before)) continue
    await web(node, 'POST', `${at(dir)}?t=unlink&name=${encodeURIComponent(name)}`) // no DELETE of an unknown
  }
  return await theirView(node, dir)
}

const wish = fc.record({
  name: fc.oneof(
    fc.constantFrom(...names),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 4 }).filter(name => !/[/\0]|^\.+$/.test(name)),
  ),
  child: fc.option(fc.record({ cap: fc.constantFrom(...kinds), metadata: fc.constantFrom(...metadatas) }), {
    freq: 3,
  }),
})
export const wishes = fc.uniqueArray(wish, {
  selector: ({ name }) => name.normalize('NFC'),
  minLength: 1,
  maxLength: 5,
})

/** What a directory shows, but for times, after those edits. */
export function after(before: View, wishes: readonly Wish[]): View {
  const expected = new Map(Object.entries(timeless(before)))
  for (const { name, child } of wishes) {
    const stored = name.normalize('NFC')
    if (!child) expected.delete(stored)
    else if (child.metadata['no-write'] === true)
      expected.set(stored, shown({ ...child, cap: child.cap.readonly() }))
    else expected.set(stored, shown(child))
  }
  return Object.fromEntries(expected)
}

/** A name that nobody touched keeps its times; one that was set again keeps when it was first made. */
export function sameTimes(t: ExecutionContext, before: View, after: View, wishes: readonly Wish[]): void {
  const times = (view: View, name: string) =>
    (view[name]!.metadata as { tahoe: Record<'linkcrtime' | 'linkmotime', number> }).tahoe
  const touched = new Set(wishes.map(({ name }) => name.normalize('NFC')))
  for (const name of Object.keys(after)) {
    if (!(name in before)) continue
    if (!touched.has(name)) t.deepEqual(after[name], before[name])
    else t.is(times(after, name).linkcrtime, times(before, name).linkcrtime)
  }
}
