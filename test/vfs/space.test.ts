// A disk that others fill: content is refused first, names only when hardly anything is left.

import test, { type ExecutionContext } from 'ava'
import { codeOf } from '../../src/errors.ts'
import type { Tahoefs } from '../../src/vfs/tahoefs.ts'
import { disk } from '../../src/vfs/write/disk.ts'
import { Space } from '../../src/vfs/write/space.ts'
import { namesIn, opened, quick, settled, textOf } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'
import { make } from './walk.ts'

const TOTAL = 10 * 2 ** 30

/** The last of them is what even names leave alone. */
const [ROOMY, RESERVE, LAST] = [TOTAL / 2, TOTAL * 0.02, TOTAL * 0.002]

async function world(t: ExecutionContext) {
  const grid = new TinyGrid()
  const root = grid.directory({ gone: grid.file('g'), old: grid.file('o') })
  let free = ROOMY
  const space = async () => ({ total: TOTAL, free })
  const fs = await opened(t, grid, root, { tempo: quick, disk: { ...disk, space } })
  const id = await make(fs, fs.root, 'f', 'kept')
  const write = (data: Uint8Array = Buffer.from('more')) => fs.write(id, 4, data, 'stable')
  /** From now on so much is free; it is noticed soon. */
  const leave = async (bytes: number, noticed: () => Promise<unknown>, code: string | null) => {
    free = bytes
    await settled(async () => (await noticed().then(() => null, codeOf)) === code)
  }
  return { grid, root, fs, id, write, leave }
}

/** Every kind of change of a name or an attribute, and back to where it began. */
const changes = (fs: Tahoefs): (() => Promise<unknown>)[] => [
  () => fs.mkdir(fs.root, 'd', {}),
  () => fs.rename(fs.root, 'd', fs.root, 'e'),
  () => fs.rmdir(fs.root, 'e'),
  () => fs.create(fs.root, 'n', { mode: 'guarded', attrs: {} }),
  () => fs.symlink(fs.root, 'l', Buffer.from('to'), {}),
  async () => fs.link((await fs.lookup(fs.root, 'old')).id, fs.root, 'second'),
  async () => fs.setattr((await fs.lookup(fs.root, 'old')).id, { mode: 0o600 }),
  async () => fs.setattr((await fs.lookup(fs.root, 'old')).id, { size: 0 }),
  () => fs.remove(fs.root, 'gone'),
]

test('below the reserve of the disk content is refused, and names and attributes are not', async t => {
  const { grid, root, fs, id, write, leave } = await world(t)
  await leave(RESERVE, write, 'ENOSPC')
  for (const change of changes(fs)) await t.notThrowsAsync(change())
  await t.throwsAsync(write(Buffer.from('else')), { code: 'ENOSPC' })
  t.is(fs.status().trouble, null)
  await fs.flush(null) // which needs room for nothing but names
  t.deepEqual(Object.keys(grid.toTree(root)).sort(), ['f', 'l', 'n', 'old', 'second'])
  t.is(await textOf(fs, id), 'keptmore')
  await leave(ROOMY, () => write(Buffer.from('else')), null)
  t.is(await textOf(fs, id), 'keptelse')
})

test('what is written counts before the disk is asked again, and what is removed has it asked', async t => {
  let asked = 0
  const ask = async () => {
    asked++
    return { total: TOTAL, free: RESERVE + (1 << 20) }
  }
  const space = new Space({ ...disk, space: ask }, '')
  await settled(async () => {
    space.forget()
    t.true(await space.fits(1 << 16))
    const before = asked
    space.took(1 << 20)
    const fits = await space.fits(1 << 16)
    return asked === before && !fits // unless this process slept long in between
  })
  space.forget()
  t.true(await space.fits(1 << 16))
})

test('below the last reserve names and attributes are refused too, until there is room again', async t => {
  const { grid, root, fs, id, write, leave } = await world(t)
  const before = await namesIn(fs, fs.root)
  await leave(LAST, () => fs.setattr(id, { mode: 0o600 }), 'ENOSPC')
  for (const change of [...changes(fs), write]) await t.throwsAsync(change(), { code: 'ENOSPC' })
  t.deepEqual(await namesIn(fs, fs.root), before)
  t.is(await textOf(fs, id), 'kept')
  t.is(fs.status().trouble, null)
  await leave(ROOMY, write, null)
  for (const change of changes(fs)) await t.notThrowsAsync(change())
  await fs.flush(null)
  t.is(grid.bytes(grid.children(root).get('f')!.cap).toString(), 'keptmore')
})
