// The oracle keeps the rules that it is there to judge by, also when it may not change.

import { randomBytes } from 'node:crypto'
import test from 'ava'
import { MemFs } from '../support/memfs.ts'
import { conforms, type Subject } from './conformance.ts'
import { plant, tree } from './tree.ts'
import { at, content, make } from './walk.ts'

async function planted(now?: () => bigint): Promise<MemFs> {
  const vfs = new MemFs({ uid: 1000, gid: 100, ...(now && { now }) })
  await plant(vfs)
  return vfs
}

conforms('memfs', async () => subject(await planted()), { write: true, restart: true })

conforms(
  'memfs that may not change',
  async () => {
    const vfs = await planted()
    vfs.readOnly = true
    return subject(vfs)
  },
  { write: false },
)

conforms('memfs with a clock that stands still', async () => subject(await planted(() => 1_000n)), {
  write: true,
})

/** It keeps nothing on a disk: what it can do of a restart is another write verifier. */
const subject = (vfs: MemFs): Subject => ({
  vfs,
  close: () => vfs.close(),
  async restart() {
    vfs.writeverf = randomBytes(8)
    return vfs
  },
})

test('memfs: the oldest of 1,025 answers is forgotten', async t => {
  const vfs = await planted()
  await vfs.mkdir(vfs.root, 'new', {}, { once: 'first' })
  const id = await make(vfs, vfs.root, 'busy')
  for (let i = 0; i < 1024; i++) await vfs.setattr(id, { mode: 0o600 }, { once: `mode ${i}` })
  await t.throwsAsync(vfs.mkdir(vfs.root, 'new', {}, { once: 'first' }), { code: 'EEXIST' })
})

test('memfs: a change at the end of 64 MiB costs no copy of them', async t => {
  const vfs = await planted()
  const id = await make(vfs, vfs.root, 'large')
  for (let i = 0; i < 64; i++) await vfs.write(id, i * 2 ** 20, Buffer.alloc(2 ** 20, i), 'unstable')
  const { used } = await vfs.getattr(id)
  t.is(used, 64 * 2 ** 20)
  await vfs.write(id, 64 * 2 ** 20, Buffer.from('x'), 'unstable')
  t.true((await vfs.getattr(id)).used - used <= 65_536)
})

test('memfs: a hole takes no memory', async t => {
  const vfs = await planted()
  const id = await make(vfs, vfs.root, 'sparse')
  await vfs.write(id, 2 ** 50, Buffer.from('x'), 'unstable')
  t.true((await vfs.getattr(id)).used <= 65_536)
  await vfs.setattr(id, { size: 0 })
  t.is((await vfs.getattr(id)).used, 0)
  t.deepEqual(await content(vfs, (await at(vfs, 'literal')).id), tree.literal.file)
})
