// What became of an edit, and what it means for the names that were in it: settled by proof, sent again, or
// given up for what the grid has, with our side beside it.

import type { Cap } from '../../tahoe/cap.ts'
import type { Child, Listing } from '../../tahoe/grid.ts'
import { nameKey } from '../names.ts'
import type { Change } from '../tree/change.ts'
import type { Folder, Intent } from '../tree/folder.ts'
import { type Inode, later, stamp } from '../tree/inode.ts'
import { intend, rest, settle } from '../tree/intents.ts'
import type { Tree } from '../tree/tree.ts'
import { type Conflicts, copyName } from './conflicts.ts'
import type { Draft } from './draft.ts'

/** One intent as it is about to be published. */
export type Step = {
  readonly intent: Intent
  readonly changes: number
  /** What it is to lead to; null: nothing. */
  readonly inode: Inode | null
  readonly child: Child | null
  /** The generation that is in it, by its last change; null when it is the cap's content. */
  readonly seq: number | null
  /** How far content and attributes had changed, as far as it is in it. */
  readonly holds: number
  readonly attrs: number
}

/** What one edit's outcomes mean for a folder. */
export class Verdict {
  readonly settled = new Map<string, Intent>()
  readonly released = new Set<string>()
  /** Drafts that are to be written down as they are now. */
  readonly drafts: Draft[] = []
  readonly #tree: Tree
  readonly #conflicts: Conflicts
  readonly #dir: Inode
  readonly #folder: Folder
  readonly #listing: Listing
  readonly #change: Change

  constructor(
    tree: Tree,
    conflicts: Conflicts,
    dir: Inode,
    folder: Folder,
    listing: Listing,
    change: Change,
  ) {
    this.#tree = tree
    this.#conflicts = conflicts
    this.#dir = dir
    this.#folder = folder
    this.#listing = listing
    this.#change = change
  }

