// The ends a server may come to.

import type { Running } from './server.ts'

/** Resolves at SIGINT, SIGTERM or SIGHUP, or when the end is asked for over the control socket. */
export async function untilEnd(running: Running): Promise<void> {
  const end = Promise.withResolvers<void>()
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.once(signal, () => end.resolve())
  await Promise.race([end.promise, running.stopped])
}
