// Staging: what was appended and synced is there again, and nothing else is taken for it.

import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { State } from '../../src/vfs/state/state.ts'
import { type Disk, disk } from '../../src/vfs/write/disk.ts'
import { Staging } from '../../src/vfs/write/staging.ts'
import { folder } from '../support/places.ts'
import { noise } from './tree.ts'

const secret = 'URI:DIR2:secret'

async function opened(t: ExecutionContext, more: { disk?: Disk; limit?: number } = {}) {
  const at = await folder(t)
  const state = await State.open(join(at, 'state'), secret)
  const dir = join(at, 'state', 'staging')
  const open = () => Staging.open({ dir, state, disk, ...more })
  const staging = await open()
  t.teardown(async () => {
    await staging.close()
    await state.close()
  })
  const keep = async (segments: Parameters<Staging['announce']>[0]) => {
    await staging.sync(segments)
    await state.commit([...staging.announce(segments)])
  }
  return { dir, state, staging, open, keep }
}

const all = async (pieces: Promise<Buffer[]>) => Buffer.concat(await pieces)

test('what was appended is read back from any byte to any byte, also by another process', async t => {
  const { staging, open, keep } = await opened(t)
  const sizes = [1, 65_535, 65_536, 65_537, 200_000, 7]
  const runs = await Promise.all(sizes.map(async size => (await staging.append(noise(size, `${size}`))).run))
  await keep([runs[0]!.segment])
  const again = await open()
  for (const each of [staging, again]) {
    for (const [i, size] of sizes.entries()) {
      const run = { ...runs[i]!, segment: each.segment(runs[i]!.segment.id)! }
      const bytes = noise(size, `${size}`)
      for (const [from, to] of [
        [0, size],
        [size >> 1, size],
        [0, 1],
        [Math.max(0, size - 2), size],
      ] as const)
        t.true(
          (await all(each.read(run, from, to))).equals(bytes.subarray(from, to)),
          `${size}: ${from} to ${to}`,
        )
    }
  }
  await again.close()
})

test('a byte that changed on the disk is noticed', async t => {
  const { dir, staging, keep } = await opened(t)
  const { run } = await staging.append(noise(1000, 'x'))
  await keep([run.segment])
  const [name] = await readdir(dir)
  const bytes = await readFile(join(dir, name!))
  bytes[500]! ^= 1
  await writeFile(join(dir, name!), bytes)
  await t.throwsAsync(staging.read(run, 0, 1000), { code: 'EIO', message: /damaged/ })
})

test('a file that the database does not know is removed by the next process', async t => {
  const { dir, state, staging, open } = await opened(t)
  await staging.append(noise(1000, 'never committed'))
  await staging.close()
  const again = await open()
  await again.forgetLeft(ops => state.commit(ops))
  await again.close()
  t.deepEqual(await readdir(dir), [])
})

test('after a write that failed another file is begun, and no nonce is used twice', async t => {
  let failing = false
  const faulty: Disk = {
    ...disk,
    open: async (path, how) => {
      const file = await disk.open(path, how)
      const write = file.write.bind(file)
      file.write = async (parts, position) => {
        if (failing) throw Object.assign(new Error('full'), { code: 'ENOSPC' })
        await write(parts, position)
      }
      return file
    },
  }
  const { dir, staging } = await opened(t, { disk: faulty })
  const { run: before } = await staging.append(noise(100, 'a'))
  failing = true
  await t.throwsAsync(staging.append(noise(100, 'b')), { code: 'ENOSPC' })
  failing = false
  const { run: after } = await staging.append(noise(100, 'c'))
  t.not(after.segment.id, before.segment.id)
  t.is((await readdir(dir)).length, 2)
  t.true((await all(staging.read(before, 0, 100))).equals(noise(100, 'a')))
})

test('files stay as long as something leads into them, and go when nothing does', async t => {
  const { dir, staging } = await opened(t, { limit: 1 << 20 })
  const runs = []
  for (let i = 0; i < 6; i++) runs.push((await staging.append(noise(100_000, `${i}`))).run)
  const [first] = runs
  t.deepEqual(staging.unused, [])
  first!.segment.users = 0
  const retired = staging.retire()
  t.deepEqual(retired, [first!.segment])
  const bytes = staging.bytes
  for (const each of retired) await staging.remove(each)
  t.true(staging.bytes < bytes)
  t.false((await readdir(dir)).includes(String(first!.segment.id)))
})
