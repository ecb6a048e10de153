// What this machine needs of the grid besides what the grid's own names lead to: content under what
// is being written, names that wait, and what was removed while somebody uses it.

import type { Cap } from '../../tahoe/cap.ts'
import type { Inode } from '../tree/inode.ts'
import type { Tree } from '../tree/tree.ts'
import type { Upload } from './uploads.ts'

/** The caps of all that; some of them several times. */
export function* held(tree: Tree, uploads: Iterable<Upload>): Generator<Cap> {
  for (const { inode } of uploads) yield* capsOf(inode)
  for (const inode of tree.retained) yield* capsOf(inode)
  for (const { id, intents } of tree.pending) {
    const dir = tree.nameless(id)
    if (dir) yield* capsOf(dir)
    for (const { want, was, expect, sent } of intents.values()) {
      for (const cap of [expect, ...sent]) if (cap) yield cap
      for (const id of [want, was]) {
        const inode = id === null || id === 0n ? undefined : tree.nameless(id)
        if (inode) yield* capsOf(inode)
      }
    }
  }
}

function* capsOf({ cap, local }: Inode): Generator<Cap> {
  const generation = local?.draft?.generation
  for (const each of [cap, ...(local?.sent ?? []), generation?.base, generation?.cap]) if (each) yield each
}
