// The kernel's client over a real grid: everything that programs read.

import test from 'ava'
import { sharedTahoe, whyNoTahoe } from '../support/tahoe.ts'
import { fill } from './grid.ts'
import { treeOf } from './image.ts'
import { Served } from './served.ts'
import { judged } from './suite.ts'

await judged(test, 'read', {
  scripts: ['test/kernel/read.sh', 'test/kernel/ended.sh'],
  memoryMb: 768,
  timeoutMs: 420_000,
  missing: whyNoTahoe(),
  async world(teardown) {
    const node = await sharedTahoe()
    const { root, files, env, change } = await fill(node, { crowd: true, bigSize: 64 * 2 ** 20 })
    const server = await Served.start({
      grid: `gateway:${node.url}`,
      root,
      args: ['--read-only', '--dir-ttl', '2'],
    })
    teardown(() => server[Symbol.asyncDispose]())
    for (const [path, entry] of await treeOf('scripts')) files.set(path, entry)
    return { env: { ...env, PORT: server.port }, files, on: { 'change the grid': change } }
  },
})
