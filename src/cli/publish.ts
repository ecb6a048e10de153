// Having what waits published, and waiting for it.

import { setTimeout as sleep } from 'node:timers/promises'
import { askControl } from '../control/client.ts'
import { FsError } from '../errors.ts'
import { line } from './live.ts'
import { at, type Found, type Status } from './places.ts'
import type { Running } from './server.ts'
import { untilSignal } from './signals.ts'
import { amount, toGo, type Waiting } from './waiting.ts'
import { Wrong } from './wrong.ts'

/** Milliseconds that an end takes to publish what it can, when nobody said how long it may. */
export const GRACE = 10_000

/** Milliseconds between two looks at a server that publishes. */
const INTERVAL = 1000

/**
 * Has what waits published, below `path` or all of it. With a signal it waits until that is
 * done, and shows how it goes on a terminal. The server's last status, or null when the signal
 * ended the wait; the work itself goes on.
 */
export async function publish(
  { socket, status }: Found,
  path: string | null,
  signal?: AbortSignal,
): Promise<Status | null> {
  const query = new URLSearchParams(path === null ? {} : { path })
  if (signal) query.set('wait', 'yes')
  // It takes as long as it takes, but not when the server does not even tell how it stands.
  const over = new AbortController()
  const watching = signal && watched(status.state, over)
  const patience = signal && AbortSignal.any([signal, over.signal])
  try {
    const timing = patience ? { timeoutMs: 0, signal: patience } : {}
    const answer = await askControl(socket, 'POST', `/flush?${query}`, timing)
    if (answer === null) throw new Wrong(ended(status.state))
    return answer as Status
  } catch (err) {
    if (signal?.aborted) return null
    if (over.signal.aborted) throw over.signal.reason
    if (err instanceof FsError || err instanceof Wrong) throw err
    const gone = (await at(status.state).catch(() => 'silent')) === null
    throw new Wrong(gone ? ended(status.state) : (err as Error).message)
  } finally {
    over.abort()
    await watching
  }
}

const ended = (state: string): string =>
  `the server has ended; what was not published is kept in ${state} for its next start`

/** Looks at the server until `over`, which a server that does not answer brings about. */
async function watched(state: string, over: AbortController): Promise<void> {
  const { show, end } = line()
  while (!over.signal.aborted) {
    try {
      const found = await at(state)
      if (!found) throw new Wrong(ended(state))
      if (!over.signal.aborted) show(toGo(found.status.pending))
    } catch (err) {
      over.abort(err)
    }
    await sleep(INTERVAL, undefined, { signal: over.signal }).catch(() => {})
  }
  end()
}

/** What an end has still to do, and for how many milliseconds it may. */
export const first = (pending: Waiting, ms: number | null): string =>
  `${amount(pending)} to publish first${ms === null ? '' : `, for at most ${ms / 1000} s`}`

/** The last while of a server that was told to end by a signal: it publishes what it can. What is left then. */
export async function lastWhile(running: Running): Promise<Waiting> {
  const { pending } = running.status()
  if (pending.files === 0) return pending
  const { signal } = untilSignal()
  console.error(`${first(pending, GRACE)}; a second ^C keeps it for the next start`)
  await running.publish(AbortSignal.any([signal, AbortSignal.timeout(GRACE)]))
  return running.status().pending
}
