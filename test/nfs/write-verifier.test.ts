// The write verifier when a commit fails: a client must learn that data it was told is
// written may be gone, whatever the order in which its calls and the failure meet.

import test from 'ava'
import { COMMIT, WRITE } from '../../src/nfs/proc/data.ts'
import { held } from '../support/heldfs.ts'
import { MemFs } from '../support/memfs.ts'
import { owner, worldOver } from './conformance/world.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

test('a WRITE during which the verifier changes tells the old one, its COMMIT the new one', async t => {
  const memfs = new MemFs(owner)
  const [old, fresh] = [Buffer.from('11111111'), Buffer.from('22222222')]
  memfs.writeverf = old
  const vfs = held(memfs, op => {
    if (op === 'write') memfs.writeverf = fresh // a commit failed meanwhile
  })
  const { nfs, root } = await worldOver(t, vfs)
  const file = await nfs.create(root, 'f')
  const data = Buffer.from('x')
  const { verf } = await nfs.ok(WRITE, { file, offset: 0, count: 1, stable: 'UNSTABLE', data })
  t.is(hex(verf), hex(old))
  t.is(hex((await nfs.ok(COMMIT, { file, offset: 0, count: 0 })).verf), hex(fresh))
})

test('a COMMIT during which the verifier changes tells the new one', async t => {
  const memfs = new MemFs(owner)
  memfs.writeverf = Buffer.from('11111111')
  const vfs = held(memfs, op => {
    if (op === 'commit') memfs.writeverf = Buffer.from('22222222')
  })
  const { nfs, root } = await worldOver(t, vfs)
  const file = await nfs.create(root, 'f')
  t.is(hex((await nfs.ok(COMMIT, { file, offset: 0, count: 0 })).verf), hex(Buffer.from('22222222')))
})
