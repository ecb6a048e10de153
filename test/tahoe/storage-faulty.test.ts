// The faulty StorageServer of the tests does what it is asked for, and otherwise what the one behind it does.

import test from 'ava'
import { LocalServer } from '../../src/tahoe/storage/local.ts'
import {
  type FaultyStorage,
  faultyStorage,
  type StorageCall,
  type StorageFault,
} from '../support/faulty-storage.ts'
import { ForgetfulDisk } from '../support/forgetful-disk.ts'
import { anIndex, conforms, leases, secrets, store, write } from './storage-conformance.ts'

async function over(fault: (call: StorageCall) => StorageFault | null): Promise<FaultyStorage> {
  return faultyStorage(await LocalServer.open({ dir: '/node', disk: new ForgetfulDisk() }), fault)
}

conforms('a faulty server without a fault', async () => {
  const server = await over(() => null)
  return { server, close: () => server.close() }
})

test('it refuses, loses answers, flips bits and holds calls, by operation and share', async t => {
  const { promise: later, resolve } = Promise.withResolvers<void>()
  const server = await over(({ op, shares }) => {
    if (op === 'allocate' && shares.includes(9)) return { refuse: 'ENOSPC' }
    if (op === 'close' && shares[0] === 1) return { lose: true }
    if (op === 'read' && shares[0] === 1) return { flip: 2 }
    return op === 'commit' ? { hold: later } : null
  })
  const index = anIndex()
  await t.throwsAsync(store(server, index, 9, Buffer.from('full')), { code: 'ENOSPC' })
  await store(server, index, 0, Buffer.from('abcd'))
  await t.throwsAsync(store(server, index, 1, Buffer.from('abcd')), { code: 'EAGAIN' })
  t.deepEqual(await server.list('immutable', index), new Set([0, 1]), 'it was done all the same')
  t.is((await server.read('immutable', index, 0, 0, 4)).toString(), 'abcd')
  t.is((await server.read('immutable', index, 1, 0, 4)).toString(), 'abbd')

  const slot = anIndex()
  const { prepared } = await server.prepare(slot, secrets(), new Map([[0, write({ 0: 'x' })]]), [])
  const committing = prepared!.commit()
  await server.addLease(index, leases())
  t.deepEqual(await server.list('mutable', slot), new Set())
  resolve()
  await committing
  t.deepEqual(await server.list('mutable', slot), new Set([0]))
  t.deepEqual(server.calls.slice(0, 4), [
    { op: 'allocate', index, shares: [9] },
    { op: 'allocate', index, shares: [0] },
    { op: 'write', index, shares: [0] },
    { op: 'close', index, shares: [0] },
  ])
})
