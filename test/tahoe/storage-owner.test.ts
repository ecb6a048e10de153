// The processes that own a folder of share files, one after the other.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import test from 'ava'
import { encode } from '../../src/tahoe/format/base32.ts'
import { LocalServer } from '../../src/tahoe/storage/local.ts'
import { folder } from '../support/places.ts'
import { opened } from '../support/storage-folder.ts'
import { anIndex } from './storage-conformance.ts'

const child = join(import.meta.dirname, '../support/storage-child.ts')

test('a second owner is refused, until the first is killed', async t => {
  const dir = await folder(t)
  const first = spawn(process.execPath, [child, dir], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => first.kill('SIGKILL'))
  await new Promise(resolve => first.stdout.once('data', resolve))
  await t.throwsAsync(LocalServer.open({ dir }), { code: 'EACCES', message: /in use by another process/ })
  const gone = new Promise(resolve => first.once('exit', resolve))
  first.kill('SIGKILL')
  await gone
  const { server } = await opened(t, {}, dir)
  await t.throwsAsync(LocalServer.open({ dir }), { code: 'EACCES' })
  await server.list('mutable', anIndex())
})

test('what a process acknowledged before it was killed is there', async t => {
  const dir = await folder(t)
  const slot = encode(Buffer.alloc(16, 255))
  for (let round = 0; round < 3; round++) {
    const process_ = spawn(process.execPath, [child, dir, 'work'], { stdio: ['pipe', 'pipe', 'inherit'] })
    t.teardown(() => process_.kill('SIGKILL'))
    let said = ''
    const enough = new Promise<void>(resolve => {
      process_.stdout.on('data', (chunk: Buffer) => {
        said += chunk
        if (said.split('\n').length > 20 + 7 * round) resolve()
      })
    })
    const gone = new Promise(resolve => process_.once('exit', resolve))
    await enough
    process_.kill('SIGKILL')
    await gone
    const last = Number(said.split('\n').at(-2))
    const server = await LocalServer.open({ dir })
    for (let i = 0; i <= last; i++) {
      const bytes = await server.read('immutable', encode(Buffer.alloc(16, i)), 0, 0, 1 << 20)
      t.deepEqual(bytes, Buffer.alloc(50_000, i))
    }
    const [zero, one] = await Promise.all([0, 1].map(share => server.read('mutable', slot, share, 0, 8)))
    t.deepEqual(zero, one)
    t.true(Number(zero) >= last)
    for await (const { index } of server.slots()) await server.remove(index, 0)
    await server.remove(slot, 1)
    await server.close()
  }
})
