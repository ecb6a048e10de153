// A file system that refuses changes: every procedure that would change says ROFS, and
// ACCESS says the same beforehand.

import test from 'ava'
import { ACCESS, SETATTR } from '../../src/nfs/proc/attributes.ts'
import { WRITE } from '../../src/nfs/proc/data.ts'
import { CREATE, MKDIR, SYMLINK } from '../../src/nfs/proc/making.ts'
import { LINK, REMOVE, RENAME, RMDIR } from '../../src/nfs/proc/names.ts'
import { ACCESS3 } from '../../src/nfs/types.ts'
import { MemFs } from '../support/memfs.ts'
import { at, noAttrs, owner, worldOver } from './conformance/world.ts'

test('where nothing may change, every change is ROFS with a whole body', async t => {
  const vfs = new MemFs(owner)
  const { nfs, root } = await worldOver(t, vfs)
  const file = await nfs.create(root, 'f')
  await nfs.mkdir(root, 'd')
  const before = await nfs.getattr(root)
  vfs.readOnly = true
  const where = at(root, 'x')
  const symlink = { symlink_attributes: noAttrs, symlink_data: Buffer.from('t') }
  const write = { file, offset: 0, stable: 'UNSTABLE' as const }
  const refused = [
    nfs.call(SETATTR, { object: file, new_attributes: { ...noAttrs, size: 0 }, guard: null }),
    nfs.call(WRITE, { ...write, count: 1, data: Buffer.from('x') }),
    nfs.call(WRITE, { ...write, count: 0, data: Buffer.alloc(0) }),
    nfs.call(CREATE, { where, how: { is: 'UNCHECKED', value: noAttrs } }),
    nfs.call(MKDIR, { where, attributes: noAttrs }),
    nfs.call(SYMLINK, { where, symlink }),
    nfs.call(LINK, { file, link: where }),
    nfs.call(REMOVE, { object: at(root, 'f') }),
    nfs.call(RMDIR, { object: at(root, 'd') }),
    nfs.call(RENAME, { from: at(root, 'f'), to: where }),
  ]
  for (const { status } of await Promise.all(refused)) t.is(status, 'NFS3ERR_ROFS')
  t.deepEqual(await nfs.getattr(root), before)
})

test('where nothing may change, ACCESS grants reading and searching alone', async t => {
  const vfs = new MemFs(owner)
  const { nfs, root, connect } = await worldOver(t, vfs)
  const file = await nfs.create(root, 'f', { mode: 0o755 })
  vfs.readOnly = true
  for (const client of [nfs, await connect({ uid: 0, gid: 0 })]) {
    t.is((await client.ok(ACCESS, { object: root, access: 63 })).access, ACCESS3.READ | ACCESS3.LOOKUP)
    t.is((await client.ok(ACCESS, { object: file, access: 63 })).access, ACCESS3.READ | ACCESS3.EXECUTE)
  }
})
