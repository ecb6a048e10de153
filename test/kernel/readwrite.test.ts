// The kernel's client over a real grid, writing: everything that programs do to a folder, the
// server killed meanwhile, and the grid compared with what the kernel was told.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { makeTree, startTahoe, whyNoTahoe } from '../support/tahoe.ts'
import { treeOf } from './image.ts'
import { listingOf, mustEqual } from './listing.ts'
import { Served } from './served.ts'
import { judged } from './suite.ts'

await judged(test, 'tahoe read-write', {
  scripts: ['readwrite', 'killed', 'published', 'elsewhere', 'emptied', 'gone', 'ended'].map(
    name => `test/kernel/${name}.sh`,
  ),
  memoryMb: 1024,
  timeoutMs: 1_200_000,
  missing: whyNoTahoe(),
  async world(teardown) {
    const dir = await mkdtemp(join(tmpdir(), 'kernel-'))
    teardown(() => rm(dir, { recursive: true, force: true }))
    const start = () => startTahoe(join(dir, 'node'))
    let node = await start() // its own, which can be restarted
    teardown(() => node.stop())
    const root = await makeTree(node, {})
    const server = await Served.start({ grid: `gateway:${node.url}`, root })
    teardown(() => server[Symbol.asyncDispose]())
    const other = await Served.start({
      grid: `gateway:${node.url}`,
      root,
      args: ['--read-only', '--dir-ttl', '0'],
    })
    teardown(() => other[Symbol.asyncDispose]())
    const killed = async (): Promise<void> => {
      await server.kill()
      await server.again()
    }
    /**
     * An upload that is cut off in the moment after its last byte leaves a share that the storage
     * server takes for unfinished, and for half an hour it takes no other of the same content.
     */
    const machineRestarts = async (): Promise<void> => {
      await Promise.all([server.kill(), other.kill(), node.stop()])
      node = await start()
      await Promise.all([server.again(`gateway:${node.url}`), other.again(`gateway:${node.url}`)])
    }
    return {
      env: { PORT: server.port, OTHER_PORT: other.port },
      files: await treeOf('scripts'),
      on: {
        publish: () => server.flush(),
        'kill the server': killed,
        async 'publish while killing'() {
          for (const restart of [killed, killed, machineRestarts]) {
            const flushing = server.flush().catch(() => {}) // its server goes
            await sleep(700)
            await restart()
            await flushing
          }
          await server.flush()
        },
        async 'compare with the grid'(seen) {
          mustEqual(await listingOf(node, root.uri()), seen.split('\n').filter(Boolean).sort())
          const { pending, conflicts, errors } = await server.status()
          const left = [pending.items, conflicts, errors]
          if (left.some(each => each.length > 0)) throw new Error(`left: ${JSON.stringify(left)}`)
        },
      },
    }
  },
})
