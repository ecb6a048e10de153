// Room in staging for what is written: writers are slowed down before it is full, and wait while it drains.

import { setTimeout as sleep } from 'node:timers/promises'
import { FsError } from '../../errors.ts'
import type { Publisher } from './publisher.ts'
import type { Staging } from './staging.ts'

/** The shares of staging's limit from which writers are slowed down, and by how many milliseconds. */
const SLOWDOWNS = [
  [0.95, 50],
  [0.8, 10],
] as const

/** Milliseconds after which it is seen again whether there is room. */
const LOOK = 500

/** Resolves when `bytes` fit. ENOSPC when no room will come; EAGAIN when the caller waits no longer. */
export async function makeRoom(
  bytes: number,
  staging: Staging,
  publisher: Publisher,
  signal: AbortSignal | undefined,
): Promise<void> {
  const share = staging.bytes / staging.limit
  const pause = SLOWDOWNS.find(([from]) => share > from)?.[1]
  if (pause !== undefined) {
    publisher.press()
    await sleep(pause)
  }
  while (!(await staging.fits(bytes))) {
    if (!publisher.drains()) throw new FsError('ENOSPC', 'write: this disk has no room for what waits')
    if (signal?.aborted) throw new FsError('EAGAIN', 'write: no room yet')
    publisher.press()
    await staging.whenFreed(LOOK)
  }
}
