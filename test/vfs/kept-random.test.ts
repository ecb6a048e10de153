// Process after process, each killed: every file holds what was written to it, whatever was published, cut,
// replaced or committed meanwhile.

import test, { type ExecutionContext } from 'ava'
import type { FileId, Vfs } from '../../src/vfs/vfs.ts'
import { Random } from '../mounted/fsx-random.ts'
import { Shadow } from '../mounted/fsx-shadow.ts'
import { Mortal } from '../support/mortal.ts'
import { folder } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'
import { content } from './walk.ts'

/** Bytes of the largest file, and of the longest write. */
const MOST = 65_536
const LONGEST = 16_384

const STEPS = 300

type File = { name: string; id: FileId; isOpen: boolean; readonly shadow: Shadow }

type Step = { readonly number: number; readonly fs: Vfs; readonly file: File; readonly random: Random }

type Deed = (step: Step) => Promise<void>

const writes: Deed = async ({ number, fs, file: { id, shadow }, random }) => {
  const size = shadow.content.length
  const at = random.below(3) === 0 ? size : random.below(Math.min(size + 1, MOST))
  const data = random.bytes(Math.min(1 + random.size(LONGEST - 1), MOST - at))
  if (data.length === 0) return
  shadow.write(number, at, data)
  await fs.write(id, at, data, 'kept')
}

const cuts: Deed = async ({ number, fs, file: { id, shadow }, random }) => {
  const size = random.size(random.below(2) === 0 ? shadow.content.length : MOST)
  shadow.resize(number, size)
  await fs.setattr(id, { size })
}

const empties: Deed = async ({ number, fs, file: { id, shadow } }) => {
  shadow.resize(number, 0)
  await fs.setattr(id, { size: 0 })
}

const syncs: Deed = async ({ number, fs, file: { id, shadow } }) => {
  shadow.did(number, 'sync')
  await fs.commit(id)
}

/** Its last release: it is published soon after. */
const closes: Deed = async ({ number, fs, file }) => {
  file.shadow.did(number, 'close')
  fs.release(file.id)
  file.isOpen = false
}

const moves: Deed = async ({ number, fs, file }) => {
  const to = `${file.name[0]}${number}`
  await fs.rename(fs.root, file.name, fs.root, to)
  file.name = to
}

const replaces: Deed = async ({ number, fs, file, random }) => {
  const data = random.bytes(1 + random.size(LONGEST))
  const { attr } = await fs.create(fs.root, 'new', { mode: 'guarded', attrs: {} })
  fs.retain(attr.id)
  await fs.write(attr.id, 0, data, 'kept')
  await fs.rename(fs.root, 'new', fs.root, file.name)
  fs.release(file.id)
  file.id = attr.id
  file.shadow.beAnew(number, 'replaced')
  file.shadow.write(number, 0, data)
}

const waits: Deed = ({ random }) => new Promise(resolve => setTimeout(resolve, random.below(40)))

const looks: Deed = async ({ fs, file }) =>
  file.shadow.check(await content(fs, file.id), `what ${file.name} shows`)

const table: readonly (readonly [number, Deed | 'killed'])[] = [
  [40, writes],
  [10, cuts],
  [2, empties],
  [6, syncs],
  [8, closes],
  [3, moves],
  [3, replaces],
  [6, waits],
  [8, looks],
  [5, 'killed'],
]

async function lives(t: ExecutionContext, seed: number): Promise<void> {
  const random = new Random(seed)
  const grid = new TinyGrid()
  const root = grid.directory()
  const dir = await folder(t)
  let { machine, fs } = await Mortal.open(dir, grid, root)
  const files: File[] = []
  for (const name of ['a', 'b', 'c']) {
    const { id } = (await fs.create(fs.root, name, { mode: 'guarded', attrs: {} })).attr
    files.push({ name, id, isOpen: false, shadow: new Shadow(Buffer.alloc(0), { remembers: false }) })
  }
  let number = 0
  try {
    while (number++ < STEPS) {
      const file = files[random.below(files.length)]!
      const deed = random.weighted(table)
      if (deed !== 'killed') {
        if (!file.isOpen) fs.retain(file.id)
        file.isOpen = true
        await deed({ number, fs, file, random })
        continue
      }
      await machine.die(fs, 'none')
      ;({ machine, fs } = await Mortal.open(dir, grid, root))
      for (const each of files) {
        each.shadow.did(number, 'killed')
        each.id = (await fs.lookup(fs.root, each.name)).id
        each.isOpen = false
        each.shadow.check(await content(fs, each.id), `what ${each.name} shows after the kill`)
      }
    }
  } catch (err) {
    throw new Error(`seed ${seed}, step ${number}: ${(err as Error).message}`, { cause: err })
  } finally {
    await machine.die(fs, 'none')
  }
}

test('through kill after kill every file holds what was written to it', async t => {
  t.timeout(170_000)
  const seed = Number(process.env['FSX_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  for (let i = 0; i < 3; i++) await lives(t, seed + i)
  t.pass()
})
