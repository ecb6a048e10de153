// The hold that tests put on a file system: it delays and breaks calls, and changes nothing else.

import test from 'ava'
import { FsError } from '../../src/errors.ts'
import { held } from '../support/heldfs.ts'
import { MemFs } from '../support/memfs.ts'
import { conforms } from './conformance.ts'
import { plant } from './tree.ts'
import { names } from './walk.ts'

conforms(
  'a memfs whose every call is held for a moment',
  async () => {
    const vfs = held(new MemFs({ uid: 1000, gid: 100 }), () => new Promise(resolve => setImmediate(resolve)))
    await plant(vfs)
    return { vfs, close: () => vfs.close() }
  },
  { write: true },
)

test('a held call waits, others do not, and a caller who gives up has changed nothing', async t => {
  const gate = Promise.withResolvers<void>()
  const vfs = held(new MemFs({ uid: 0, gid: 0 }), op => (op === 'mkdir' ? gate.promise : undefined))
  const patient = vfs.mkdir(vfs.root, 'patient', {})
  const patience = new AbortController()
  const impatient = vfs.mkdir(vfs.root, 'impatient', {}, { signal: patience.signal })
  t.deepEqual(await names(vfs, vfs.root), [])
  patience.abort()
  await t.throwsAsync(impatient, { code: 'EAGAIN' })
  gate.resolve()
  await patient
  t.deepEqual(await names(vfs, vfs.root), ['patient'])
})

test('what the hold throws is what the call throws, and nothing has happened', async t => {
  const vfs = held(new MemFs({ uid: 0, gid: 0 }), op => {
    if (op === 'create') throw new FsError('ENOSPC', 'full')
  })
  const create = vfs.create(vfs.root, 'new', { mode: 'guarded', attrs: {} })
  await t.throwsAsync(create, { code: 'ENOSPC' })
  t.deepEqual(await names(vfs, vfs.root), [])
})
