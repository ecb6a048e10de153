// Where inodes are, up to the root. A directory may hang below itself: a way ends where it repeats.

import type { FileId } from '../vfs.ts'
import { type Inode, ROOT } from './inode.ts'
import type { Tree } from './tree.ts'

/** Where an inode is, from the root, as it is shown; null when it hangs nowhere. */
export function pathOf(tree: Tree, inode: Inode): string | null {
  const names: string[] = []
  const seen = new Set<FileId>()
  for (let at = inode; at.id !== ROOT; ) {
    const [place] = tree.namesOf(at)
    const dir = place && tree.nameless(place.folder.id)
    if (!dir || seen.has(dir.id)) return null
    seen.add(dir.id)
    names.push(place.folder.find(place.key)!.name)
    at = dir
  }
  return `/${names.reverse().join('/')}`
}

/** The directories above an inode, up to the root. */
export function* ancestors(tree: Tree, id: FileId): Generator<FileId> {
  const seen = new Set([id])
  for (let inode = tree.nameless(id); inode && !seen.has(inode.parent); inode = tree.nameless(inode.parent)) {
    seen.add(inode.parent)
    yield inode.parent
  }
}

export function isAtOrBelow(tree: Tree, id: FileId, dir: FileId): boolean {
  if (id === dir) return true
  for (const above of ancestors(tree, id)) if (above === dir) return true
  return false
}

/** Whether something in a directory, or below it, is not on the grid yet. */
export function isPendingBelow(tree: Tree, dir: FileId): boolean {
  for (const { id, intents } of tree.pending)
    if (intents.size > 0 && tree.nameless(id)?.edges && isAtOrBelow(tree, id, dir)) return true
  return false
}
