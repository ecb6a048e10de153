// A process that changes files and says which changes are acknowledged, to be killed.
// What it needs comes on its standard input: caps are never in argv.

import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { parseCap } from '../../src/tahoe/cap.ts'
import { folderGrid } from './folder-grid.ts'
import { act } from './lanes.ts'
import { openAt, quick } from './places.ts'

let given = ''
for await (const chunk of process.stdin) given += chunk
const { dir, root, seed, next } = JSON.parse(given) as {
  dir: string
  root: string
  seed: string
  next: readonly number[]
}
const grid = await folderGrid(join(dir, 'grid'))
writeSync(1, 'opens\n')
const fs = await openAt(dir, grid, parseCap(root), { tempo: quick, stagingSize: 16 << 20 })
await Promise.all(
  next.map(async (first, lane) => {
    const { id } = await fs.lookup(fs.root, `lane ${lane}`)
    for (let i = first; ; i++) writeSync(1, `${lane} ${i} ${await act(fs, id, seed, lane, i)}\n`)
  }),
)
