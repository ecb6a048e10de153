// One change, made in memory in one turn of the event loop: what it writes down, what is done once
// that is durable, and what it makes visible. Nothing that is shown changes without one.

import type { Op } from '../state/schema.ts'
import type { FileId } from '../vfs.ts'
import type { Draft } from '../write/draft.ts'
import type { Before } from './news.ts'

export class Change {
  readonly ops: Op[] = []
  readonly after: (() => void)[] = []
  /** Files that were cut or grew: their content is made durable after it. */
  readonly drafts: Draft[] = []
  /** Directories that are gone on the grid and are made again, for the changes that wait in them. */
  readonly madeAgain: { readonly dir: FileId; readonly name: string }[] = []
  /** How what it touches was shown before; null while nobody is told. */
  readonly before: Before | null
  /** Whose call it is. */
  readonly by: object | undefined

  constructor(before: Before | null, by: object | undefined) {
    this.before = before
    this.by = by
  }
}
