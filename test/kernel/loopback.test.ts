// Server and client in one guest: what only a loopback socket of the kernel's own shows.
// The grid stays outside, a real node that the guest reaches at 10.0.2.2.

import test from 'ava'
import { sharedTahoe, whyNoTahoe } from '../support/tahoe.ts'
import { fill } from './grid.ts'
import { treeOf } from './image.ts'
import { judged } from './suite.ts'

await judged(test, 'loopback', {
  scripts: ['test/kernel/loopback.sh'],
  image: { node: true },
  memoryMb: 3072,
  timeoutMs: 1_200_000,
  missing: whyNoTahoe(),
  async world() {
    const node = await sharedTahoe()
    const { files, env } = await fill(node, { crowd: false, bigSize: 16 * 2 ** 20 })
    for (const path of ['src', 'bin', 'scripts', 'package.json', 'test/kernel/tunnel.ts'])
      for (const [to, entry] of await treeOf(path)) files.set(to, entry)
    return { env: { ...env, GATEWAY_PORT: new URL(node.url).port }, files }
  },
})
