// What every mount must do, through this machine's own kernel over FUSE: the file system over a folder of shares, with no
// grid and no Python, served by the command as a user starts it.

import test from 'ava'
import { whyNoFuse } from '../../src/fuse/machine.ts'
import type { Interruption } from './fsx.ts'
import { mounted } from './mounted.ts'
import { OverFuse } from './over-fuse.ts'

/** The kernel lets go of the files' bytes; of these alone, for other tests have files open too. */
const dropped = 'for each in *; do dd if="$each" iflag=nocache count=0 status=none; done'

const between: readonly Interruption[] = [
  { happens: { ask: 'remount' }, every: 500, files: 'closed' },
  { happens: { ask: 'kill the server' }, every: 400, files: 'lost', kept: 'acknowledged' },
  { happens: { sh: dropped }, every: 100, files: 'stay' },
]

mounted(
  test,
  'over FUSE',
  async () => {
    const server = await OverFuse.start()
    return {
      dir: server.mountpoint,
      close: () => server[Symbol.asyncDispose](),
      on: {
        async remount() {
          await server.stop()
          await server.again()
        },
        async 'kill the server'() {
          await server.kill()
          await server.again()
        },
      },
    }
  },
  { missing: await whyNoFuse(), fsx: { steps: 10_000, between } },
)
