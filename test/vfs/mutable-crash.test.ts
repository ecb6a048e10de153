// A machine that dies while a mutable file is written to leaves on the grid the old content or the
// new, and never anything in between.

import test, { type ExecutionContext } from 'ava'
import type { Tahoefs } from '../../src/vfs/tahoefs.ts'
import { Mortal } from '../support/mortal.ts'
import { folder, onlyAsked } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'

type Deed = (fs: Tahoefs, id: bigint) => Promise<unknown>

const old = 'as it was'

/** Dies at step `last` of a deed; the next process publishes what it finds. Whether it had to die. */
async function dies(t: ExecutionContext, last: number, deed: Deed, results: readonly string[]) {
  const grid = new TinyGrid()
  const cap = grid.mutable(old)
  const root = grid.directory({ m: cap })
  const dir = await folder(t)
  const first = await Mortal.open(dir, grid, root, last, { tempo: onlyAsked }).catch(() => null)
  if (!first) return true
  const { machine, fs } = first
  let acknowledged = false
  try {
    await deed(fs, (await fs.lookup(fs.root, 'm')).id)
    acknowledged = true
  } catch (err) {
    if (!machine.isDead) throw err
  }
  await machine.die(fs)
  const { fs: again, machine: second } = await Mortal.open(dir, grid, root)
  await again.flush(null)
  const found = grid.bytes(cap).toString()
  const possible = acknowledged ? results.slice(-1) : [old, ...results]
  t.true(possible.includes(found), `died at step ${last}, ${machine.steps.at(-1)}: ${JSON.stringify(found)}`)
  t.deepEqual(again.status().conflicts, [])
  await second.die(again)
  return machine.steps.length > last
}

const deeds: Record<string, { deed: Deed; results: readonly string[] }> = {
  'is written to': {
    deed: (fs, id) => fs.write(id, 0, Buffer.from('AS'), 'stable'),
    results: ['AS it was'],
  },
  'is cut to nothing': { deed: (fs, id) => fs.setattr(id, { size: 0 }), results: [''] },
  'is cut to nothing and written again': {
    deed: async (fs, id) => {
      await fs.setattr(id, { size: 0 })
      await fs.write(id, 0, Buffer.from('new'), 'stable')
    },
    results: ['', 'new'],
  },
  'is prolonged': { deed: (fs, id) => fs.setattr(id, { size: 11 }), results: ['as it was\0\0'] },
}

for (const [what, { deed, results }] of Object.entries(deeds))
  test(`whenever the machine dies, a mutable file that ${what} is as before or as after`, async t => {
    let last = 1
    while (await dies(t, last, deed, results)) last++
    t.true(last > 4, `${last} steps`)
  })
