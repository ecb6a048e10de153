// What every mount must do, through this machine's own kernel over FUSE: the file system over a folder of shares, with no
// grid and no Python, served by the command as a user starts it.

import test from 'ava'
import { whyNoFuse } from '../../src/fuse/machine.ts'
import type { Interruption } from './fsx.ts'
import { mounted, type Place } from './mounted.ts'
import { OverFuse } from './over-fuse.ts'

/** The kernel lets go of the files' bytes; of these alone, for other tests have files open too. */
const dropped = 'for each in *; do dd if="$each" iflag=nocache count=0 status=none; done'

const between: readonly Interruption[] = [
  { happens: { ask: 'remount' }, every: 1500, files: 'closed' },
  { happens: { ask: 'kill the server' }, every: 500, files: 'lost', kept: 'acknowledged' },
  { happens: { sh: dropped }, every: 100, files: 'stay' },
]

const missing = await whyNoFuse()
let server: OverFuse | undefined

async function open(): Promise<Place> {
  const served = (server = await OverFuse.start())
  return {
    dir: served.mountpoint,
    close: () => served[Symbol.asyncDispose](),
    on: {
      async remount() {
        await served.stop()
        await served.again()
      },
      async 'kill the server'() {
        await served.kill()
        await served.again()
      },
    },
  }
}

mounted(test, 'over FUSE', open, { missing, limitMs: 300_000, fsx: { steps: 10_000, between } })

if (missing === null)
  test.serial(
    'over FUSE: after all of it nothing waits, nothing is in conflict, and nothing is wrong',
    async t => {
      t.timeout(300_000)
      await server!.flush()
      const { pending, conflicts, errors } = await server!.status()
      t.deepEqual([pending.items, conflicts, errors], [[], [], []])
    },
  )
