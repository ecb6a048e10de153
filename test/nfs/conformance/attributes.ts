// Handles and attributes, ACCESS and LOOKUP.

import { NFS_PROGRAM, NFS_V3 } from '../../../src/nfs/nfs3.ts'
import { ACCESS, GETATTR, SETATTR } from '../../../src/nfs/proc/attributes.ts'
import { READDIRPLUS } from '../../../src/nfs/proc/listing.ts'
import { CREATE } from '../../../src/nfs/proc/making.ts'
import { LOOKUP, READLINK, REMOVE, RENAME } from '../../../src/nfs/proc/names.ts'
import {
  ACCESS3,
  type Fattr3,
  type Nfstime3,
  nfsstats,
  type Sattr3,
  type Status,
} from '../../../src/nfs/types.ts'
import { RpcClient } from '../../support/rpc-client.ts'
import {
  at,
  checksOf,
  encode,
  NfsClient,
  noAttrs,
  owner,
  procNumbers,
  type Subject,
  serveOn,
  type World,
} from './world.ts'

const ns = ({ seconds, nseconds }: Nfstime3): bigint => BigInt(seconds) * 1_000_000_000n + BigInt(nseconds)
const grew = (before: Fattr3, after: Fattr3, time: 'mtime' | 'ctime'): boolean =>
  ns(after[time]) > ns(before[time])

const set = (w: World, object: Uint8Array, attrs: Partial<Sattr3>, guard: Nfstime3 | null = null) =>
  w.nfs.call(SETATTR, { object, new_attributes: { ...noAttrs, ...attrs }, guard })

