// How soon, and how often, what is changed here is published. All in milliseconds.

export type Tempo = {
  /** A file is complete when nobody has written to it for so long, */
  readonly quiet: number
  /** or for so long, when all of it was made durable: it has been closed. */
  readonly quietDurable: number
  /** A file that is never quiet is published all the same once it has been dirty for so long. */
  readonly dirtyMax: number
  /** A directory is published when no name in it has changed for so long, */
  readonly linger: number
  /** or for so long, when names only leave: they may all leave with the directory itself. */
  readonly lingerRemovals: number
  /** Names that are ready wait at most so long for those that are not, */
  readonly together: number
  /** and so long where the directory is new, or names only leave. */
  readonly togetherNew: number
  /** Before each further try of what failed; the last is repeated. */
  readonly delays: readonly number[]
  /** Between two looks at what has become due. */
  readonly tick: number
}

export const tempo: Tempo = {
  quiet: 3_000,
  quietDurable: 1_000,
  dirtyMax: 60_000,
  linger: 500,
  lingerRemovals: 2_000,
  together: 5_000,
  togetherNew: 30_000,
  delays: [1e3, 2e3, 4e3, 8e3, 16e3, 32e3, 60e3],
  tick: 100,
}
