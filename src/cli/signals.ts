// The ends a server may come to.

/** Aborted at the first SIGINT, SIGTERM or SIGHUP; a second one ends the process as it is. */
export function untilSignal(): AbortController {
  const end = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => end.abort(signal))
  return end
}

/** Resolves at the signal, or when the end was asked for over the control socket. */
export async function untilEnd(signal: AbortSignal, stopped: Promise<void>): Promise<void> {
  if (signal.aborted) return
  const ended = Promise.withResolvers<void>()
  signal.addEventListener('abort', () => ended.resolve(), { once: true })
  await Promise.race([ended.promise, stopped])
}
