// What an earlier process kept, and no commit of it knows: it is done again, in the order in which it was
// done. At a loss of power some of it may be gone, and then nothing after that is done either.

import type { Change } from '../tree/change.ts'
import { type Inode, touch } from '../tree/inode.ts'
import type { Tree } from '../tree/tree.ts'
import type { Changes } from './changes.ts'
import type { Draft } from './draft.ts'
import type { LeftFrame } from './kept.ts'
import { RECORD, sealedSize } from './record.ts'
import type { Run } from './segment.ts'
import type { Staging } from './staging.ts'

export type Replayed = {
  /** What the files began to be, before their content. */
  readonly change: Change
  readonly drafts: ReadonlySet<Draft>
  /** Writes whose bytes are not there, or that come after such. */
  readonly lost: { readonly writes: number; readonly bytes: number }
}

/** How far the database knows the kept writes of a file. */
type Known = { readonly covered: number; readonly timed: number }

export async function replay(tree: Tree, changes: Changes, staging: Staging): Promise<Replayed> {
  const change = tree.change()
  const drafts = new Set<Draft>()
  const lost = { writes: 0, bytes: 0 }
  const files = new Map<bigint, Known>()
  const known = ({ id }: Inode): Known => {
    let found = files.get(id)
    if (!found) {
      const row = tree.state.get('SELECT covered, timed FROM inode WHERE id = ?', id)
      found = { covered: Number(row?.['covered'] ?? 0n), timed: Number(row?.['timed'] ?? 0n) }
      files.set(id, found)
    }
    return found
  }
  for (const frame of staging.left.frames) {
    const time = BigInt(frame.time) * 1_000_000n
    const wanted = wantedOf(frame, tree, known)
    const whole = await Promise.all(wanted.map(({ run }) => staging.isWhole(run)))
    for (const [i, { inode, number, start, run }] of wanted.entries()) {
      if (!whole[i] || lost.writes > 0) {
        lost.writes++
        lost.bytes += run.plain
        continue
      }
      const draft = changes.draft(inode, change)
      run.segment.users++ // the draft takes it over
      draft.write(run, start, { number, time }, change)
      if (number > known(inode).timed) touch(inode, change, time)
      drafts.add(draft)
    }
  }
  return { change, drafts, lost }
}

type Wanted = { readonly inode: Inode; readonly number: number; readonly start: number; readonly run: Run }

/** The writes of a frame that the database does not know, and that their files still want. */
function wantedOf(frame: LeftFrame, tree: Tree, known: (inode: Inode) => Known): Wanted[] {
  const runs = runsOf(frame)
  return frame.writes.flatMap(({ id, start }, i) => {
    const inode = tree.known(id)
    if (inode?.kind !== 'file' || !inode.writable) return []
    // Nobody was told of it: that waits until all of its content is here.
    if (inode.cap?.mutable && !inode.local?.draft) return []
    const number = frame.first + i
    return number > known(inode).covered ? { inode, number, start, run: runs[i]! } : []
  })
}

/** Where the bytes of each write of a frame are. */
function runsOf({ segment, at, record, writes }: LeftFrame): Run[] {
  let [pos, number] = [at, record]
  return writes.map(({ plain }) => {
    const run = { segment, at: pos, record: number, plain }
    pos += sealedSize(plain)
    number += Math.ceil(plain / RECORD)
    return run
  })
}
