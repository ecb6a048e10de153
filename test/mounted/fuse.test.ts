// What every mount must do, through this machine's own kernel over FUSE: the file system over a folder of shares, with no
// grid and no Python, served by the command as a user starts it.

import test from 'ava'
import { whyNoFuse } from '../../src/fuse/machine.ts'
import type { Interruption } from './fsx.ts'
import { mounted } from './mounted.ts'
import { OverFuse } from './over-fuse.ts'

const isRoot = process.getuid?.() === 0

const dropped: Interruption = {
  happens: { sh: 'echo 3 >/proc/sys/vm/drop_caches' },
  every: 150,
  files: 'stay',
}

const between: readonly Interruption[] = [
  { happens: { ask: 'remount' }, every: 500, files: 'closed' },
  { happens: { ask: 'kill the server' }, every: 400, files: 'lost', kept: 'acknowledged' },
  ...(isRoot ? [dropped] : []),
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
