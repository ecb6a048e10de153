// Loaded into a server beside its program: tells its parent how long its event loop made
// things wait, and how long it computed, since it was asked last. Ends it with its parent.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread } from 'node:worker_threads'

export type Load = {
  /** Milliseconds that the event loop was late. */
  readonly delay: { readonly p50: number; readonly p99: number; readonly max: number }
  /** Seconds of computing, in all threads. */
  readonly cpu: number
}

/** Milliseconds between two looks, which are in every value. */
const RESOLUTION = 1

if (isMainThread && process.send) {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION })
  histogram.enable()
  let before = process.cpuUsage()
  process.on('message', message => {
    if (message !== 'load') return
    const ms = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - RESOLUTION)
    const [p50, p99] = [ms(histogram.percentile(50)), ms(histogram.percentile(99))]
    const { user, system } = process.cpuUsage(before)
    const load: Load = { delay: { p50, p99, max: ms(histogram.max) }, cpu: (user + system) / 1e6 }
    process.send!(load)
    before = process.cpuUsage()
    histogram.reset()
  })
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
  process.channel!.unref() // it ends as it would without us
}
