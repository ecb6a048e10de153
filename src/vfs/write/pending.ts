// What waits for the grid, as it is told to people: `status` shows it.

/** One file, directory or name that the grid does not have yet as it is here. */
export type PendingItem = {
  /** From the root, as it is shown: `/letters/a.txt`. */
  readonly path: string
  /**
   * open: still being written; waiting: complete, its turn has not come; uploading: on its way;
   * linking: its content is on the grid, its name not yet; removing: a name that must go.
   */
  readonly state: 'open' | 'waiting' | 'uploading' | 'linking' | 'removing'
  /** Bytes of content; 0 for a name alone. */
  readonly bytes: number
  /** Bytes of it that have been sent. */
  readonly sent: number
  /** Since when it differs from the grid, in milliseconds since 1970. */
  readonly since: number
  /** Why it is still here, when it was tried in vain; null when it was not. */
  readonly error: string | null
  /** When it is tried again, in milliseconds since 1970. */
  readonly retryAt: number | null
}

export type Pending = {
  /** How many items there are in all. */
  readonly files: number
  /** Bytes of content that the grid does not have. */
  readonly bytes: number
  /** Since when the oldest waits, in milliseconds since 1970; null when nothing waits. */
  readonly oldest: number | null
  /** The oldest of them, at most 100. */
  readonly items: readonly PendingItem[]
}

/** What two sides changed at once, and what became of it. */
export type Conflict = {
  /** The name that both changed, from the root. */
  readonly path: string
  /** Where our side is now, from the root; null when there is only the other side's. */
  readonly copy: string | null
  /** When it was found, in milliseconds since 1970. */
  readonly at: number
  /** One line for a person, without the paths. */
  readonly what: string
}
