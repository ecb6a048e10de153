// Changes of a directory, judged by a listing: what is done, what is refused, and what is still to do.

import { isDeepStrictEqual } from 'node:util'
import { FsError } from '../errors.ts'
import type { Cap } from './cap.ts'
import type { Child, Edit, Listing, Metadata, Outcome } from './grid.ts'

/** What became of the edits so far, by name. */
export type Outcomes = Map<string, Outcome>

/** ENOTDIR, or EACCES, for what cannot be listed. */
export function mustBeDirectory(dir: Cap, what: string): void {
  if (dir.type !== 'directory') throw new FsError('ENOTDIR', what)
  if (dir.authority === 'verify') throw new FsError('EACCES', `${what}: a verify cap cannot read`)
}

/** EINVAL for what no directory may hold: a verify cap, and an unknown without its read-only slot, which nobody could trust. */
export function mustBeLinkable({ cap }: Child, what: string): void {
  if (cap.readonly().uri() === '' || cap.authority === 'verify')
    throw new FsError('EINVAL', `${what}: ${cap} cannot be linked`)
}

/** Notes what has become of each edit, as the listing shows it, and gives those still to be done. */
export function judgeAll(
  edits: readonly Edit[],
  children: Pick<Listing['children'], 'get'>,
  outcomes: Outcomes,
): Edit[] {
  const note = (edit: Edit) => {
    const outcome = outcomes.get(edit.name) ?? judge(edit, children.get(edit.name), outcomes)
    if (outcome !== null) outcomes.set(edit.name, outcome)
  }
  // Sets first: an unlink after one goes by what became of it.
  for (const edit of edits) if (edit.op === 'set') note(edit)
  for (const edit of edits) if (edit.op === 'unlink') note(edit)
  return edits.filter(({ name }) => !outcomes.has(name))
}

/** What the listing says about an edit: done, refused, or null where it is still to be done. */
function judge(edit: Edit, found: Child | undefined, outcomes: Outcomes): Outcome | null {
  if (edit.op === 'unlink' && edit.after !== undefined) {
    const set = outcomes.get(edit.after)
    if (set === undefined) return null
    if (!set.done) return { done: false, found: found?.cap ?? null }
  }
  if (edit.op === 'unlink' ? found === undefined : found !== undefined && isResult(found, edit.child)) {
    return { done: true }
  }
  const { expect } = edit
  const asExpected = expect === null ? found === undefined : found !== undefined && expect.same(found.cap)
  return asExpected ? null : { done: false, found: found?.cap ?? null }
}

/** Whether a child is what a set of `wanted` leaves behind. */
function isResult(found: Child, wanted: Child): boolean {
  if (!found.cap.same(wanted.cap)) return false
  // With 'no-write' the node keeps only the reading half.
  const weaker = wanted.metadata['no-write'] === true
  if (!weaker && found.cap.authority !== wanted.cap.authority) return false
  return isDeepStrictEqual(ours(found.metadata), ours(wanted.metadata))
}

/** Metadata as it comes back from the node, which keeps times of its own in it. */
function ours(metadata: Metadata): unknown {
  const { tahoe: _, ...rest } = metadata
  return JSON.parse(JSON.stringify(rest))
}

/** The edits under the names that the grid stores. EINVAL for what no directory could be made to show. */
export function possible(edits: readonly Edit[], what: string): Edit[] {
  const wanted = edits.map(normal)
  const ops = new Map<string, Edit['op']>()
  for (const edit of wanted) {
    if (ops.has(edit.name)) throw new FsError('EINVAL', `${what}: two edits of one name`)
    ops.set(edit.name, edit.op)
    if (!edit.name.isWellFormed()) throw new FsError('EINVAL', `${what}: a name with half a character in it`)
    if (edit.op === 'set') mustBeLinkable(edit.child, what)
  }
  for (const edit of wanted) {
    if (edit.op === 'set' || edit.after === undefined || ops.get(edit.after) === 'set') continue
    throw new FsError('EINVAL', `${what}: an unlink after a set that is not there`)
  }
  return wanted
}

function normal(edit: Edit): Edit {
  const name = edit.name.normalize('NFC')
  if (edit.op === 'set' || edit.after === undefined) return { ...edit, name }
  return { ...edit, name, after: edit.after.normalize('NFC') }
}