  done(step: Step): void {
    const { intent, inode, child, seq } = step
    const found = this.#listing.children.get(intent.real)
    const isThere = child ? found?.cap.same(child.cap) : found === undefined
    if (!isThere) {
      // Somebody was there after us.
      if (child) this.#expects(intent, child.cap, inode)
      else if (has(this.#folder, intent)) this.#release(intent)
      return
    }
    const draft = inode?.local?.draft
    if (draft && seq !== null && draft.generation?.seq === seq && draft.generation.cap !== null) {
      draft.rebase(child!.cap)
      if (inode!.edges === 1) inode!.local!.sent = []
      this.drafts.push(draft)
    }
    if (this.#isNewest(step)) {
      this.settled.set(intent.real, intent)
      if (inode) this.#rest(inode)
      else this.#left(intent)
    } else this.#expects(intent, child?.cap ?? null, inode)
  }

  refused(step: Step, found: Cap | null): void {
    const { intent, inode } = step
    if (found && intent.expect?.same(found)) return // it waits for another, which was refused itself
    const ours = found !== null && (mayBe(intent, found) || (inode !== null && isOf(inode, found)))
    if (ours) this.#expects(intent, found, inode)
    else if (has(this.#folder, intent)) this.#clash(step, found)
  }

  /** Both sides changed a name. */
  #clash({ intent, inode }: Step, found: Cap | null): void {
    const { name } = intent
    if (!found) {
      // A removal that finds nothing is done, so this is a name that comes; we may have removed the one before.
      const ours = intent.sent.includes(null)
      this.#expects(intent, null, null)
      if (!ours) this.#tell(name, null, 'was removed on the grid, and changed here: it is made again')
    } else if (!inode) {
      this.#release(intent)
      this.#tell(name, null, 'was removed here, and changed on the grid: it is back')
    } else if (
      intent.was === inode.id &&
      intent.expect &&
      inode.cap?.same(intent.expect) &&
      !inode.local?.draft
    ) {
      // Nothing but attributes changed here: the content of the other side is worth more.
      settle(this.#tree, this.#folder, intent, this.#change)
      this.#rest(inode)
    } else {
      const copy = this.#setAside(intent, inode)
      this.#tell(name, copy, 'was changed here and on the grid: what was changed here is in the copy')
    }
  }

  /** Somebody else wrote to a mutable file while ours waited: ours becomes a file of its own. */
  overtaken(intent: Intent): void {
    const inode = intent.want === null ? undefined : this.#tree.known(intent.want)
    const draft = inode?.local?.draft
    if (!has(this.#folder, intent) || !draft?.overtaken) return
    const theirs = inode!.cap!
    draft.setAside()
    const copy = this.#setAside(intent, inode!)
    // Where the name is to come, the one that leads to theirs may be about to go.
    const comes = !intent.expect?.same(theirs)
    if (comes && !this.#listing.children.get(intent.real)?.cap.same(theirs))
      this.#name(intent.name, theirs, inode!)
    this.#change.ops.push(this.#tree.rows.local(inode!))
    this.#tell(intent.name, copy, 'was changed here and on the grid: what was changed here is in the copy')
  }

  /** Something that was not removed here is in a directory that was, or that was replaced. */
  filled(intent: Intent): void {
    if (!has(this.#folder, intent)) return
    const { name, want } = intent
    const inode = want === null ? undefined : this.#tree.known(want)
    const copy = inode ? this.#setAside(intent, inode) : null
    if (!inode) this.#release(intent)
    const what = presumed(intent)?.type === 'directory' ? 'something was put into it' : 'it was written to'
    this.#tell(name, copy, `was removed here, and ${what} on the grid: it is back`)
  }

  /** A name that is to go, and of which nothing is known that could: it is shown as the grid has it. */
  moot(intent: Intent): void {
    if (has(this.#folder, intent) && intent.want === null) this.#release(intent)
  }

  /** Our side goes under another name. */
  #setAside(intent: Intent, inode: Inode): string {
    const copy = copyName(intent.name, this.#folder, this.#listing.children)
    this.#release(intent)
    intend(this.#tree, this.#folder, copy, inode.id, this.#change)
    inode.key = nameKey(copy)
    stamp(inode, this.#change)
    return copy
  }

  /** A name for a mutable file that is on the grid, as an inode of its own beside the one that it had. */
  #name(name: string, cap: Cap, { mode, mtime, local }: Inode): void {
    const ctime = later(mtime)
    const unasked = { size: 0, mark: 0n, version: null, createverf: null, publishedAt: 0 }
    const inode: Inode = {
      ...this.#tree.draw(),
      ...{ kind: 'file', cap, mode, atime: ctime, mtime: ctime, ctime, writable: true, edges: 1, ...unasked },
      parent: this.#dir.id,
      key: nameKey(name),
      local: {
        since: Date.now(),
        metadata: local!.metadata,
        sent: [],
        changes: 0,
        draft: null,
        target: null,
      },
    }
    this.#tree.add(inode, this.#change)
    this.#change.ops.push(this.#tree.rows.local(inode), ['setMeta', 'lastId', this.#tree.lastId])
    intend(this.#tree, this.#folder, name, inode.id, this.#change)
  }

  #rest(inode: Inode): void {
    rest(this.#tree, inode, this.#change, new Set(this.settled.values()))
  }

  /** Whether nothing has changed since the step was made. */
  #isNewest({ intent, changes, inode, child, attrs }: Step): boolean {
    if (!has(this.#folder, intent) || intent.changes !== changes) return false
    const local = inode?.local
    if (!local) return true
    if (!linkable(inode!)?.same(child!.cap)) return false // another generation, by another name of it
    return local.changes === attrs && (!local.draft || (local.draft.isPublished && local.draft.isDurable))
  }

  /** What the grid has under a name is known, and is not what it is to be. */
  #expects(intent: Intent, cap: Cap | null, inode: Inode | null): void {
    intent.expect = cap
    intent.was = inode?.id ?? (cap === null ? null : intent.was)
    intent.sent = []
    if (!has(this.#folder, intent)) return
    if (intent.want === null && cap === null) settle(this.#tree, this.#folder, intent, this.#change)
    else this.#change.ops.push(this.#tree.rows.intent(this.#folder.id, intent))
  }

  /** The name is shown as the grid has it. */
  #release(intent: Intent): void {
    settle(this.#tree, this.#folder, intent, this.#change)
    this.released.add(intent.real)
  }

  /** A name is gone, and with a directory all that waited in it. */
  #left({ was }: Intent): void {
    const inode = was === null || was === 0n ? undefined : this.#tree.nameless(was)
    if (inode?.kind !== 'directory' || inode.edges > 0) return
    const folder = this.#tree.folder(inode.id)
    if (!folder) return
    for (const intent of [...folder.intents.values()]) {
      settle(this.#tree, folder, intent, this.#change)
      this.#left(intent)
    }
  }

  #tell(name: string, copy: string | null, what: string): void {
    this.#conflicts.add(this.#dir.id, name, copy, what, this.#change)
  }
}

/** The cap that a name may lead to now; null while there is none. */
export function linkable({ cap, local }: Inode): Cap | null {
  const draft = local?.draft
  if (!draft || draft.isPublished || draft.overtaken) return cap
  return draft.generation?.cap ?? null
}

/** What a name is believed to lead to on the grid: what was seen, or else what was sent last. */
export const presumed = ({ expect, sent }: Intent): Cap | null =>
  expect ?? sent.findLast(cap => cap !== null) ?? null

/** Whether a folder has an intent still. */
export const has = (folder: Folder, intent: Intent): boolean =>
  folder.intents.get(nameKey(intent.name)) === intent

/** Whether what was found under a name is what was there before, or what we sent. */
export const mayBe = ({ expect, sent }: Intent, found: Cap): boolean =>
  (expect?.same(found) ?? false) || sent.some(cap => cap?.same(found) ?? false)

/** Whether a cap is one that we have linked for an inode. */
const isOf = ({ cap, local }: Inode, found: Cap): boolean =>
  (cap?.same(found) ?? false) || (local?.sent.some(each => each.same(found)) ?? false)
