// What two sides changed at once, remembered until somebody has seen to it: a copy until its
// name is gone, anything else for a week.

import { hostname } from 'node:os'
import { NAME_MAX } from '../names.ts'
import type { Op } from '../state/schema.ts'
import type { Change } from '../tree/change.ts'
import type { Folder } from '../tree/folder.ts'
import { pathOf } from '../tree/paths.ts'
import type { Tree } from '../tree/tree.ts'
import type { FileId } from '../vfs.ts'
import type { Conflict } from './pending.ts'

/** Milliseconds for which a conflict without a copy is told of. */
const TOLD = 7 * 24 * 3600e3

/** Conflicts that are remembered; the oldest make room. */
const MAX = 1000

/** As it rests, to be sealed. */
type Rest = {
  readonly dir: string
  readonly name: string
  readonly copy: string | null
  readonly at: number
  readonly what: string
}

export class Conflicts {
  readonly #tree: Tree
  readonly #found = new Map<number, Rest>()
  #lastId = 0

  constructor(tree: Tree) {
    this.#tree = tree
    for (const row of tree.state.all('SELECT id, body FROM conflict ORDER BY id')) {
      const id = Number(row['id'])
      const body = tree.rows.open(row['body'] as Uint8Array, `conflict ${id}`)
      this.#found.set(id, JSON.parse(body.toString()) as Rest)
      this.#lastId = id
    }
  }

  add(dir: FileId, name: string, copy: string | null, what: string, { ops }: Change): void {
    const rest: Rest = { dir: String(dir), name, copy, at: Date.now(), what }
    const id = ++this.#lastId
    this.#found.set(id, rest)
    ops.push(['addConflict', id, this.#tree.rows.seal(Buffer.from(JSON.stringify(rest)), `conflict ${id}`)])
    for (const old of this.#found.keys()) {
      if (this.#found.size <= MAX) break
      this.#found.delete(old)
      ops.push(['dropConflict', old])
    }
  }

  /** Those that are left, the oldest first. */
  list(): Conflict[] {
    return [...this.#found.values()].map(({ dir, name, copy, at, what }) => {
      const inode = this.#tree.nameless(BigInt(dir))
      const above = (inode && pathOf(this.#tree, inode)) ?? '/…'
      const path = (last: string) => (above === '/' ? `/${last}` : `${above}/${last}`)
      return { path: path(name), copy: copy === null ? null : path(copy), at, what }
    })
  }

  /** Forgets those that somebody has seen to; what writes that down. */
  review(now = Date.now()): Op[] {
    const ops: Op[] = []
    for (const [id, { dir, copy, at }] of this.#found) {
      const over = copy === null ? now - at > TOLD : this.#isGone(BigInt(dir), copy)
      if (!over) continue
      this.#found.delete(id)
      ops.push(['dropConflict', id])
    }
    return ops
  }

  #isGone(dir: FileId, copy: string): boolean {
    const inode = this.#tree.nameless(dir)
    if (!inode || inode.edges === 0) return true
    const folder = this.#tree.folder(dir)
    return folder !== undefined && folder.find(copy) === undefined
  }
}

/** A name for our side of `name` that nothing in the folder, nor in `children`, has. */
export function copyName(name: string, folder: Folder, children: ReadonlyMap<string, unknown>): string {
  const dot = name.lastIndexOf('.')
  const [stem, extension] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, '']
  const time = new Date().toISOString()
  const mark = `conflict ${hostname().split('.')[0]} ${time.slice(0, 10)} ${time.slice(11, 16).replace(':', '')}`
  for (let count = 1; ; count++) {
    const end = ` (${mark}${count === 1 ? '' : ` ${count}`})`
    const whole = fitting(stem, end, extension)
    if (!folder.find(whole) && !children.has(whole.normalize('NFC'))) return whole
  }
}

/** The three put together, of the stem as much as there is room for. */
function fitting(stem: string, end: string, extension: string): string {
  const tail = Buffer.byteLength(end + extension) < NAME_MAX ? end + extension : end
  const room = NAME_MAX - Buffer.byteLength(tail)
  let kept = ''
  for (const char of stem) {
    if (Buffer.byteLength(kept + char) > room) break
    kept += char
  }
  return kept + tail
}
