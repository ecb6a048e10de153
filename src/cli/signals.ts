// The ends a server may come to.

/** Aborted at the first SIGINT, SIGTERM or SIGHUP; a second one ends the process as it is. */
export function untilSignal(): AbortController {
  const end = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => end.abort(signal))
  return end
}

/** What brings a server's end about. */
export type Cause = 'signal' | 'asked' | 'unmounted'

/** Resolves at the signal, or with what else ends it. */
export async function untilEnd(signal: AbortSignal, ended: Promise<Cause>): Promise<Cause> {
  if (signal.aborted) return 'signal'
  const signalled = Promise.withResolvers<Cause>()
  signal.addEventListener('abort', () => signalled.resolve('signal'), { once: true })
  return Promise.race([signalled.promise, ended])
}
