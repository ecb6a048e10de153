// Small calls in a row, on as many threads as asked for: how many of them a folder answers in a second.
//
//   node syscalls.ts DEED DIR MILLISECONDS THREADS    prints the rates as JSON

import { execFile } from 'node:child_process'
import { closeSync, fsyncSync, openSync, readdirSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

export type Deed = 'files' | 'durable' | 'stat' | 'missing' | 'open'

/** Calls in a second, by what was done. */
export type Rates = Readonly<Record<string, number>>

type Orders = { readonly deed: Deed; readonly dir: string; readonly ms: number; readonly index: number }

/** Files that `files` makes at most. */
const FILES = 1000

/** Milliseconds from starting the threads until all of them begin. */
const START = 150

/** Does it `times` times, or as often as the time allows. */
function rate(
  ms: number,
  work: (i: number) => void,
  times = Number.POSITIVE_INFINITY,
): { rate: number; done: number } {
  const begun = performance.now()
  let done = 0
  while (done < times && performance.now() - begun < ms) work(done++)
  return { rate: (1000 * done) / (performance.now() - begun), done }
}

const filesIn = (dir: string): string[] => readdirSync(dir).map(name => join(dir, name))

const deeds: Record<Deed, (orders: Orders) => Rates> = {
  files({ dir, ms, index }) {
    const path = (i: number) => join(dir, `made ${index} ${i}`)
    const made = rate(ms, i => closeSync(openSync(path(i), 'wx')), FILES)
    const seen = rate(ms, i => void statSync(path(i)), made.done)
    const gone = rate(Number.POSITIVE_INFINITY, i => unlinkSync(path(i)), made.done)
    return { create: made.rate, stat: seen.rate, unlink: gone.rate }
  },
  durable({ dir, ms, index }) {
    const path = (i: number) => join(dir, `durable ${index} ${i}`)
    const names = openSync(dir, 'r')
    const create = (i: number) => {
      closeSync(openSync(path(i), 'wx'))
      fsyncSync(names)
    }
    const unlink = (i: number) => {
      unlinkSync(path(i))
      fsyncSync(names)
    }
    const made = rate(ms, create, FILES)
    const gone = rate(Number.POSITIVE_INFINITY, unlink, made.done)
    closeSync(names)
    return { create: made.rate, unlink: gone.rate }
  },
  stat({ dir, ms }) {
    const paths = filesIn(dir)
    return { stat: rate(ms, i => void statSync(paths[i % paths.length]!)).rate }
  },
  missing({ dir, ms, index }) {
    const look = (i: number) =>
      void statSync(join(dir, `none ${process.pid} ${index} ${i}`), { throwIfNoEntry: false })
    return { lookup: rate(ms, look).rate }
  },
  open({ dir, ms }) {
    const paths = filesIn(dir)
    return { open: rate(ms, i => closeSync(openSync(paths[i % paths.length]!, 'r'))).rate }
  },
}

/** Runs it in a process of its own. */
export async function syscalls(deed: Deed, dir: string, ms: number, threads = 1): Promise<Rates> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    import.meta.filename,
    deed,
    dir,
    String(ms),
    String(threads),
  ])
  return JSON.parse(stdout) as Rates
}

if (!isMainThread) {
  const { at, ...orders } = workerData as Orders & { at: number }
  while (Date.now() < at) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
  parentPort!.postMessage(deeds[orders.deed](orders))
} else if (process.argv[1] === import.meta.filename) {
  const [deed, dir, ms, threads] = process.argv.slice(2)
  const at = Date.now() + START
  const each = Array.from({ length: Number(threads) }, async (_, index) => {
    const worker = new Worker(import.meta.filename, { workerData: { deed, dir, ms: Number(ms), index, at } })
    return new Promise<Rates>((resolve, reject) => worker.once('message', resolve).once('error', reject))
  })
  const all = await Promise.all(each)
  const sums = Object.keys(all[0]!).map(name => [name, all.reduce((sum, rates) => sum + rates[name]!, 0)])
  console.log(JSON.stringify(Object.fromEntries(sums)))
}
