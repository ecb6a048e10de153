// Every procedure with every kind of bad input: the reply is whole, its status is one
// the RFC lets that procedure answer, and the server lives.

import fc from 'fast-check'
import { NFS_PROGRAM, NFS_V3 } from '../../../src/nfs/nfs3.ts'
import * as attributes from '../../../src/nfs/proc/attributes.ts'
import * as data from '../../../src/nfs/proc/data.ts'
import * as filesystem from '../../../src/nfs/proc/filesystem.ts'
import * as listing from '../../../src/nfs/proc/listing.ts'
import * as making from '../../../src/nfs/proc/making.ts'
import * as names from '../../../src/nfs/proc/names.ts'
import type { Unbound } from '../../../src/nfs/procedure.ts'
import { at, checksOf, encode, noAttrs, outcomeOf, procNumbers, type Subject, type World } from './world.ts'

// biome-ignore lint/suspicious/noExplicitAny: a table of procedures of every type
type Any = Unbound<any, any, any>
export const everyProcedure: Any[] = Object.values({
  ...attributes,
  ...data,
  ...filesystem,
  ...listing,
  ...making,
  ...names,
})

/** Arguments that would do, but for the handle. */
export function argsWith(name: string, handle: Uint8Array): unknown {
  const where = at(handle, 'x')
  const cookieverf = Buffer.alloc(8)
  const byName: Record<string, unknown> = {
    SETATTR: { object: handle, new_attributes: { ...noAttrs, mode: 0o600 }, guard: null },
    LOOKUP: { what: where },
    ACCESS: { object: handle, access: 63 },
    READLINK: { symlink: handle },
    READ: { file: handle, offset: 0, count: 10 },
    WRITE: { file: handle, offset: 0, count: 1, stable: 'UNSTABLE', data: Buffer.from('x') },
    CREATE: { where, how: { is: 'UNCHECKED', value: noAttrs } },
    MKDIR: { where, attributes: noAttrs },
    SYMLINK: { where, symlink: { symlink_attributes: noAttrs, symlink_data: Buffer.from('t') } },
    MKNOD: { where, what: { is: 'NF3FIFO', value: noAttrs } },
    REMOVE: { object: where },
    RMDIR: { object: where },
    RENAME: { from: where, to: at(handle, 'y') },
    LINK: { file: handle, link: where },
    READDIR: { dir: handle, cookie: 0n, cookieverf, count: 4096 },
    READDIRPLUS: { dir: handle, cookie: 0n, cookieverf, dircount: 4096, maxcount: 4096 },
    FSSTAT: { fsroot: handle },
    FSINFO: { fsroot: handle },
    COMMIT: { file: handle, offset: 0, count: 0 },
  }
  return byName[name] ?? { object: handle }
}

async function handles({ nfs, root }: World): Promise<Record<string, Uint8Array>> {
  const stale = await nfs.create(root, 'gone')
  await nfs.ok(names.REMOVE, { object: at(root, 'gone') })
  return {
    empty: Buffer.alloc(0),
    foreign: Buffer.alloc(32, 0xab),
    longest: Buffer.alloc(64),
    stale,
    file: await nfs.create(root, 'file'),
    directory: await nfs.mkdir(root, 'dir'),
    link: await nfs.symlink(root, 'link', 'file'),
  }
}

export function robustnessChecks(subject: Subject): void {
  const { writing } = checksOf(subject)

  writing('every procedure answers every kind of handle with a legal status and a whole body', async w => {
    const { t, nfs, root } = w
    t.is(everyProcedure.length, 21)
    for (const [kind, handle] of Object.entries(await handles(w)))
      for (const procedure of everyProcedure) {
        const { status } = await nfs.call(procedure, argsWith(procedure.spec.name, handle))
        const expected = { empty: 'BADHANDLE', foreign: 'BADHANDLE', longest: 'BADHANDLE', stale: 'STALE' }[
          kind
        ]
        if (expected) t.is(status, `NFS3ERR_${expected}` as typeof status, `${procedure.spec.name} ${kind}`)
      }
    t.is((await nfs.getattr(root)).type, 'NF3DIR')
  })

  writing('arguments cut anywhere are GARBAGE_ARGS or a legal answer, and the server lives', async w => {
    const { t, nfs, root } = w
    for (const { spec } of everyProcedure) {
      const args = encode(spec.args, argsWith(spec.name, root))
      for (let length = 0; length < args.length; length += 4) {
        const cut = args.subarray(0, length)
        const reply = await nfs.rpc.call(NFS_PROGRAM, NFS_V3, procNumbers[spec.name], cut)
        t.is(reply.stat, 'GARBAGE_ARGS', `${spec.name} ${length}`)
      }
    }
    t.is((await nfs.getattr(root)).type, 'NF3DIR')
  })

  writing('arguments with any bytes changed are GARBAGE_ARGS or a legal answer', async w => {
    const { t, nfs } = w
    const kinds = Object.values(await handles(w))
    const change = fc.record({
      procedure: fc.constantFrom(...everyProcedure),
      handle: fc.constantFrom(...kinds),
      changes: fc.array(fc.tuple(fc.nat(500), fc.nat(255)), { minLength: 1, maxLength: 6 }),
    })
    await fc.assert(
      fc.asyncProperty(change, async ({ procedure, handle, changes }) => {
        const { spec } = procedure
        const args = encode(spec.args, argsWith(spec.name, handle))
        for (const [where, value] of changes) args[where % args.length] = value
        const reply = await nfs.rpc.call(NFS_PROGRAM, NFS_V3, procNumbers[spec.name], args)
        if (reply.stat === 'SUCCESS') outcomeOf(procedure, reply.body)
        else if (reply.stat !== 'GARBAGE_ARGS') throw new Error(reply.stat)
      }),
      { numRuns: 1500 },
    )
    t.pass()
  })

  writing('records of random bytes close their connection at most, and harm no other', async w => {
    const { t, nfs, root, connect } = w
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), async bytes => {
        const client = await connect()
        client.rpc.send(Buffer.from(bytes))
        client.rpc.half()
        await client.rpc.closed
        client.rpc.close()
        await nfs.getattr(root)
      }),
      { numRuns: 100 },
    )
    t.is((await nfs.getattr(root)).type, 'NF3DIR')
  })
}
