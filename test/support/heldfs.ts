// A Vfs whose answers come when a test says so: for what is slow, out of order, or broken.

import { FsError } from '../../src/errors.ts'
import type { Call, Vfs } from '../../src/vfs/vfs.ts'

const atOnce: readonly (keyof Vfs)[] = ['known', 'watch', 'freshFor', 'retain', 'release']

/**
 * Before each asynchronous call, `hold(op, id)` is waited for, `id` being the inode
 * it names first. What it throws is what the call throws, and then nothing has happened;
 * a caller whose signal aborts in the meantime gets EAGAIN, and nothing happens either.
 */
export function held(vfs: Vfs, hold: (op: keyof Vfs, id: unknown) => Promise<void> | void): Vfs {
  return new Proxy(vfs, {
    get(target, op: keyof Vfs) {
      const member = target[op]
      if (typeof member !== 'function') return member
      const method = member.bind(target) as (...args: unknown[]) => unknown
      if (atOnce.includes(op)) return method
      return async (...args: unknown[]) => {
        await withPatience(hold(op, args[0]), (args.at(-1) as Call | undefined)?.signal)
        return method(...args)
      }
    },
  })
}

function withPatience(work: Promise<void> | void, signal: AbortSignal | undefined): Promise<void> | void {
  if (!signal) return work
  return new Promise((resolve, reject) => {
    const abort = () => reject(new FsError('EAGAIN', 'the caller waits no longer'))
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    void Promise.resolve(work)
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', abort))
  })
}
