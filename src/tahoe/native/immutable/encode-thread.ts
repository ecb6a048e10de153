// The thread that encodes. It is asked one thing after another about the files it has open.

import { parentPort } from 'node:worker_threads'
import type { Shape } from '../../format/chk/shape.ts'
import { DirectEncoding } from './encoding.ts'

export type Ask = { readonly id: number; readonly job: number } & (
  | { readonly what: 'open'; readonly convergence: Uint8Array; readonly shape: Shape }
  | { readonly what: 'digest' | 'segment'; readonly segment: Uint8Array<ArrayBuffer> }
  | { readonly what: 'key' | 'finish' | 'end' }
)

export type Answer = { readonly id: number; readonly value?: unknown; readonly error?: string }

/** Bytes from which memory is handed over and not copied; shorter pieces share theirs with others. */
const HANDED_OVER = 64 * 1024

const jobs = new Map<number, DirectEncoding>()

async function answer(ask: Ask): Promise<unknown> {
  if (ask.what === 'open') {
    jobs.set(ask.job, new DirectEncoding(ask.convergence, ask.shape))
    return undefined
  }
  const job = jobs.get(ask.job)!
  if (ask.what === 'digest') return await job.digest(ask.segment)
  if (ask.what === 'segment') return await job.segment(ask.segment)
  if (ask.what === 'key') return await job.key()
  if (ask.what === 'finish') return await job.finish()
  jobs.delete(ask.job)
  return undefined
}

const memoryOf = (value: unknown): ArrayBuffer[] =>
  Array.isArray(value)
    ? [
        ...new Set(
          (value as Uint8Array<ArrayBuffer>[])
            .filter(({ byteLength }) => byteLength >= HANDED_OVER)
            .map(({ buffer }) => buffer),
        ),
      ]
    : []

parentPort?.on('message', (ask: Ask) => {
  answer(ask).then(
    value => parentPort!.postMessage({ id: ask.id, value }, memoryOf(value)),
    (err: Error) => parentPort!.postMessage({ id: ask.id, error: `encode: ${err.message}` }),
  )
})
