// RPC and record marking: what RFC 5531 says of calls, whoever they are for.

import { MOUNT_PROGRAM, MOUNT_V3 } from '../../../src/nfs/mount3.ts'
import { NFS_PROGRAM, NFS_V3 } from '../../../src/nfs/nfs3.ts'
import { GETATTR } from '../../../src/nfs/proc/attributes.ts'
import { FSINFO } from '../../../src/nfs/proc/filesystem.ts'
import { LOOKUP } from '../../../src/nfs/proc/names.ts'
import { callBytes, recordOf } from '../../support/rpc-client.ts'
import { at, checksOf, encode, owner, procNumbers, type Subject } from './world.ts'

const none = Buffer.alloc(0)
const hex = (bytes: Buffer): string => bytes.toString('hex')

export function rpcChecks(subject: Subject): void {
  const { reading } = checksOf(subject)

  reading('NFS of versions 2 and 4 is PROG_MISMATCH 3..3, for NULL too', async ({ t, nfs }) => {
    for (const vers of [2, 4])
      for (const proc of [0, 1]) {
        const reply = await nfs.rpc.call(NFS_PROGRAM, vers, proc, none)
        t.is(reply.stat, 'PROG_MISMATCH')
        t.is(hex(reply.body), '0000000300000003')
      }
  })

  reading('MOUNT of versions 1 and 2 is PROG_MISMATCH 3..3', async ({ t, nfs }) => {
    for (const vers of [1, 2]) t.is((await nfs.rpc.call(MOUNT_PROGRAM, vers, 0, none)).stat, 'PROG_MISMATCH')
  })

  reading('a program we do not have is PROG_UNAVAIL, never PROC_UNAVAIL', async ({ t, nfs }) => {
    for (const prog of [100_227, 100_021, 0, 0xffff_ffff])
      for (const proc of [0, 99]) t.is((await nfs.rpc.call(prog, 3, proc, none)).stat, 'PROG_UNAVAIL')
  })

  reading('a procedure beyond the table is PROC_UNAVAIL', async ({ t, nfs }) => {
    for (const proc of [22, 23, 0xffff_ffff])
      t.is((await nfs.rpc.call(NFS_PROGRAM, NFS_V3, proc, none)).stat, 'PROC_UNAVAIL')
    t.is((await nfs.rpc.call(MOUNT_PROGRAM, MOUNT_V3, 6, none)).stat, 'PROC_UNAVAIL')
  })

  reading('an RPC version other than 2 is denied with RPC_MISMATCH 2..2', async ({ t, nfs }) => {
    const reply = await nfs.rpc.call(NFS_PROGRAM, NFS_V3, 0, none, { rpcvers: 3 })
    t.is(reply.stat, 'RPC_MISMATCH')
    t.is(hex(reply.body), '0000000200000002')
  })

  reading(
    'a reply sent to the server closes that connection and harms no other',
    async ({ t, nfs, connect }) => {
      const other = await connect()
      nfs.rpc.send(recordOf(Buffer.from('000000010000000100000000000000000000000000000000', 'hex')))
      await nfs.rpc.closed
      t.is((await other.rpc.call(NFS_PROGRAM, NFS_V3, 0, none)).stat, 'SUCCESS')
    },
  )

  reading('NULL answers with no credentials and with any flavour', async ({ t, nfs }) => {
    const creds = ['none', owner, { flavor: 6, body: Buffer.alloc(20) }, { flavor: 1, body: none }] as const
    for (const prog of [NFS_PROGRAM, MOUNT_PROGRAM])
      for (const cred of creds) {
        const reply = await nfs.rpc.call(prog, 3, 0, none, { cred })
        t.is(reply.stat, 'SUCCESS')
        t.is(reply.body.length, 0)
      }
  })

  reading('a record in fragments of one byte, and empty ones, is one call', async ({ t, nfs, root }) => {
    const message = callBytes(NFS_PROGRAM, NFS_V3, 1, encode(GETATTR.spec.args, { object: root }), {
      cred: owner,
      xid: 5,
    })
    const ones = new Array<number>(message.length - 1).fill(1)
    for (const fragments of [[0, 1, 0], [4, 4, 4], [message.length], ones]) {
      const reply = nfs.rpc.reply(5)
      nfs.rpc.send(recordOf(message, fragments))
      t.is((await reply).stat, 'SUCCESS', `${fragments}`.slice(0, 20))
    }
  })

  reading('a call that arrives byte by byte is answered', async ({ t, nfs, root }) => {
    const message = callBytes(NFS_PROGRAM, NFS_V3, 1, encode(GETATTR.spec.args, { object: root }), {
      cred: owner,
      xid: 6,
    })
    const reply = nfs.rpc.reply(6)
    for (const byte of recordOf(message)) {
      nfs.rpc.send(Buffer.of(byte))
      await new Promise(resolve => setImmediate(resolve))
    }
    t.is((await reply).stat, 'SUCCESS')
  })

  reading('two hundred calls in one segment are all answered, each once', async ({ t, nfs, root }) => {
    const args = encode(GETATTR.spec.args, { object: root })
    const xids = Array.from({ length: 200 }, (_, i) => 1000 + i)
    const replies = xids.map(xid => nfs.rpc.reply(xid))
    nfs.rpc.send(
      Buffer.concat(xids.map(xid => recordOf(callBytes(NFS_PROGRAM, NFS_V3, 1, args, { xid, cred: owner })))),
    )
    const answered = (await Promise.all(replies)).map(reply => reply.xid)
    t.deepEqual(answered, xids)
    const before = nfs.rpc.replies.length
    await nfs.getattr(root)
    t.is(nfs.rpc.replies.length, before + 1)
  })

  reading('a record above the limit closes the connection', async ({ t, connect, serving }) => {
    for (const mark of ['ffffffff', '7fffffff', '80110000']) {
      const client = await connect()
      client.rpc.send(Buffer.from(mark, 'hex'))
      await client.rpc.closed
    }
    t.is(serving.stats().garbage, 3)
  })

  reading('fragments that add up to more than the limit close the connection', async ({ t, connect }) => {
    const client = await connect()
    const half = Buffer.concat([Buffer.from('00081000', 'hex'), Buffer.alloc(0x81000)])
    client.rpc.send(half)
    client.rpc.send(half)
    await client.rpc.closed
    t.pass()
  })

  reading('a run of empty fragments closes the connection', async ({ t, connect }) => {
    const client = await connect()
    client.rpc.send(Buffer.alloc(4 * 1000))
    await client.rpc.closed
    t.pass()
  })

  reading('an HTTP request closes the connection', async ({ t, connect }) => {
    const client = await connect()
    client.rpc.send(Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'))
    await client.rpc.closed
    t.is(client.rpc.replies.length, 0)
  })

  reading('truncated arguments are GARBAGE_ARGS for every procedure', async ({ t, nfs }) => {
    for (const [name, proc] of Object.entries(procNumbers)) {
      if (name === 'NULL') continue
      const reply = await nfs.rpc.call(NFS_PROGRAM, NFS_V3, proc, Buffer.from('0000001474', 'hex'))
      t.is(reply.stat, 'GARBAGE_ARGS', name)
    }
  })

  reading(
    'padding that is not zero and bytes after the arguments are tolerated',
    async ({ t, nfs, root }) => {
      const name = Buffer.concat([Buffer.from('00000001', 'hex'), Buffer.from('.abc'), Buffer.alloc(12, 7)])
      const args = Buffer.concat([encode(GETATTR.spec.args, { object: root }), name])
      t.is((await nfs.rpc.call(NFS_PROGRAM, NFS_V3, procNumbers.LOOKUP, args)).stat, 'SUCCESS')
    },
  )

  reading('a handle above 64 bytes is GARBAGE_ARGS', async ({ t, nfs }) => {
    const args = Buffer.concat([Buffer.from('00000044', 'hex'), Buffer.alloc(0x44)])
    t.is((await nfs.rpc.call(NFS_PROGRAM, NFS_V3, 1, args)).stat, 'GARBAGE_ARGS')
  })

  reading('a length of 2^32-1 is GARBAGE_ARGS', async ({ t, nfs }) => {
    const args = Buffer.from('ffffffff', 'hex')
    t.is((await nfs.rpc.call(NFS_PROGRAM, NFS_V3, 1, args)).stat, 'GARBAGE_ARGS')
  })

  reading('a boolean of 2 and a union arm that does not exist are GARBAGE_ARGS', async ({ t, nfs, root }) => {
    const where = encode(LOOKUP.spec.args, { what: at(root, 'x') })
    const badHow = Buffer.concat([where, Buffer.from('00000007', 'hex'), Buffer.alloc(64)])
    t.is((await nfs.rpc.call(NFS_PROGRAM, NFS_V3, procNumbers.CREATE, badHow)).stat, 'GARBAGE_ARGS')
    const badBool = Buffer.concat([where, Buffer.from('00000002', 'hex'), Buffer.alloc(64)])
    t.is((await nfs.rpc.call(NFS_PROGRAM, NFS_V3, procNumbers.MKDIR, badBool)).stat, 'GARBAGE_ARGS')
  })

  reading('credentials that break their bounds are AUTH_BADCRED', async ({ t, nfs, root }) => {
    const badcred = '00000001'
    const args = encode(GETATTR.spec.args, { object: root })
    const bodies: Record<string, Buffer> = {
      'above 400 bytes': Buffer.alloc(404),
      'a machine name above 255': Buffer.concat([Buffer.from('0000000000000100', 'hex'), Buffer.alloc(300)]),
      '17 groups': Buffer.concat([
        Buffer.from('00000000000000000000000000000000' + '00000011', 'hex'),
        Buffer.alloc(68),
      ]),
      'cut short': Buffer.alloc(6),
    }
    for (const [what, body] of Object.entries(bodies)) {
      const reply = await nfs.rpc.call(NFS_PROGRAM, NFS_V3, 1, args, { cred: { flavor: 1, body } })
      t.is(reply.stat, 'AUTH_ERROR', what)
      t.is(hex(reply.body), badcred, what)
    }
  })

  reading('a flavour that we do not know is AUTH_TOOWEAK', async ({ t, nfs, root }) => {
    const args = encode(FSINFO.spec.args, { fsroot: root })
    const cred = { flavor: 6, body: Buffer.alloc(20) }
    const reply = await nfs.rpc.call(NFS_PROGRAM, NFS_V3, procNumbers.FSINFO, args, { cred })
    t.is(reply.stat, 'AUTH_ERROR')
    t.is(hex(reply.body), '00000005')
  })

  reading('what is asked on one connection is seen on the next', async ({ t, root, connect }) => {
    const clients = await Promise.all([connect(), connect(), connect(), connect()])
    const ids = new Set<bigint>()
    for (const client of clients) ids.add((await client.getattr(root)).fileid)
    t.is(ids.size, 1)
  })
}
