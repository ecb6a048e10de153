// What is written to this machine's disk is read back, past the page cache or through it.

import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { BLOCK, DIRECT_MIN, disk } from '../../src/vfs/write/disk.ts'
import { folder } from '../support/places.ts'
import { noise } from './tree.ts'

const cut = (bytes: Buffer, ...sizes: number[]): Buffer[] => {
  const parts: Buffer[] = []
  for (const size of [...sizes, bytes.length]) {
    parts.push(bytes.subarray(0, size))
    bytes = bytes.subarray(size)
  }
  return parts
}

/** Long and short writes in turns, each from where the one before it ended or from the next block. */
async function writesAndReads(t: ExecutionContext, dir: string, name: string): Promise<void> {
  const file = await disk.open(join(dir, name), 'new')
  let at = 0
  const written: [number, Buffer][] = []
  for (const [i, size] of [10, DIRECT_MIN, 3 * DIRECT_MIN + 1, 7, 5, 4 << 20, BLOCK].entries()) {
    const bytes = noise(size, `${name} ${i}`)
    if (size >= DIRECT_MIN) at = Math.ceil(at / BLOCK) * BLOCK
    await file.write(cut(bytes, 3, size >> 1), at)
    written.push([at, bytes])
    at += size
  }
  await file.sync()
  const whole = await readFile(join(dir, name))
  for (const [at, bytes] of written) {
    const again = Buffer.alloc(bytes.length)
    t.is(await file.read(again, at), bytes.length)
    t.true(again.equals(bytes), `${bytes.length} bytes at ${at}`)
    t.true(whole.subarray(at, at + bytes.length).equals(bytes))
  }
  await file.close()
}

test('long writes and short ones are read back as they were written, in several files at a time', async t => {
  const dir = await folder(t)
  await Promise.all(['one', 'two', 'three'].map(name => writesAndReads(t, dir, name)))
})

test('a file that is there is not written over', async t => {
  const dir = await folder(t)
  await (await disk.open(join(dir, 'f'), 'new')).close()
  await t.throwsAsync(disk.open(join(dir, 'f'), 'new'), { code: 'EEXIST' })
})

if (existsSync('/dev/shm')) {
  test('where there is no way past the page cache it is written through it', async t => {
    const dir = await mkdtemp('/dev/shm/tahoe-nfs-test-')
    t.teardown(() => rm(dir, { recursive: true }))
    await writesAndReads(t, dir, 'f')
  })
}
