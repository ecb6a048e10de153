// The file system over a grid keeps the rules, and the grid has in the end what it showed.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Cap, LIT_MAX, litCap } from '../../src/tahoe/cap.ts'
import type { Metadata } from '../../src/tahoe/grid.ts'
import { Turns } from '../../src/tahoe/turns.ts'
import { Tahoefs } from '../../src/vfs/tahoefs.ts'
import { capMark } from '../../src/vfs/tree/edge.ts'
import { TinyGrid } from '../support/tiny-grid.ts'
import { conforms, type Subject } from './conformance.ts'
import { sameElsewhere } from './elsewhere.ts'
import { type Planted, tree } from './tree.ts'

/** What a grid holds for `planted`: a symlink is a file of its target that says so beside its name. */
function stored(grid: TinyGrid, planted: Planted): Cap | readonly [Cap, Metadata] {
  if ('directory' in planted) return directory(grid, planted.directory)
  if ('file' in planted)
    return planted.file.length <= LIT_MAX ? litCap(planted.file) : grid.file(planted.file)
  const cap = litCap(Buffer.from(planted.symlink))
  return [
    cap,
    { 'tahoe-nfs': { v: 1, of: capMark(cap), mode: 0o777, mtime: '1.000000000', type: 'symlink' } },
  ]
}

/** A grid keeps names in NFC. */
function directory(grid: TinyGrid, what: { readonly [name: string]: Planted }): Cap {
  const children = Object.entries(what).map(([name, each]) => [name.normalize('NFC'), stored(grid, each)])
  return grid.directory(Object.fromEntries(children))
}

/** Rules that are tried at a time: each has a thread of its own. */
const turns = new Turns(8)

for (const [name, cacheSize] of [
  ['tahoefs', 2 ** 26],
  ['tahoefs without a cache', 0],
] as const) {
  conforms(name, () => over(cacheSize), { write: true, restart: true })
}

async function over(cacheSize: number): Promise<Subject> {
  const end = await turns.take('a rule')
  const grid = new TinyGrid()
  const dir = mkdtempSync(join(tmpdir(), 'tahoefs-conforms-'))
  const [stateDir, cacheDir] = [join(dir, 'state'), join(dir, 'cache')]
  const owner = { uid: 1000, gid: 100 }
  const root = directory(grid, tree)
  const open = () => Tahoefs.open({ grid, root, stateDir, cacheDir, cacheSize, ttl: 20_000, owner })
  let vfs = await open()
  return {
    vfs,
    judge: t => sameElsewhere(t, vfs, grid, root),
    async close() {
      await vfs.close()
      rmSync(dir, { recursive: true })
      end()
    },
    async restart() {
      await vfs.close()
      vfs = await open()
      return vfs
    },
  }
}