export function attributeChecks(subject: Subject): void {
  const { reading, writing } = checksOf(subject)

  reading('GETATTR of the root tells a whole and sane directory', async ({ t, nfs, root }) => {
    const a = await nfs.getattr(root)
    t.is(a.type, 'NF3DIR')
    t.true(a.nlink >= 1)
    t.deepEqual(a.rdev, { specdata1: 0, specdata2: 0 })
    t.is(a.uid, owner.uid)
    t.true(a.mode <= 0o7777)
    for (const time of [a.atime, a.mtime, a.ctime]) t.true(time.nseconds < 1_000_000_000)
  })

  writing(
    'fileid is the same by GETATTR, LOOKUP and READDIRPLUS, and fsid is one',
    async ({ t, nfs, root }) => {
      const file = await nfs.create(root, 'a')
      const own = await nfs.getattr(file)
      const { object, obj_attributes } = await nfs.ok(LOOKUP, { what: at(root, 'a') })
      const listing = { dir: root, cookie: 0n, cookieverf: Buffer.alloc(8), dircount: 4096, maxcount: 8192 }
      const entry = (await nfs.ok(READDIRPLUS, listing)).entries.find(
        e => Buffer.from(e.name).toString() === 'a',
      )!
      t.deepEqual(obj_attributes, own)
      t.is(entry.fileid, own.fileid)
      t.deepEqual(Buffer.from(object), Buffer.from(file))
      t.is((await nfs.getattr(root)).fsid, own.fsid)
    },
  )

  reading('a handle that is not ours is BADHANDLE, whatever its length', async ({ t, nfs, root }) => {
    const otherMagic = Buffer.from(root)
    otherMagic[0]! ^= 1
    for (const object of [
      Buffer.alloc(0),
      Buffer.alloc(20),
      Buffer.alloc(64),
      root.subarray(0, 16),
      otherMagic,
    ])
      t.is(await nfs.status(GETATTR, { object }), 'NFS3ERR_BADHANDLE', `${object.length}`)
  })

  reading(
    'a handle whose random bits are others, or whose id is unknown, is STALE',
    async ({ t, nfs, root }) => {
      const bits = Buffer.from(root)
      bits[19]! ^= 1
      const id = Buffer.from(root)
      id.writeBigUInt64BE(2n ** 62n, 4)
      for (const object of [bits, id]) t.is(await nfs.status(GETATTR, { object }), 'NFS3ERR_STALE')
    },
  )

  writing('the handle of a removed file is STALE', async ({ t, nfs, root }) => {
    const object = await nfs.create(root, 'a')
    await nfs.ok(REMOVE, { object: at(root, 'a') })
    t.is(await nfs.status(GETATTR, { object }), 'NFS3ERR_STALE')
  })

  writing('a handle survives rename, also those below a renamed directory', async ({ t, nfs, root }) => {
    const [one, two] = [await nfs.mkdir(root, 'one'), await nfs.mkdir(root, 'two')]
    const sub = await nfs.mkdir(one, 'sub')
    const file = await nfs.create(sub, 'file')
    const [dirId, fileId] = [(await nfs.getattr(sub)).fileid, (await nfs.getattr(file)).fileid]
    await nfs.ok(RENAME, { from: at(one, 'sub'), to: at(two, 'moved') })
    t.is((await nfs.getattr(sub)).fileid, dirId)
    t.is((await nfs.getattr(file)).fileid, fileId)
    t.deepEqual(Buffer.from(await nfs.lookup(sub, '..')), Buffer.from(two))
    t.deepEqual(Buffer.from(await nfs.lookup(await nfs.lookup(two, 'moved'), 'file')), Buffer.from(file))
  })

  writing('a handle survives a restart of the server', async ({ t, nfs, vfs, root }) => {
    const file = await nfs.create(root, 'kept')
    const again = await serveOn(vfs)
    t.teardown(again.end)
    const rpc = await RpcClient.connect(again.port, { cred: owner })
    t.teardown(() => rpc.close())
    t.deepEqual(await new NfsClient(rpc).getattr(file), await nfs.getattr(file))
  })

  writing('SETATTR cuts and grows a file, and what grows is zero', async w => {
    const { t, nfs, root } = w
    const file = await nfs.create(root, 'a')
    await nfs.write(file, 0, 'abcdefgh')
    const before = await nfs.getattr(file)
    t.is((await set(w, file, { size: 3 })).status, 'NFS3_OK')
    t.is((await set(w, file, { size: 6 })).status, 'NFS3_OK')
    t.is((await nfs.read(file)).toString('hex'), '616263000000')
    const after = await nfs.getattr(file)
    t.is(after.size, 6)
    t.true(grew(before, after, 'mtime') && grew(before, after, 'ctime'))
  })

  writing('a guard that holds lets SETATTR through, another changes nothing', async w => {
    const { t, nfs, root } = w
    const file = await nfs.create(root, 'a')
    const { ctime } = await nfs.getattr(file)
    t.is((await set(w, file, { mode: 0o600 }, ctime)).status, 'NFS3_OK')
    const now = await nfs.getattr(file)
    const late = await set(w, file, { mode: 0o666, size: 9 }, ctime)
    t.is(late.status, 'NFS3ERR_NOT_SYNC')
    t.deepEqual(await nfs.getattr(file), now)
  })

  writing('SETATTR keeps nanoseconds of a given time, and knows its own', async w => {
    const { t, nfs, root } = w
    const file = await nfs.create(root, 'a')
    const given = { seconds: 1_234_567_890, nseconds: 123_456_789 }
    await set(w, file, {
      atime: { is: 'SET_TO_CLIENT_TIME', value: { ...given, nseconds: 1 } },
      mtime: { is: 'SET_TO_CLIENT_TIME', value: given },
    })
    const a = await nfs.getattr(file)
    t.deepEqual([a.atime.nseconds, a.mtime], [1, given])
    await set(w, file, { mtime: { is: 'SET_TO_SERVER_TIME', value: undefined } })
    const b = await nfs.getattr(file)
    t.true(b.mtime.seconds > given.seconds)
    t.deepEqual(b.atime, a.atime)
  })

  writing('a time of 10^9 nanoseconds is INVAL, in what is set and in the guard', async w => {
    const { t, nfs, root } = w
    const file = await nfs.create(root, 'a')
    const bad = { seconds: 1, nseconds: 1_000_000_000 }
    t.is((await set(w, file, { mtime: { is: 'SET_TO_CLIENT_TIME', value: bad } })).status, 'NFS3ERR_INVAL')
    t.is((await set(w, file, { mode: 0 }, bad)).status, 'NFS3ERR_INVAL')
  })

  writing('an empty SETATTR succeeds and touches nothing', async w => {
    const { t, nfs, root } = w
    const file = await nfs.create(root, 'a')
    const before = await nfs.getattr(file)
    t.is((await set(w, file, {})).status, 'NFS3_OK')
    t.deepEqual(await nfs.getattr(file), before)
  })

  writing('file-type bits in a mode are masked', async w => {
    const { t, nfs, root } = w
    const file = await nfs.create(root, 'a')
    await set(w, file, { mode: 0o100_640 })
    t.is((await nfs.getattr(file)).mode, 0o640)
  })

  writing('SETATTR of the present owner succeeds, of another is PERM', async w => {
    const { t, nfs, root } = w
    const file = await nfs.create(root, 'a')
    const { uid, gid } = await nfs.getattr(file)
    t.is((await set(w, file, { uid, gid })).status, 'NFS3_OK')
    t.is((await set(w, file, { uid: uid + 1 })).status, 'NFS3ERR_PERM')
    t.is((await set(w, file, { gid: gid + 1 })).status, 'NFS3ERR_PERM')
  })

  writing('SETATTR of a size on a directory, or beyond 2^53, is INVAL', async w => {
    const { t, nfs, root } = w
    t.is((await set(w, root, { size: 0 })).status, 'NFS3ERR_INVAL')
    const file = await nfs.create(root, 'a')
    const tooBig =
      `00000000 00000000 00000000 00000001 ffffffffffffffff 00000000 00000000 00000000`.replaceAll(' ', '')
    const args = Buffer.concat([encode(GETATTR.spec.args, { object: file }), Buffer.from(tooBig, 'hex')])
    const reply = await nfs.rpc.call(NFS_PROGRAM, NFS_V3, procNumbers.SETATTR, args)
    t.is(reply.body.readUInt32BE(), nfsstats.NFS3ERR_INVAL)
    t.is((await nfs.getattr(file)).size, 0)
  })

  writing('wcc data of SETATTR is the state before and after it', async w => {
    const { t, nfs, root } = w
    const file = await nfs.create(root, 'a')
    const before = await nfs.getattr(file)
    const { ok } = await set(w, file, { mode: 0o600 })
    const { size, mtime, ctime } = before
    t.deepEqual(ok!.obj_wcc.before, { size, mtime, ctime })
    t.deepEqual(ok!.obj_wcc.after, await nfs.getattr(file))
  })

  writing(
    'ACCESS grants no bit that was not asked, LOOKUP on directories alone, EXECUTE never there',
    async w => {
      const { t, nfs, root } = w
      const file = await nfs.create(root, 'run', { mode: 0o755 })
      const all = 0xffff_ffff
      const bits = async (object: Uint8Array, access: number) =>
        (await nfs.ok(ACCESS, { object, access })).access
      const { READ, LOOKUP, MODIFY, EXTEND, DELETE, EXECUTE } = ACCESS3
      t.is(await bits(root, all), READ | LOOKUP | MODIFY | EXTEND | DELETE)
      t.is(await bits(file, all), READ | MODIFY | EXTEND | EXECUTE)
      t.is(await bits(file, READ), READ)
      t.is(await bits(file, 0), 0)
    },
  )

  writing('ACCESS follows the mode for the owner, and root may read and write anything', async w => {
    const { t, nfs, root, connect } = w
    const file = await nfs.create(root, 'a', { mode: 0o400 })
    const asRoot = await connect({ uid: 0, gid: 0 })
    const ask = { object: file, access: 63 }
    t.is((await nfs.ok(ACCESS, ask)).access, ACCESS3.READ)
    t.is((await asRoot.ok(ACCESS, ask)).access, ACCESS3.READ | ACCESS3.MODIFY | ACCESS3.EXTEND)
  })

  writing('a name cannot be made in a directory that its owner may not change, except by root', async w => {
    const { t, nfs, root, connect } = w
    const dir = await nfs.mkdir(root, 'closed')
    await set(w, dir, { mode: 0o500 })
    const how = { is: 'UNCHECKED' as const, value: noAttrs }
    t.is(await nfs.status(CREATE, { where: at(dir, 'x'), how }), 'NFS3ERR_ACCES')
    t.is(await (await connect({ uid: 0, gid: 0 })).status(CREATE, { where: at(dir, 'x'), how }), 'NFS3_OK')
  })

  reading("LOOKUP of '.' and '..' works, and '..' of the root is the root", async ({ t, nfs, root }) => {
    t.deepEqual(Buffer.from(await nfs.lookup(root, '.')), root)
    t.deepEqual(Buffer.from(await nfs.lookup(root, '..')), root)
  })

  writing('LOOKUP in a file is NOTDIR', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'a')
    t.is(await nfs.status(LOOKUP, { what: at(file, 'b') }), 'NFS3ERR_NOTDIR')
  })

  reading('LOOKUP of a missing name is NOENT with the directory’s attributes', async ({ t, nfs, root }) => {
    const { status, fail } = await nfs.call(LOOKUP, { what: at(root, 'nothing here') })
    t.is(status, 'NFS3ERR_NOENT')
    t.deepEqual(fail?.dir_attributes, await nfs.getattr(root))
  })

  reading('names that can be no names are refused at the edge', async ({ t, nfs, root }) => {
    const refused: [Uint8Array, Status][] = [
      [Buffer.alloc(0), 'NFS3ERR_ACCES'],
      [Buffer.from('../../etc/passwd'), 'NFS3ERR_ACCES'],
      [Buffer.from('/'), 'NFS3ERR_ACCES'],
      [Buffer.from('a\0b'), 'NFS3ERR_ACCES'],
      [Buffer.alloc(256, 'a'), 'NFS3ERR_NAMETOOLONG'],
      [Buffer.alloc(60_000, 'a'), 'NFS3ERR_NAMETOOLONG'],
      [Buffer.from([0xc0, 0xae, 0xc0, 0xae]), 'NFS3ERR_NOENT'], // an overlong '..'
      [Buffer.from([0x61, 0xff]), 'NFS3ERR_NOENT'],
      [Buffer.from([0xed, 0xa0, 0x80]), 'NFS3ERR_NOENT'], // a surrogate
    ]
    for (const [name, status] of refused) t.is(await nfs.status(LOOKUP, { what: at(root, name) }), status)
  })

  writing('a name is found in NFC and in NFD, and is listed as it was made', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'cafe\u0301')
    t.deepEqual(Buffer.from(await nfs.lookup(root, 'caf\u00e9')), Buffer.from(file))
    t.deepEqual(Buffer.from(await nfs.lookup(root, 'cafe\u0301')), Buffer.from(file))
  })

  writing('READLINK gives the target byte for byte, and is INVAL for a file', async ({ t, nfs, root }) => {
    const target = '../nowhere/\u00e9 ../..'
    const link = await nfs.symlink(root, 'l', target)
    const { data, symlink_attributes } = await nfs.ok(READLINK, { symlink: link })
    t.is(Buffer.from(data).toString(), target)
    t.is(symlink_attributes?.type, 'NF3LNK')
    t.is(symlink_attributes?.size, Buffer.byteLength(target))
    t.is(await nfs.status(READLINK, { symlink: await nfs.create(root, 'f') }), 'NFS3ERR_INVAL')
  })
}
