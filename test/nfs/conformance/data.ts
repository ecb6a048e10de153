// READ, WRITE, COMMIT.

import { NFS_PROGRAM, NFS_V3 } from '../../../src/nfs/nfs3.ts'
import { COMMIT, READ, WRITE } from '../../../src/nfs/proc/data.ts'
import { REMOVE } from '../../../src/nfs/proc/names.ts'
import { maxdata } from '../../../src/nfs/types.ts'
import { at, checksOf, encode, procNumbers, type Subject, string } from './world.ts'

const beyond = Number.MAX_SAFE_INTEGER

/** WRITE's arguments up to its data, with an offset that no codec would write. */
const rawWrite = (file: Uint8Array, offset: bigint): Buffer => {
  const head = Buffer.alloc(16)
  head.writeBigUInt64BE(offset)
  head.writeUInt32BE(4, 8)
  return Buffer.concat([
    encode(COMMIT.spec.args, { file, offset: 0, count: 0 }).subarray(0, -12),
    head,
    string('abcd'),
  ])
}

export function dataChecks(subject: Subject): void {
  const { writing } = checksOf(subject)

  writing('READ at or beyond the end is OK, empty and eof', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'a')
    await nfs.write(file, 0, 'abc')
    for (const offset of [3, 4, 1_000_000, beyond]) {
      const { count, eof, data } = await nfs.ok(READ, { file, offset, count: 10 })
      t.deepEqual([count, eof, Buffer.concat(data).length], [0, true, 0], `${offset}`)
    }
  })

  writing(
    'READ that reaches the end exactly says eof, one short of it does not',
    async ({ t, nfs, root }) => {
      const file = await nfs.create(root, 'a')
      await nfs.write(file, 0, 'abcd')
      t.true((await nfs.ok(READ, { file, offset: 1, count: 3 })).eof)
      t.false((await nfs.ok(READ, { file, offset: 0, count: 3 })).eof)
      t.is((await nfs.ok(READ, { file, offset: 0, count: 0 })).count, 0)
    },
  )

  writing('READ of more than rtmax is short, and says so', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'a')
    await nfs.write(file, 0, Buffer.alloc(maxdata, 1))
    await nfs.write(file, maxdata, 'tail')
    const { count, eof, data } = await nfs.ok(READ, { file, offset: 0, count: 0xffff_ffff })
    t.deepEqual([count, eof], [maxdata, false])
    t.is(Buffer.concat(data).length, maxdata)
    t.is((await nfs.read(file, maxdata)).toString(), 'tail')
  })

  writing('READ of a directory or a link is INVAL, of a removed file STALE', async ({ t, nfs, root }) => {
    const range = { offset: 0, count: 1 }
    t.is(await nfs.status(READ, { file: root, ...range }), 'NFS3ERR_INVAL')
    t.is(await nfs.status(READ, { file: await nfs.symlink(root, 'l', 'x'), ...range }), 'NFS3ERR_INVAL')
    const file = await nfs.create(root, 'a')
    await nfs.ok(REMOVE, { object: at(root, 'a') })
    t.is(await nfs.status(READ, { file, ...range }), 'NFS3ERR_STALE')
  })

  writing('WRITE beyond what a file can be is FBIG and changes nothing', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'a')
    for (const offset of [2n ** 64n - 1n, 2n ** 63n, BigInt(beyond)]) {
      const reply = await nfs.rpc.call(NFS_PROGRAM, NFS_V3, procNumbers.WRITE, rawWrite(file, offset))
      t.is(reply.body.readUInt32BE(), 27)
    }
    t.is((await nfs.getattr(file)).size, 0)
  })

  writing('WRITE is never answered weaker than it was asked', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'a')
    t.true(
      ['UNSTABLE', 'DATA_SYNC', 'FILE_SYNC'].includes((await nfs.write(file, 0, 'a', 'UNSTABLE')).committed),
    )
    t.true(['DATA_SYNC', 'FILE_SYNC'].includes((await nfs.write(file, 0, 'a', 'DATA_SYNC')).committed))
    t.is((await nfs.write(file, 0, 'a', 'FILE_SYNC')).committed, 'FILE_SYNC')
  })

  writing(
    'the write verifier is the same in WRITE and COMMIT, for every file',
    async ({ t, nfs, root, vfs }) => {
      const verfs = new Set<string>()
      for (const name of ['a', 'b']) {
        const file = await nfs.create(root, name)
        verfs.add(Buffer.from((await nfs.write(file, 0, 'x')).verf).toString('hex'))
        verfs.add(Buffer.from((await nfs.ok(COMMIT, { file, offset: 0, count: 0 })).verf).toString('hex'))
      }
      t.deepEqual([...verfs], [Buffer.from(vfs.writeverf).toString('hex')])
    },
  )

  writing('WRITE of nothing succeeds and touches nothing', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'a')
    const before = await nfs.getattr(file)
    t.is((await nfs.write(file, 100, '')).count, 0)
    t.deepEqual(await nfs.getattr(file), before)
  })

  writing('WRITE whose count is not its data is INVAL', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'a')
    const data = Buffer.from('abcd')
    for (const count of [3, 5])
      t.is(await nfs.status(WRITE, { file, offset: 0, count, stable: 'UNSTABLE', data }), 'NFS3ERR_INVAL')
    t.is((await nfs.getattr(file)).size, 0)
  })

  writing('WRITE beyond the end leaves a hole that reads zero', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'a')
    await nfs.write(file, 5, 'x')
    t.is((await nfs.read(file)).toString('hex'), '000000000078')
  })

  writing('WRITE to a directory or a link is INVAL', async ({ t, nfs, root }) => {
    const write = { offset: 0, count: 1, stable: 'UNSTABLE' as const, data: Buffer.from('x') }
    t.is(await nfs.status(WRITE, { file: root, ...write }), 'NFS3ERR_INVAL')
    t.is(await nfs.status(WRITE, { file: await nfs.symlink(root, 'l', 'x'), ...write }), 'NFS3ERR_INVAL')
  })

  writing(
    'each WRITE moves mtime and ctime, and its wcc is what was and what is',
    async ({ t, nfs, root }) => {
      const file = await nfs.create(root, 'a')
      const seen = new Set<string>()
      for (let i = 0; i < 20; i++) {
        const { size, mtime, ctime } = await nfs.getattr(file)
        const { file_wcc } = await nfs.write(file, i, 'x')
        t.deepEqual(file_wcc.before, { size, mtime, ctime })
        t.deepEqual(file_wcc.after, await nfs.getattr(file))
        seen.add(JSON.stringify(file_wcc.after!.mtime))
      }
      t.is(seen.size, 20)
    },
  )

  writing('COMMIT takes any range, of nothing too; of a directory it is INVAL', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'a')
    await nfs.write(file, 0, 'abc')
    for (const [offset, count] of [
      [0, 0],
      [0, 3],
      [1_000, 1],
      [3_758_096_384, 0],
      [2 ** 32, 0xffff_ffff],
      [beyond, 0],
    ])
      t.is(await nfs.status(COMMIT, { file, offset: offset!, count: count! }), 'NFS3_OK')
    t.is(await nfs.status(COMMIT, { file: root, offset: 0, count: 0 }), 'NFS3ERR_INVAL')
  })

  writing('a hundred writes out of order and all at once make the exact file', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'a')
    const block = 8192
    const order = Array.from({ length: 100 }, (_, i) => (i * 37) % 100)
    await Promise.all(order.map(i => nfs.write(file, i * block, Buffer.alloc(block, i))))
    await nfs.ok(COMMIT, { file, offset: 0, count: 0 })
    const all = await nfs.read(file)
    t.is(all.length, 100 * block)
    for (let i = 0; i < 100; i++) t.true(all.subarray(i * block, (i + 1) * block).every(byte => byte === i))
  })

  writing('overlapping writes end as one of them left it', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'a')
    await Promise.all([1, 2, 3, 4].map(n => nfs.write(file, 0, Buffer.alloc(100_000, n))))
    t.is(new Set(await nfs.read(file)).size, 1)
  })

  writing('WRITE to a removed file is STALE and brings nothing back', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'a')
    await nfs.ok(REMOVE, { object: at(root, 'a') })
    const write = { file, offset: 0, count: 1, stable: 'UNSTABLE' as const, data: Buffer.from('x') }
    t.is(await nfs.status(WRITE, write), 'NFS3ERR_STALE')
  })
}
