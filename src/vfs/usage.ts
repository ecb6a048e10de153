// How large the grid is, as far as it says: asked now and then, and answered from memory.

import type { Grid } from '../tahoe/grid.ts'
import type { Asker } from './ask.ts'
import type { FsStat } from './vfs.ts'

/** Milliseconds for which it is not asked again. */
const AGE = 60_000

/** What is said until the grid has said how large it is: some programs refuse a disk without room. */
const UNKNOWN_SIZE = 2 ** 40

/** Files that can be made, as far as anybody can tell. */
const FILES = 2 ** 31

export class Usage {
  readonly #grid: Grid
  readonly #asker: Asker
  #known = { total: UNKNOWN_SIZE, free: UNKNOWN_SIZE }
  #askedAt = 0

  constructor(grid: Grid, asker: Asker) {
    this.#grid = grid
    this.#asker = asker
  }

  /** What is known, at once; where that is old the grid is asked behind. */
  stat(): FsStat {
    if (Date.now() - this.#askedAt > AGE) {
      this.#askedAt = Date.now()
      void this.#asker
        .once('usage', signal => this.#grid.usage({ signal }))
        .then(usage => {
          if (usage) this.#known = usage
        })
        .catch(() => {}) // noted by the asker; what was known stays
    }
    const { total, free } = this.#known
    return { totalBytes: total, freeBytes: free, totalFiles: FILES, freeFiles: FILES }
  }
}
