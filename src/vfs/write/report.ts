// What waits for the grid, told to people: each file, directory and name once, the oldest first.

import type { Folder, Intent } from '../tree/folder.ts'
import type { Inode } from '../tree/inode.ts'
import { pathOf } from '../tree/paths.ts'
import type { Tree } from '../tree/tree.ts'
import type { FileId } from '../vfs.ts'
import type { Attempts } from './attempts.ts'
import { isLocal } from './changes.ts'
import type { Pending, PendingItem } from './pending.ts'
import { isLocalAlone, type Upload } from './uploads.ts'
import { linkable } from './verdict.ts'

/** Items that are told one by one. */
const MAX_ITEMS = 100

/** Without its path, which is looked for only when it is told. */
type Item = Omit<PendingItem, 'path'> & { readonly where: () => string | null }

type AttemptsOf = (dir: FileId) => Attempts | undefined

export function report(tree: Tree, uploads: Iterable<Upload>, attemptsOf: AttemptsOf): Pending {
  const items = [...itemsOf(tree, uploads, attemptsOf)].sort((a, b) => a.since - b.since)
  return {
    files: items.length,
    bytes: items.reduce((sum, { bytes }) => sum + bytes, 0),
    oldest: items[0]?.since ?? null,
    items: items.slice(0, MAX_ITEMS).map(({ where, ...item }) => ({ ...item, path: where() ?? '/…' })),
  }
}

function* itemsOf(tree: Tree, uploads: Iterable<Upload>, attemptsOf: AttemptsOf): Generator<Item> {
  const told = new Set<Inode>()
  for (const upload of uploads) {
    const { inode } = upload
    if (inode.edges === 0 || !inode.local || isLocalAlone(tree, inode)) continue
    told.add(inode)
    yield { ...contentItem(upload, attemptsOf), where: () => pathOf(tree, inode) }
  }
  for (const { folder, dir, intent, inode } of waitingIntents(tree)) {
    if (inode && told.has(inode)) continue
    if (inode) told.add(inode)
    const attempts = attemptsOf(inode?.cap === null ? inode.id : folder.id)
    const state = !inode ? 'removing' : linkable(inode) ? 'linking' : 'waiting'
    const where = () => {
      const above = pathOf(tree, dir)
      return above === null ? null : `${above === '/' ? '' : above}/${intent.name}`
    }
    yield { state, bytes: 0, sent: 0, since: intent.since, ...troubleOf(attempts), where }
  }
}

function contentItem(
  { inode, attempts, stop, sent }: Upload,
  attemptsOf: AttemptsOf,
): Omit<PendingItem, 'path'> {
  const { draft, since } = inode.local!
  const frozen = draft ? draft.generation : { cap: inode.cap }
  const linking = frozen !== null && frozen.cap !== null
  const state = linking ? 'linking' : stop ? 'uploading' : draft && !draft.isDurable ? 'open' : 'waiting'
  const trouble = troubleOf(linking ? attemptsOf(inode.parent) : attempts)
  return { state, bytes: linking ? 0 : inode.size, sent, since, ...trouble }
}

const troubleOf = (attempts: Attempts | undefined) => ({
  error: attempts?.error ?? null,
  retryAt: attempts?.retryAt ?? null,
})

/** The intents that are to reach the grid, with their folders. */
export function* waitingIntents(
  tree: Tree,
): Generator<{ folder: Folder; dir: Inode; key: string; intent: Intent; inode: Inode | null }> {
  for (const folder of tree.pending) {
    const dir = tree.nameless(folder.id)
    if (!dir || dir.edges === 0) continue
    for (const [key, intent] of folder.intents) {
      const inode = intent.want === null ? null : tree.known(intent.want)
      if (inode !== undefined && !(inode && isLocal(intent.name))) yield { folder, dir, key, intent, inode }
    }
  }
}
