// Server and client in one guest with less memory than is written: staging on a disk while the
// grid is away, and kill -9 with dirty pages in the client.

import test from 'ava'
import { makeTree, sharedTahoe, whyNoTahoe } from '../support/tahoe.ts'
import { treeOf } from './image.ts'
import { listingOf, mustEqual } from './listing.ts'
import { judged } from './suite.ts'

await judged(test, 'pressure', {
  scripts: ['test/kernel/pressure.sh'],
  image: { node: true },
  memoryMb: 768,
  diskBytes: 16 * 2 ** 30, // a quarter of it may wait for the grid
  timeoutMs: 300_000,
  missing: whyNoTahoe(),
  async world() {
    const node = await sharedTahoe()
    const root = await makeTree(node, {})
    const files = await treeOf('src')
    for (const path of ['bin', 'scripts', 'package.json', 'test/kernel/tunnel.ts'])
      for (const [to, entry] of await treeOf(path)) files.set(to, entry)
    files.set('job/root', { kind: 'file', mode: 0o600, data: Buffer.from(`${root.uri()}\n`) })
    return {
      env: { GATEWAY_PORT: new URL(node.url).port, BYTES: String(256 * 2 ** 20) },
      files,
      on: {
        async 'compare with the grid'(seen) {
          mustEqual(await listingOf(node, root.uri()), seen.split('\n').filter(Boolean).sort())
        },
      },
    }
  },
})
