// The kernel's client over a folder of shares, with no grid and no Python: everything that programs
// do, the server killed meanwhile, and the shares compared with what the kernel was told.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { treeOf } from './image.ts'
import { heldIn, mustEqual } from './listing.ts'
import { Served } from './served.ts'
import { judged } from './suite.ts'

await judged(test, 'local read-write', {
  scripts: ['readwrite', 'killed', 'published', 'emptied', 'gone', 'ended'].map(
    name => `test/kernel/${name}.sh`,
  ),
  memoryMb: 1024,
  timeoutMs: 1_200_000,
  async world(teardown) {
    const dir = await mkdtemp(join(tmpdir(), 'kernel-local-'))
    teardown(() => rm(dir, { recursive: true, force: true }))
    const store = join(dir, 'store')
    const server = await Served.start({ grid: `local:${store}`, root: null })
    teardown(() => server[Symbol.asyncDispose]())
    const killed = async (): Promise<void> => {
      await server.kill()
      await server.again()
    }
    return {
      env: { PORT: server.port },
      files: await treeOf('scripts'),
      on: {
        publish: () => server.flush(),
        'kill the server': killed,
        async 'publish while killing'() {
          for (let i = 0; i < 4; i++) {
            const flushing = server.flush().catch(() => {}) // its server goes
            await sleep(i * 150)
            await killed()
            await flushing
          }
          await server.flush()
        },
        async 'compare with the grid'(seen) {
          const { pending, conflicts, errors } = await server.status()
          const left = [pending.items, conflicts, errors]
          if (left.some(each => each.length > 0)) throw new Error(`left: ${JSON.stringify(left)}`)
          await server.stop()
          mustEqual(await heldIn(store), seen.split('\n').filter(Boolean).sort())
          await server.again()
        },
      },
    }
  },
})
