// The FUSE frontend over an in-memory file system, as a process of its own: whoever uses the
// mount must not be the one who answers for it. Over IPC it is told what somebody else does to
// the file system, and what it is to wait with.
// Arguments: the mount point, then how requests are read (empty: the best way).

import type { ReaderKind } from '../../src/fuse/device.ts'
import { mountFuse, unmountFuse } from '../../src/fuse/mount.ts'
import { serveFuse } from '../../src/fuse/server.ts'
import type { Vfs } from '../../src/vfs/vfs.ts'
import { held } from './heldfs.ts'
import { MemFs } from './memfs.ts'

export type Ask =
  | { readonly ask: 'vfs'; readonly method: keyof Vfs; readonly args: readonly unknown[] }
  | { readonly ask: 'hold' | 'letGo'; readonly method: keyof Vfs }
  | { readonly ask: 'waiting' | 'stats' | 'abort' }
export type Answer = { readonly number: number; readonly value?: unknown; readonly error?: string }

const [mountpoint, reader = ''] = process.argv.slice(2) as [string, string?]
const owner = { uid: process.getuid!() }
const vfs = new MemFs({ uid: owner.uid, gid: process.getgid!() })
const holds = new Map<keyof Vfs, PromiseWithResolvers<void>>()
let waiting = 0
const slow = held(vfs, async op => {
  const hold = holds.get(op)
  if (!hold) return
  waiting++
  await hold.promise.finally(() => waiting--)
})

const { device } = await mountFuse({ mountpoint, owner, readOnly: false })
const options = reader === '' ? {} : { reader: reader as ReaderKind }
const log = { debug() {}, info() {}, warn: complain, error: complain }
const serving = serveFuse(device, { vfs: slow, owner, log, ...options })

/** What a test has not asked for fails it. */
function complain(what: unknown, message?: string): void {
  process.send!({
    complaint: `${message} ${JSON.stringify(what, (_, v) => (v instanceof Error ? v.stack : v))}`,
  })
}

async function answer(asked: Ask): Promise<unknown> {
  switch (asked.ask) {
    case 'vfs':
      return (vfs[asked.method] as (...args: readonly unknown[]) => unknown)(...asked.args)
    case 'hold':
      holds.set(asked.method, Promise.withResolvers())
      return undefined
    case 'letGo':
      holds.get(asked.method)?.resolve()
      holds.delete(asked.method)
      return undefined
    case 'waiting':
      return waiting
    case 'stats':
      return serving.stats()
    case 'abort':
      return serving.abort()
  }
}

process.on('message', ({ number, asked }: { number: number; asked: Ask }) => {
  answer(asked).then(
    value => process.send!({ number, value }),
    (err: Error) => process.send!({ number, error: err.message }),
  )
})
process.send!({ number: 0, value: vfs.root })
process.once('disconnect', () => void unmountFuse(mountpoint, { lazy: true }).then(() => serving.abort()))
await serving.closed
if (process.connected) process.disconnect()
// A thread may still be in read(2), which an end by itself would wait for.
process.kill(process.pid, 'SIGKILL')
