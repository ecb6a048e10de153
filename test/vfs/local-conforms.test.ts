// The file system over a folder of shares keeps the rules, and the shares hold in the end what it
// showed, also for whoever opens the folder anew.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { Child, Grid } from '../../src/tahoe/grid.ts'
import { native } from '../../src/tahoe/native/native.ts'
import { Secrets } from '../../src/tahoe/native/secrets.ts'
import { LocalServer } from '../../src/tahoe/storage/local.ts'
import { Turns } from '../../src/tahoe/turns.ts'
import { capMark } from '../../src/vfs/tree/edge.ts'
import { goldenNode } from '../support/golden.ts'
import { openAt } from '../support/places.ts'
import { sourceOf } from '../support/tahoe-bytes.ts'
import { conforms } from './conformance.ts'
import { sameElsewhere } from './elsewhere.ts'
import { type Planted, tree } from './tree.ts'

/** Rules that are tried at a time: each has a thread of its own. */
const turns = new Turns(8)

async function openGrid(): Promise<{ grid: Grid; close(): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'tahoe-nfs-local-'))
  const grid = native({
    servers: [await LocalServer.open({ dir })],
    secrets: new Secrets(goldenNode.convergence, goldenNode.leaseSecret),
    shares: { needed: 1, happy: 1, total: 1 },
  })
  const close = async () => {
    await grid.close()
    await rm(dir, { recursive: true })
  }
  return { grid, close }
}

async function stored(grid: Grid, planted: Planted): Promise<Child> {
  if ('directory' in planted) return { cap: await plant(grid, planted.directory), metadata: {} }
  const bytes = 'file' in planted ? planted.file : Buffer.from(planted.symlink)
  const cap = await grid.upload(sourceOf(bytes))
  if ('file' in planted) return { cap, metadata: { mtime: 1.7e9 } }
  return { cap, metadata: { 'tahoe-nfs': { v: 1, of: capMark(cap), type: 'symlink' } } }
}

async function plant(grid: Grid, what: { readonly [name: string]: Planted }): Promise<Cap> {
  const children = new Map<string, Child>()
  for (const [name, planted] of Object.entries(what)) children.set(name, await stored(grid, planted))
  return grid.mkdir(children)
}

/** One folder for all rules, each with a root of its own in it. */
const opened = openGrid()
test.after.always(async () => (await opened).close())

conforms(
  'tahoefs over a folder of shares',
  async () => {
    const end = await turns.take('a rule')
    const { grid } = await opened
    const root = await plant(grid, tree)
    const dir = await mkdtemp(join(tmpdir(), 'tahoe-nfs-test-'))
    let vfs = await openAt(dir, grid, root)
    return {
      vfs,
      judge: t => sameElsewhere(t, vfs, grid, root),
      async close() {
        await vfs.close()
        await rm(dir, { recursive: true, force: true })
        end()
      },
      async restart() {
        await vfs.close()
        vfs = await openAt(dir, grid, root)
        return vfs
      },
    }
  },
  { write: true, restart: true },
)
