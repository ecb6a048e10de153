// CREATE, MKDIR, SYMLINK, MKNOD, LINK: new names; and calls that are sent twice.

import { SETATTR } from '../../../src/nfs/proc/attributes.ts'
import { CREATE, MKDIR, MKNOD, SYMLINK } from '../../../src/nfs/proc/making.ts'
import { LINK, LOOKUP, REMOVE, RENAME, RMDIR } from '../../../src/nfs/proc/names.ts'
import type { Unbound } from '../../../src/nfs/procedure.ts'
import { at, checksOf, type NfsClient, noAttrs, type Subject } from './world.ts'

const unchecked = (attrs = {}) => ({ is: 'UNCHECKED' as const, value: { ...noAttrs, ...attrs } })
const guarded = { is: 'GUARDED' as const, value: noAttrs }
const exclusive = (verf: string) => ({ is: 'EXCLUSIVE' as const, value: Buffer.from(verf) })
const fh = (handle: Uint8Array | null): string => Buffer.from(handle!).toString('hex')

export function makingChecks(subject: Subject): void {
  const { writing } = checksOf(subject)

  writing('CREATE UNCHECKED of an existing file keeps its data, and cuts it only when asked', async w => {
    const { t, nfs, root } = w
    const file = await nfs.create(root, 'a', { mode: 0o640 })
    await nfs.write(file, 0, 'kept')
    const again = await nfs.ok(CREATE, { where: at(root, 'a'), how: unchecked({ mode: 0o777 }) })
    t.is(fh(again.obj), fh(file))
    t.is((await nfs.read(file)).toString(), 'kept')
    t.is(again.obj_attributes?.mode, 0o640)
    await nfs.ok(CREATE, { where: at(root, 'a'), how: unchecked({ size: 0 }) })
    t.is((await nfs.getattr(file)).size, 0)
  })

  writing('CREATE over a directory, and GUARDED over anything, is EXIST', async ({ t, nfs, root }) => {
    await nfs.mkdir(root, 'd')
    await nfs.create(root, 'f')
    t.is(await nfs.status(CREATE, { where: at(root, 'd'), how: unchecked() }), 'NFS3ERR_EXIST')
    t.is(await nfs.status(CREATE, { where: at(root, 'f'), how: guarded }), 'NFS3ERR_EXIST')
  })

  writing('CREATE EXCLUSIVE with the same verifier gives the same file, with another EXIST', async w => {
    const { t, nfs, root } = w
    const ask = { where: at(root, 'x'), how: exclusive('verifier') }
    const first = await nfs.ok(CREATE, ask)
    t.is(fh((await nfs.ok(CREATE, ask)).obj), fh(first.obj))
    t.is(await nfs.status(CREATE, { ...ask, how: exclusive('another!') }), 'NFS3ERR_EXIST')
  })

  writing('what is made comes with handle, attributes and true wcc, its mode as asked', async w => {
    const { t, nfs, root } = w
    const attrs = { ...noAttrs, mode: 0o751 }
    const makers: [
      string,
      (name: string) => Promise<{ obj: unknown; obj_attributes: unknown; dir_wcc: unknown }>,
    ][] = [
      ['file', name => nfs.ok(CREATE, { where: at(root, name), how: { is: 'GUARDED', value: attrs } })],
      ['directory', name => nfs.ok(MKDIR, { where: at(root, name), attributes: attrs })],
      [
        'link',
        name =>
          nfs.ok(SYMLINK, {
            where: at(root, name),
            symlink: { symlink_attributes: attrs, symlink_data: Buffer.from('t') },
          }),
      ],
    ]
    for (const [name, make] of makers) {
      const { size, mtime, ctime } = await nfs.getattr(root)
      const made = await make(name)
      const handle = await nfs.lookup(root, name)
      t.is(fh(made.obj as Uint8Array), fh(handle))
      t.deepEqual(made.obj_attributes, await nfs.getattr(handle))
      t.deepEqual(made.dir_wcc, { before: { size, mtime, ctime }, after: await nfs.getattr(root) })
      if (name !== 'link') t.is((await nfs.getattr(handle)).mode, 0o751)
    }
  })

  writing('CREATE with a size makes a file of that size', async ({ t, nfs, root }) => {
    const made = await nfs.ok(CREATE, { where: at(root, 'a'), how: unchecked({ size: 5 }) })
    t.is((await nfs.read(made.obj!)).toString('hex'), '0000000000')
  })

  writing(
    'CREATE that names another owner succeeds; the reply tells whose it is',
    async ({ t, nfs, root }) => {
      const made = await nfs.ok(CREATE, { where: at(root, 'a'), how: unchecked({ uid: 0, gid: 0 }) })
      t.is(made.obj_attributes?.uid, (await nfs.getattr(root)).uid)
    },
  )

  writing('nothing is made in a file, nor in a removed directory', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'f')
    const gone = await nfs.mkdir(root, 'd')
    await nfs.ok(RMDIR, { object: at(root, 'd') })
    for (const [dir, status] of [
      [file, 'NFS3ERR_NOTDIR'],
      [gone, 'NFS3ERR_STALE'],
    ] as const) {
      const where = at(dir, 'x')
      t.is(await nfs.status(CREATE, { where, how: unchecked() }), status)
      t.is(await nfs.status(MKDIR, { where, attributes: noAttrs }), status)
      t.is(await nfs.status(MKNOD, { where, what: { is: 'NF3FIFO', value: noAttrs } }), status)
      const symlink = { symlink_attributes: noAttrs, symlink_data: Buffer.from('t') }
      t.is(await nfs.status(SYMLINK, { where, symlink }), status)
      t.is(await nfs.status(LINK, { file, link: where }), status)
    }
  })

  writing('names that can be no names are refused by all that make one', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'f')
    const refused = [
      ['', 'NFS3ERR_ACCES'],
      ['a/b', 'NFS3ERR_ACCES'],
      ['a\0b', 'NFS3ERR_ACCES'],
      ['.', 'NFS3ERR_EXIST'],
      ['..', 'NFS3ERR_EXIST'],
      [Buffer.alloc(256, 'a'), 'NFS3ERR_NAMETOOLONG'],
      [Buffer.from([0x61, 0xc0, 0xaf, 0x62]), 'NFS3ERR_INVAL'],
      [Buffer.from([0xff]), 'NFS3ERR_INVAL'],
    ] as const
    for (const [name, status] of refused) {
      const where = at(root, name)
      t.is(await nfs.status(CREATE, { where, how: unchecked() }), status)
      t.is(await nfs.status(MKDIR, { where, attributes: noAttrs }), status)
      const symlink = { symlink_attributes: noAttrs, symlink_data: Buffer.from('t') }
      t.is(await nfs.status(SYMLINK, { where, symlink }), status)
      t.is(await nfs.status(LINK, { file, link: where }), status)
    }
    t.is((await nfs.getattr(root)).fileid, (await nfs.getattr(await nfs.lookup(root, '.'))).fileid)
  })

  writing('a name of 255 bytes is made, and a target of 4096; one more is NAMETOOLONG', async w => {
    const { t, nfs, root } = w
    await nfs.create(root, 'n'.repeat(255))
    const symlink = (n: number) => ({ symlink_attributes: noAttrs, symlink_data: Buffer.alloc(n, 'x') })
    t.is(await nfs.status(SYMLINK, { where: at(root, 'l'), symlink: symlink(4096) }), 'NFS3_OK')
    t.is(await nfs.status(SYMLINK, { where: at(root, 'm'), symlink: symlink(4097) }), 'NFS3ERR_NAMETOOLONG')
    t.is(await nfs.status(SYMLINK, { where: at(root, 'm'), symlink: symlink(0) }), 'NFS3ERR_INVAL')
  })

  writing('MKDIR of what exists is EXIST', async ({ t, nfs, root }) => {
    await nfs.create(root, 'f')
    t.is(await nfs.status(MKDIR, { where: at(root, 'f'), attributes: noAttrs }), 'NFS3ERR_EXIST')
  })

  writing(
    'MKNOD is BADTYPE for what has its own procedure, NOTSUPP for the rest',
    async ({ t, nfs, root }) => {
      const where = at(root, 'x')
      for (const is of ['NF3REG', 'NF3DIR', 'NF3LNK'] as const)
        t.is(await nfs.status(MKNOD, { where, what: { is, value: undefined } }), 'NFS3ERR_BADTYPE')
      const device = { dev_attributes: noAttrs, spec: { specdata1: 1, specdata2: 3 } }
      for (const is of ['NF3BLK', 'NF3CHR'] as const)
        t.is(await nfs.status(MKNOD, { where, what: { is, value: device } }), 'NFS3ERR_NOTSUPP')
      for (const is of ['NF3SOCK', 'NF3FIFO'] as const)
        t.is(await nfs.status(MKNOD, { where, what: { is, value: noAttrs } }), 'NFS3ERR_NOTSUPP')
      t.is(await nfs.status(LOOKUP, { what: where }), 'NFS3ERR_NOENT')
    },
  )

  writing('LINK is a second name of the same file, and survives the first', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'a')
    const linked = await nfs.ok(LINK, { file, link: at(root, 'b') })
    t.is(linked.file_attributes?.nlink, 2)
    t.is(fh(await nfs.lookup(root, 'b')), fh(file))
    await nfs.ok(REMOVE, { object: at(root, 'a') })
    t.is((await nfs.getattr(file)).nlink, 1)
  })

  writing('LINK of a directory is ISDIR, to a name that exists EXIST', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'a')
    const dir = await nfs.mkdir(root, 'd')
    t.is(await nfs.status(LINK, { file: dir, link: at(root, 'x') }), 'NFS3ERR_ISDIR')
    t.is(await nfs.status(LINK, { file, link: at(root, 'd') }), 'NFS3ERR_EXIST')
  })

  writing('every new name moves its directory’s mtime and ctime', async ({ t, nfs, root }) => {
    const seen = new Set<string>()
    for (let i = 0; i < 20; i++) {
      await nfs.create(root, `${i}`)
      const { mtime, ctime } = await nfs.getattr(root)
      seen.add(JSON.stringify([mtime, ctime]))
    }
    t.is(seen.size, 20)
  })

  writing('a changing call sent again, the same to the byte, gets its first answer', async w => {
    const { t, nfs, root, connect } = w
    const file = await nfs.create(root, 'f')
    await nfs.create(root, 'r')
    await nfs.mkdir(root, 'rd')
    await nfs.create(root, 'from')
    const { ctime } = await nfs.getattr(file)
    const symlink = { symlink_attributes: noAttrs, symlink_data: Buffer.from('t') }
    const again = await connect() // a client resends over a new connection

    await twice(CREATE, { where: at(root, 'c'), how: guarded })
    await twice(MKDIR, { where: at(root, 'd'), attributes: noAttrs })
    await twice(SYMLINK, { where: at(root, 's'), symlink })
    await twice(LINK, { file, link: at(root, 'l') })
    await twice(REMOVE, { object: at(root, 'r') })
    await twice(RMDIR, { object: at(root, 'rd') })
    await twice(RENAME, { from: at(root, 'from'), to: at(root, 'to') })
    const { ctime: now } = await nfs.getattr(file)
    t.notDeepEqual(now, ctime) // LINK moved it
    await twice(SETATTR, { object: file, new_attributes: { ...noAttrs, mode: 0o600 }, guard: now })

    async function twice<A, R, F>(proc: Unbound<A, R, F>, args: A): Promise<void> {
      const xid = 1_000_000 + w.nfs.rpc.xid()
      const first = await nfs.call(proc, args, { xid })
      t.is(first.status, 'NFS3_OK', proc.spec.name)
      t.deepEqual(await again.call(proc, args, { xid }), first, proc.spec.name)
    }
  })

  writing(
    'both of a pair of the same call in flight at once get the same answer',
    async ({ t, nfs, root, connect }) => {
      const other = await connect()
      const ask = (client: NfsClient) =>
        client.call(MKDIR, { where: at(root, 'd'), attributes: noAttrs }, { xid: 77 })
      const [one, two] = await Promise.all([ask(nfs), ask(other)])
      t.is(one.status, 'NFS3_OK')
      t.deepEqual(two, one)
    },
  )

  writing(
    'the same xid with other bytes, or from another user, is another call',
    async ({ t, nfs, root, connect }) => {
      const xid = 99
      const make = (client: NfsClient, name: string) =>
        client.status(CREATE, { where: at(root, name), how: guarded }, { xid })
      t.is(await make(nfs, 'a'), 'NFS3_OK')
      t.is(await make(nfs, 'b'), 'NFS3_OK')
      t.is(await make(await connect({ uid: 0, gid: 0 }), 'a'), 'NFS3ERR_EXIST')
      t.is(await nfs.status(REMOVE, { object: at(root, 'a') }, { xid }), 'NFS3_OK')
      t.is(await nfs.status(LOOKUP, { what: at(root, 'a') }, { xid }), 'NFS3ERR_NOENT')
    },
  )
}
