// What was kept: the next process has it as this one showed it, unless bytes of it are gone, and then
// that is said.

import { readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test, { type ExecutionContext } from 'ava'
import { type Log, silent } from '../../src/log.ts'
import { State } from '../../src/vfs/state/state.ts'
import type { Tahoefs, TahoefsOptions } from '../../src/vfs/tahoefs.ts'
import { type Disk, disk } from '../../src/vfs/write/disk.ts'
import { framesOf } from '../../src/vfs/write/frame.ts'
import { Staging } from '../../src/vfs/write/staging.ts'
import { Mortal } from '../support/mortal.ts'
import { folder, onlyAsked, settled, textOf } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'
import { sameElsewhere } from './elsewhere.ts'
import { noise } from './tree.ts'
import { content, make } from './walk.ts'

/** A file system whose process can end; what it warned of. */
async function world(t: ExecutionContext, options: Partial<TahoefsOptions> = {}) {
  const grid = new TinyGrid()
  const mutable = grid.mutable('mutable as it was')
  const root = grid.directory({ old: grid.file('old as it was'), mutable })
  const dir = await folder(t)
  const warned: string[] = []
  const log: Log = { ...silent, warn: (_: unknown, text?: string) => void warned.push(text ?? '') }
  const open = () => Mortal.open(dir, grid, root, undefined, { tempo: onlyAsked, log, ttl: 1e6, ...options })
  let { machine, fs } = await open()
  t.teardown(() => machine.die(fs))
  /** The process ends, something may happen to what it leaves, and the next one begins. */
  const killed = async (meanwhile: (staging: string) => Promise<unknown> = async () => {}) => {
    await machine.die(fs, 'none')
    warned.length = 0 // what it says itself of its end
    await meanwhile(join(dir, 'state', 'staging'))
    ;({ machine, fs } = await open())
    return fs
  }
  return { grid, root, dir, fs, warned, killed }
}

const idOf = async (fs: Tahoefs, name: string) => (await fs.lookup(fs.root, name)).id
const keep = (fs: Tahoefs, id: bigint, offset: number, text: string) =>
  fs.write(id, offset, Buffer.from(text), 'kept')

test('what was kept is there after the process has ended, with the attributes that were told', async t => {
  const { grid, root, fs, warned, killed } = await world(t)
  const ids = [await make(fs, fs.root, 'new'), await idOf(fs, 'old'), await idOf(fs, 'mutable')]
  for (const id of ids) {
    for (const [at, text] of [
      [3, 'one'],
      [100, 'two'],
      [4, 'three'],
    ] as const)
      await keep(fs, id, at, text)
    await fs.setattr(id, { size: 50 })
    t.false((await keep(fs, id, 48, 'four')).stable)
  }
  const before = await Promise.all(
    ids.map(async id => [await fs.getattr(id), await content(fs, id)] as const),
  )
  const again = await killed()
  for (const [i, id] of ids.entries())
    t.deepEqual([await again.getattr(id), await content(again, id)], [...before[i]!])
  t.deepEqual(warned, [])
  await sameElsewhere(t, again, grid, root)
  t.deepEqual(again.status().conflicts, [])
})

test('many at once, over each other, are there as they were shown', async t => {
  const { fs, killed } = await world(t, { stagingSize: 32 << 20 })
  const ids = [await make(fs, fs.root, 'a'), await idOf(fs, 'mutable')]
  const ends = [0, 0]
  const writes = Array.from({ length: 300 }, async (_, i) => {
    const bytes = noise(1 + ((i * 7919) % 90_000), `${i}`)
    // What is not kept lies where nothing else does: it may be lost.
    if (i % 3 === 0) return fs.write(ids[i % 2]!, 1_000_000 + i * 100_000, bytes, 'unstable')
    const offset = (i * 104_729) % 500_000
    ends[i % 2] = Math.max(ends[i % 2]!, offset + bytes.length)
    return fs.write(ids[i % 2]!, offset, bytes, 'kept')
  })
  await Promise.all(writes)
  const shown = async (now: Tahoefs) =>
    Promise.all(ids.map(async (id, i) => (await content(now, id)).subarray(0, ends[i])))
  const before = await shown(fs)
  for (const [i, bytes] of (await shown(await killed())).entries()) t.true(bytes.equals(before[i]!))
})

test('nobody is told that something is kept before the database knows what it is in', async t => {
  const { dir, fs } = await world(t)
  const ids = [await idOf(fs, 'old'), await idOf(fs, 'mutable')]
  for (const id of ids) await content(fs, id)
  const gate = Promise.withResolvers<void>()
  const { commit } = State.prototype
  State.prototype.commit = async function (this: State, ops) {
    if (this.dir === join(dir, 'state')) await gate.promise
    return commit.call(this, ops)
  }
  let answered = 0
  const writes = ids.map(async id => {
    const cut = fs.setattr(id, { size: 0 })
    await settled(() => fs.known(id).size === 0)
    await keep(fs, id, 0, 'kept')
    answered++
    await cut
  })
  for (const id of ids) await settled(async () => (await textOf(fs, id)) === 'kept')
  await new Promise(setImmediate)
  t.is(answered, 0)
  gate.resolve()
  await Promise.all(writes)
  State.prototype.commit = commit
})

test('where bytes are missing what was kept ends, and that is said', async t => {
  const { grid, root, fs, warned, killed } = await world(t)
  const [a, b] = [await make(fs, fs.root, 'a'), await make(fs, fs.root, 'b')]
  await keep(fs, a, 0, 'first')
  await keep(fs, b, 0, 'lost')
  await keep(fs, a, 0, 'later')
  const again = await killed(async staging => {
    const [name] = await readdir(staging)
    const bytes = await readFile(join(staging, name!))
    const { frames } = framesOf(bytes)
    t.is(frames.length, 3)
    bytes[frames[1]!.at + 5]! ^= 1
    await writeFile(join(staging, name!), bytes)
  })
  t.is(await textOf(again, a), 'first')
  t.is(await textOf(again, b), '')
  t.is(warned.length, 1)
  t.is(again.status().trouble, null)
  await sameElsewhere(t, again, grid, root)
})

test('what was kept in a file that was removed since is nobody’s, and nothing is said of it', async t => {
  const { fs, warned, killed } = await world(t)
  const [gone, there] = [await make(fs, fs.root, 'gone'), await make(fs, fs.root, 'there')]
  await keep(fs, gone, 0, 'gone')
  await keep(fs, there, 0, 'there')
  fs.retain(gone)
  await fs.remove(fs.root, 'gone')
  await keep(fs, gone, 4, ' for good')
  t.is(await textOf(fs, gone), 'gone for good')
  const again = await killed()
  t.is(await textOf(again, there), 'there')
  await t.throwsAsync(again.getattr(gone), { code: 'ESTALE' })
  t.deepEqual(warned, [])
})

const keptFrom = (dir: string): number => {
  const db = new DatabaseSync(join(dir, 'state', 'state.db'), { readOnly: true })
  try {
    return Number(db.prepare("SELECT value FROM meta WHERE key = 'keptFrom'").get()!['value'])
  } finally {
    db.close()
  }
}

test('when much was kept it is committed behind, and the next process need not do it again', async t => {
  const { dir, fs, killed } = await world(t, { stagingSize: 16 << 20 })
  const ids = [await make(fs, fs.root, 'a'), await make(fs, fs.root, 'b')]
  const first = keptFrom(dir)
  const bytes = noise(6 << 20, 'much')
  for (let at = 0; at < bytes.length; at += 300_000)
    for (const id of ids) await fs.write(id, at, bytes.subarray(at, at + 300_000), 'kept')
  await settled(() => keptFrom(dir) > first)
  const again = await killed()
  for (const id of ids) t.true((await content(again, id)).equals(bytes))
})

test('where staged bytes are missing what was kept is shown, and done again once they are back', async t => {
  const { dir, fs, killed } = await world(t)
  const [a, b] = [await make(fs, fs.root, 'a', 'a'.repeat(100)), await make(fs, fs.root, 'b')]
  await keep(fs, b, 0, 'kept')
  const again = await killed(staging => rename(join(staging, '1'), join(dir, 'away')))
  t.regex(again.status().trouble!, /missing/)
  t.is(await textOf(again, b), 'kept')
  const whole = await killed(staging => rename(join(dir, 'away'), join(staging, '1')))
  t.is(whole.status().trouble, null)
  t.is(await textOf(whole, a), 'a'.repeat(100))
  t.is(await textOf(whole, b), 'kept')
})

test('a write that failed is not among what was kept, though all of it was written', async t => {
  let failing = false
  const faulty: Disk = {
    ...disk,
    open: async (path, how) => {
      const file = await disk.open(path, how)
      const write = file.write.bind(file)
      file.write = async (parts, position) => {
        await write(parts, position)
        if (failing) throw Object.assign(new Error('full'), { code: 'ENOSPC' })
      }
      return file
    },
  }
  const at = await folder(t)
  const state = await State.open(join(at, 'state'), 'URI:DIR2:secret')
  const open = () => Staging.open({ dir: join(at, 'state', 'staging'), state, disk: faulty })
  const staging = await open()
  const append = (start: number) => staging.append(noise(100, `${start}`), { id: 7n, start })
  failing = true
  for (let i = 0; i < 3; i++) await t.throwsAsync(append(4000), { code: 'ENOSPC' })
  t.deepEqual(await readdir(staging.dir), [])
  failing = false
  await append(0)
  failing = true
  await t.throwsAsync(append(1000), { code: 'ENOSPC' })
  failing = false
  await staging.append(noise(100, 'not kept'))
  const [second, third] = await Promise.all([append(2000), append(3000)])
  t.true(second.mark!.number < third.mark!.number)
  await staging.close()
  const again = await open()
  t.deepEqual(
    again.left.frames.flatMap(({ writes }) => writes.map(({ start }) => start)),
    [0, 2000, 3000],
  )
  t.false(again.left.torn)
  await again.close()
  await state.close()
})

test('what is kept is there though all that was kept before is published, and its files are gone', async t => {
  const { dir, fs, killed } = await world(t)
  const staging = join(dir, 'state', 'staging')
  let now = fs
  const id = await make(fs, fs.root, 'a')
  for (const text of ['one', 'two', 'six']) {
    await keep(now, id, 0, text)
    t.is(await textOf((now = await killed()), id), text)
    await now.flush(null)
    await settled(async () => (await readdir(staging)).length === 0)
    now = await killed() // one that has kept nothing
  }
})
