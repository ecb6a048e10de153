// Names that are to become others on the grid, and inodes that are known here alone while they
// wait: how the one and the other begins, and how it ends.

import type { Metadata } from '../../tahoe/grid.ts'
import { nameKey, real } from '../names.ts'
import type { FileId } from '../vfs.ts'
import type { Change } from './change.ts'
import { type Folder, type Intent, newIntent } from './folder.ts'
import { type Inode, ROOT } from './inode.ts'
import { NOBODY } from './snapshot.ts'
import type { Tree } from './tree.ts'

/** From now on `name` is to lead to `want`. */
export function intend(
  tree: Tree,
  folder: Folder,
  name: string,
  want: FileId | null,
  change: Change,
): Intent {
  const key = nameKey(name)
  let intent = folder.intents.get(key)
  if (!intent) {
    const edge = folder.snapshot.find(name)
    intent = newIntent({
      real: edge?.real ?? real(name).normalize('NFC'),
      name: edge?.name ?? name,
      cookie: edge?.cookie ?? folder.next++,
      want,
      expect: edge?.cap ?? null,
      was: edge?.id ?? null,
    })
    if (!edge) change.ops.push(['setNext', folder.next, folder.id])
    folder.begin(intent, change)
  }
  // What was sent for it may be there by now, though nobody has seen it.
  if (intent.want !== want && intent.expect === null && intent.sent.length > 0)
    intent.was = intent.want ?? intent.was
  // Its row may be gone by the time that it is asked what others did to it.
  const displaced = intent.was === null ? undefined : tree.known(intent.was)
  if (displaced?.kind === 'file' && displaced.cap?.mutable) intent.seen = displaced.mark
  folder.lead(intent, name, want, change)
  intent.changes++
  // What somebody else has put there is shown only once it has an inode.
  const foreign = folder.snapshot.find(name)?.id === NOBODY
  if (want === null && intent.expect === null && intent.sent.length === 0 && !foreign)
    settle(tree, folder, intent, change)
  else change.ops.push(tree.rows.intent(folder.id, intent))
  tree.keep(folder)
  return intent
}

/** An intent is no longer one. */
export function settle(tree: Tree, folder: Folder, intent: Intent, change: Change): void {
  folder.end(intent, change)
  change.ops.push(['dropIntent', folder.id, intent.cookie])
  tree.keep(folder)
}

/** Every name of an inode that the grid carries is to be published again. */
export function republish(tree: Tree, inode: Inode, change: Change): void {
  if (inode.id === ROOT) return // nothing names it
  localise(tree, inode, change)
  for (const { folder, key } of [...tree.namesOf(inode)])
    if (!folder.intents.has(key)) intend(tree, folder, folder.find(key)!.name, inode.id, change)
}

/** Sees that an inode is known here by itself, whatever becomes of the edge that named it. */
export function localise(tree: Tree, inode: Inode, change: Change): void {
  if (!inode.local) {
    inode.local = {
      since: Date.now(),
      metadata: metadataOf(tree, inode),
      sent: [],
      changes: 0,
      draft: null,
      target: null,
    }
    change.ops.push(tree.rows.local(inode))
  }
}

function metadataOf(tree: Tree, inode: Inode): Metadata {
  for (const { folder, key } of tree.namesOf(inode)) {
    const edge = folder.snapshot.find(key)
    if (edge?.id === inode.id) return edge.metadata
  }
  return {}
}

/** The grid knows as much of an inode as this machine, once no name of it waits; those in `settled` do not. */
export function rest(
  tree: Tree,
  inode: Inode,
  { ops, after }: Change,
  settled: ReadonlySet<Intent> = new Set(),
): void {
  const { local } = inode
  if (!local || inode.cap === null) return
  for (const { folder, key } of tree.namesOf(inode)) {
    const intent = folder.intents.get(key)
    if (intent?.want === inode.id && !settled.has(intent)) return
  }
  const { draft } = local
  if (draft && !(draft.isPublished && draft.isDurable)) return
  inode.local = null
  ops.push(['dropLocal', inode.id])
  if (!draft) return
  draft.dead = true
  ops.push(['dropExtents', inode.id])
  after.push(() => draft.dispose())
}
