// Room in the folders: when their disks are nearly full, what nothing leads to is removed.

import type { Log } from '../log.ts'
import type { Grid } from '../tahoe/grid.ts'
import type { Collected } from '../tahoe/native/check/gc.ts'
import { inWords } from './words.ts'

/** What may stay free at most for the disks to count as nearly full. */
const FREE = 0.1

/** Milliseconds between two looks, and after a look that found nothing to remove. */
const LOOKS = 60_000
const NOTHING = 60 * 60_000

export type Keeping = {
  readonly grid: Pick<Grid, 'usage'>
  /** Whether something waits for the grid. */
  readonly waits: () => boolean
  /** Null while something else keeps it from that. */
  readonly collect: (signal: AbortSignal) => Promise<Collected | null>
  readonly log: Log
  /** Milliseconds on a clock that only goes forward. */
  readonly now?: () => number
  readonly every?: number
}

/** Looks now and then until the function that it gives is called. */
export function keepRoom({ grid, waits, collect, log, every = LOOKS, now }: Keeping): () => Promise<void> {
  const clock = now ?? (() => performance.now())
  const end = new AbortController()
  let soonest = Number.NEGATIVE_INFINITY
  let looking: Promise<void> | null = null

  const look = async (signal: AbortSignal) => {
    if (clock() < soonest || waits()) return
    const usage = await grid.usage({ signal })
    if (!usage || usage.free >= FREE * usage.total) return
    const collected = await collect(signal)
    if (!collected) return
    const { objects, bytes, stopped } = collected
    if (objects === 0) soonest = clock() + NOTHING
    if (objects > 0)
      log.info({ objects, bytes }, `the disk is nearly full: ${inWords(bytes)} of garbage removed`)
    else log.warn({ stopped }, 'the disk is nearly full, and there is nothing to remove')
  }

  const timer = setInterval(() => {
    looking ??= look(end.signal)
      .catch((err: unknown) => {
        soonest = clock() + NOTHING
        if (!end.signal.aborted) log.warn({ err }, 'garbage could not be collected')
      })
      .finally(() => {
        looking = null
      })
  }, every).unref()

  return async () => {
    clearInterval(timer)
    end.abort()
    await looking
  }
}
