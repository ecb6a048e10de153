// What an earlier process left unpublished, brought back into memory: intents into their
// folders, and what is known of an inode here alone to the inode.

import { FsError } from '../../errors.ts'
import type { Cap } from '../../tahoe/cap.ts'
import type { Op } from '../state/schema.ts'
import type { State } from '../state/state.ts'
import type { Folder } from '../tree/folder.ts'
import type { Inode } from '../tree/inode.ts'
import { unpackIntent, unpackLocal } from '../tree/pack.ts'
import type { Tree } from '../tree/tree.ts'
import type { FileId } from '../vfs.ts'
import { Draft } from './draft.ts'
import type { Extent } from './extents.ts'
import { sealedSize } from './record.ts'
import type { Staging } from './staging.ts'

export type Restored = {
  /** The inodes that are not on the grid as they are here. */
  readonly inodes: readonly Inode[]
  /** Says what of the staged bytes is missing; null when all of them are there. */
  readonly lost: string | null
  /** Drops what belonged to inodes that have no name any more. */
  readonly orphans: readonly Op[]
}

export function restore(tree: Tree, state: State, staging: Staging): Restored {
  const folders = intents(tree, state)
  const inodes: Inode[] = []
  const missing = new Set<number>()
  const orphans: Op[] = state
    .all('SELECT DISTINCT id FROM extent WHERE id NOT IN (SELECT id FROM local)')
    .map(row => ['dropExtents', row['id'] as FileId])
  for (const row of state.all('SELECT id, body, valid, since, seq FROM local')) {
    const id = row['id'] as FileId
    const inode = tree.restored(id)
    if (!inode) {
      orphans.push(['dropLocal', id], ['dropExtents', id])
      continue
    }
    const body = tree.rows.open(row['body'] as Uint8Array, `local ${id}`)
    const { cap, draft, replaces, replaced, local } = unpackLocal(body, Number(row['since']))
    if (inode.kind !== 'directory') inode.cap = cap
    inode.local = local
    if (draft) {
      const extents = extentsOf(id, state, staging, missing)
      local.draft = new Draft(inode, Number(row['valid']), extents, local.since, Number(row['seq']))
      local.draft.replaces = replaces
      local.draft.published = local.draft.replaced = replaced
      local.draft.known = true
    }
    inodes.push(inode)
  }
  for (const folder of folders) assumeSent(tree, folder)
  return { inodes, lost: missing.size === 0 ? null : lostOf(missing, staging), orphans }
}

function intents(tree: Tree, state: State): Set<Folder> {
  const folders = new Set<Folder>()
  for (const row of state.all('SELECT dir, cookie, body FROM intent ORDER BY dir')) {
    const dir = row['dir'] as FileId
    const cookie = row['cookie'] as bigint
    const folder = tree.folder(dir)
    if (!folder) throw new FsError('EIO', `the directory ${dir} in the state is lost: the state is damaged`)
    const intent = unpackIntent(tree.rows.open(row['body'] as Uint8Array, `intent ${dir} ${cookie}`), cookie)
    folder.begin(intent, null)
    folders.add(tree.keep(folder))
  }
  for (const folder of folders) tree.adopt(folder)
  return folders
}

/** What was on its way when that process ended may have arrived. */
function assumeSent(tree: Tree, folder: Folder): void {
  for (const [key, intent] of folder.intents) {
    const inode = intent.want === null ? undefined : tree.nameless(intent.want)
    intent.sent = [...intent.sent, ...(inode ? capsOf(inode) : [null])]
    if (inode) inode.key = key
  }
}

function extentsOf(id: FileId, state: State, staging: Staging, missing: Set<number>): Extent[] {
  return state.all('SELECT * FROM extent WHERE id = ? ORDER BY start', id).flatMap(row => {
    const number = (column: string) => Number(row[column])
    const segment = staging.segment(number('segment'))
    const [at, plain] = [number('at'), number('plain')]
    if (!segment || segment.size < at + sealedSize(plain)) {
      missing.add(number('segment'))
      return []
    }
    return {
      segment,
      at,
      plain,
      record: number('record'),
      start: number('start'),
      length: number('length'),
      skip: number('skip'),
      seq: number('seq'),
    }
  })
}

const lostOf = (missing: ReadonlySet<number>, staging: Staging): string =>
  `bytes that wait for the grid are missing from ${staging.dir} (${[...missing].join(', ')}); ` +
  'bring the files back, or name another state with --state; nothing may change until then'

/** Caps that may stand on the grid under a name of this inode. */
const capsOf = ({ cap, local }: Inode): Cap[] => [...(local?.sent ?? []), ...(cap ? [cap] : [])]
