// Processes that are killed while they write. What they said that they kept is there, all of it and
// in its order; of each lane the one change that was under way is there whole or not at all.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { FileId, Vfs } from '../../src/vfs/vfs.ts'
import { folderGrid } from '../support/folder-grid.ts'
import { act, LANES } from '../support/lanes.ts'
import { MemFs } from '../support/memfs.ts'
import { folder, openAt, quick } from '../support/places.ts'
import { sameElsewhere } from './elsewhere.ts'
import { content, entries, make } from './walk.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 12)

type Job = {
  readonly dir: string
  readonly root: string
  readonly seed: string
  readonly next: readonly number[]
}

/**
 * Has a process do the changes of all lanes from `next` on, and kills it: after so many milliseconds, or
 * while it opens its state. What it acknowledged, by lane.
 */
async function killed(
  t: ExecutionContext,
  job: Job,
  ms: number,
  whileOpening: boolean,
): Promise<Map<number, string>[]> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../support/kept-child.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  child.stdin.end(JSON.stringify(job))
  let told = ''
  let isTimed = false
  child.stdout.on('data', chunk => {
    told += chunk
    if (isTimed || !(whileOpening || told.split('\n').length > 2)) return
    isTimed = true
    setTimeout(() => child.kill('SIGKILL'), ms)
  })
  const signal = await new Promise(resolve => child.once('close', (_, signal) => resolve(signal)))
  t.is(signal, 'SIGKILL')
  const lanes = job.next.map(() => new Map<number, string>())
  // The last line may be half of one.
  for (const line of told.split('\n').slice(1, -1)) {
    const [lane, i, result] = line.split(' ')
    lanes[Number(lane)]!.set(Number(i), result!)
  }
  return lanes
}

/** Every name in a directory, and what it leads to. */
async function told(vfs: Vfs, dir: FileId): Promise<string[]> {
  const found: string[] = []
  for (const { name } of await entries(vfs, dir)) {
    const { id, mode, nlink, size } = await vfs.lookup(dir, name)
    const hash = createHash('sha256')
      .update(await content(vfs, id))
      .digest('hex')
    found.push(`${name} ${mode.toString(8)} ${nlink} ${size} ${hash}`)
  }
  return found.sort()
}

async function rounds(t: ExecutionContext, seed: string, root: Cap, dir: string): Promise<void> {
  const oracle = new MemFs({ uid: 1000, gid: 1000 })
  const next: number[] = []
  const open = async () => {
    const grid = await folderGrid(join(dir, 'grid'))
    const fs = await openAt(dir, grid, root, { tempo: quick, stagingSize: 16 << 20 })
    const close = async () => {
      await fs.close()
      await grid.close()
    }
    return { fs, grid, close }
  }
  const first = await open()
  for (let lane = 0; lane < LANES; lane++) {
    for (const vfs of [first.fs, oracle]) {
      const { attr } = await vfs.mkdir(vfs.root, `lane ${lane}`, {})
      for (let i = 0; i < 3; i++) await make(vfs, attr.id, `file ${i}`, `begins as ${i}`)
    }
    next.push(0)
  }
  await first.close()
  let changes = 0
  for (let round = 0; round < ROUNDS; round++) {
    const job = { dir, root: root.uri(), seed, next }
    const lanes = await killed(t, job, 50 + ((round * 97) % 500), false)
    for (let again = round % 3; again > 0; again--) {
      const nothing = await killed(t, { ...job, next: [] }, (round * 13 * again) % 60, true)
      t.deepEqual(nothing, [])
    }
    const { fs, grid, close } = await open()
    try {
      t.is(fs.status().trouble, null)
      for (const [lane, acknowledged] of lanes.entries()) {
        const [here, there] = [
          await fs.lookup(fs.root, `lane ${lane}`),
          await oracle.lookup(oracle.root, `lane ${lane}`),
        ]
        for (; acknowledged.has(next[lane]!); next[lane]!++) {
          const result = await act(oracle, there.id, seed, lane, next[lane]!)
          t.is(acknowledged.get(next[lane]!), result, `lane ${lane}, change ${next[lane]}`)
          changes++
        }
        const seen = await told(fs, here.id)
        if (JSON.stringify(seen) !== JSON.stringify(await told(oracle, there.id)))
          await act(oracle, there.id, seed, lane, next[lane]!++)
        t.deepEqual(seen, await told(oracle, there.id), `round ${round}, lane ${lane}, change ${next[lane]}`)
      }
      if (round === ROUNDS - 1) await sameElsewhere(t, fs, grid, root)
    } finally {
      await close()
    }
  }
  t.log(`${changes} changes`)
  t.true(changes > 20 * ROUNDS)
}

test('after kill -9 everything that was kept is there, in the order in which it was written', async t => {
  t.timeout(170_000)
  const dir = await folder(t)
  const grid = await folderGrid(join(dir, 'grid'))
  const root = await grid.mkdir(new Map())
  await grid.close()
  await rounds(t, process.env.SEED ?? 'kill', root, dir)
})
