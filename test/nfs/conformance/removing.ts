// REMOVE, RMDIR, RENAME: names that go.

import { GETATTR } from '../../../src/nfs/proc/attributes.ts'
import { LINK, LOOKUP, REMOVE, RENAME, RMDIR } from '../../../src/nfs/proc/names.ts'
import type { Status } from '../../../src/nfs/types.ts'
import { at, checksOf, type Subject } from './world.ts'

const fh = (handle: Uint8Array): string => Buffer.from(handle).toString('hex')

export function removingChecks(subject: Subject): void {
  const { writing } = checksOf(subject)

  writing(
    'REMOVE of a missing name is NOENT, of a directory ISDIR, of the dots INVAL',
    async ({ t, nfs, root }) => {
      await nfs.mkdir(root, 'd')
      const remove = (name: string) => nfs.status(REMOVE, { object: at(root, name) })
      t.is(await remove('nothing'), 'NFS3ERR_NOENT')
      t.is(await remove('d'), 'NFS3ERR_ISDIR')
      t.is(await remove('.'), 'NFS3ERR_INVAL')
      t.is(await remove('..'), 'NFS3ERR_INVAL')
      t.is(await remove('a/b'), 'NFS3ERR_ACCES')
    },
  )

  writing('REMOVE takes one name of two, and its wcc is true', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'a')
    await nfs.ok(LINK, { file, link: at(root, 'b') })
    const { size, mtime, ctime } = await nfs.getattr(root)
    const { dir_wcc } = await nfs.ok(REMOVE, { object: at(root, 'a') })
    t.deepEqual(dir_wcc, { before: { size, mtime, ctime }, after: await nfs.getattr(root) })
    t.is((await nfs.getattr(file)).nlink, 1)
  })

  writing('RMDIR refuses what is missing, full, a file, or a dot', async ({ t, nfs, root }) => {
    const full = await nfs.mkdir(root, 'full')
    await nfs.create(full, 'x')
    await nfs.create(root, 'file')
    const refused: [string, Status][] = [
      ['nothing', 'NFS3ERR_NOENT'],
      ['full', 'NFS3ERR_NOTEMPTY'],
      ['file', 'NFS3ERR_NOTDIR'],
      ['.', 'NFS3ERR_INVAL'],
      ['..', 'NFS3ERR_EXIST'],
    ]
    for (const [name, status] of refused)
      t.is(await nfs.status(RMDIR, { object: at(root, name) }), status, name)
    await nfs.ok(REMOVE, { object: at(full, 'x') })
    t.is(await nfs.status(RMDIR, { object: at(root, 'full') }), 'NFS3_OK')
    t.is(await nfs.status(GETATTR, { object: full }), 'NFS3ERR_STALE')
  })

  writing('RENAME over a file replaces it: fileid kept, the old handle STALE', async ({ t, nfs, root }) => {
    const [a, b] = [await nfs.create(root, 'a'), await nfs.create(root, 'b')]
    await nfs.write(a, 0, 'new')
    const { fileid } = await nfs.getattr(a)
    await nfs.ok(RENAME, { from: at(root, 'a'), to: at(root, 'b') })
    t.is(fh(await nfs.lookup(root, 'b')), fh(a))
    t.is((await nfs.getattr(a)).fileid, fileid)
    t.is(await nfs.status(GETATTR, { object: b }), 'NFS3ERR_STALE')
    t.is(await nfs.status(LOOKUP, { what: at(root, 'a') }), 'NFS3ERR_NOENT')
  })

  writing(
    'at no time during a hundred replacements is the name missing',
    async ({ t, nfs, root, connect }) => {
      const watcher = await connect()
      await nfs.create(root, 'b')
      let over = false
      const watch = (async () => {
        let seen = 0
        for (; !over; seen++) t.is(await watcher.status(LOOKUP, { what: at(root, 'b') }), 'NFS3_OK')
        return seen
      })()
      for (let i = 0; i < 100; i++) {
        await nfs.create(root, `a${i}`)
        await nfs.ok(RENAME, { from: at(root, `a${i}`), to: at(root, 'b') })
      }
      over = true
      t.true((await watch) > 0)
    },
  )

  writing('RENAME of a directory goes over an empty one, not over a full one', async ({ t, nfs, root }) => {
    const full = await nfs.mkdir(root, 'full')
    await nfs.create(full, 'x')
    await nfs.mkdir(root, 'empty')
    const dir = await nfs.mkdir(root, 'dir')
    t.is(await nfs.status(RENAME, { from: at(root, 'dir'), to: at(root, 'full') }), 'NFS3ERR_NOTEMPTY')
    t.is(await nfs.status(RENAME, { from: at(root, 'dir'), to: at(root, 'empty') }), 'NFS3_OK')
    t.is(fh(await nfs.lookup(root, 'empty')), fh(dir))
  })

  writing('RENAME mixes no files with directories', async ({ t, nfs, root }) => {
    await nfs.mkdir(root, 'dir')
    await nfs.create(root, 'file')
    t.is(await nfs.status(RENAME, { from: at(root, 'file'), to: at(root, 'dir') }), 'NFS3ERR_ISDIR')
    t.is(await nfs.status(RENAME, { from: at(root, 'dir'), to: at(root, 'file') }), 'NFS3ERR_NOTDIR')
  })

  writing(
    'RENAME to itself changes nothing, and between two names of one file both stay',
    async ({ t, nfs, root }) => {
      const file = await nfs.create(root, 'a')
      await nfs.ok(LINK, { file, link: at(root, 'b') })
      const before = [await nfs.getattr(root), await nfs.getattr(file)]
      t.is(await nfs.status(RENAME, { from: at(root, 'a'), to: at(root, 'a') }), 'NFS3_OK')
      t.is(await nfs.status(RENAME, { from: at(root, 'a'), to: at(root, 'b') }), 'NFS3_OK')
      t.deepEqual([await nfs.getattr(root), await nfs.getattr(file)], before)
      t.is(fh(await nfs.lookup(root, 'a')), fh(await nfs.lookup(root, 'b')))
    },
  )

  writing('RENAME refuses what cannot be', async ({ t, nfs, root }) => {
    const dir = await nfs.mkdir(root, 'dir')
    const inner = await nfs.mkdir(dir, 'inner')
    const file = await nfs.create(root, 'file')
    const rename = (from: ReturnType<typeof at>, to: ReturnType<typeof at>) =>
      nfs.status(RENAME, { from, to })
    t.is(await rename(at(root, 'dir'), at(inner, 'x')), 'NFS3ERR_INVAL')
    t.is(await rename(at(root, 'dir'), at(dir, 'x')), 'NFS3ERR_INVAL')
    for (const dots of ['.', '..']) {
      t.is(await rename(at(root, dots), at(root, 'x')), 'NFS3ERR_INVAL')
      t.is(await rename(at(root, 'file'), at(root, dots)), 'NFS3ERR_INVAL')
    }
    t.is(await rename(at(root, 'nothing'), at(root, 'x')), 'NFS3ERR_NOENT')
    t.is(await rename(at(root, 'file'), at(file, 'x')), 'NFS3ERR_NOTDIR')
    t.is(await rename(at(root, 'file'), at(root, Buffer.from([0xff]))), 'NFS3ERR_INVAL')
    t.is(await rename(at(root, Buffer.from([0xff])), at(root, 'x')), 'NFS3ERR_NOENT')
    t.is(await rename(at(root, 'file'), at(root, 'n'.repeat(256))), 'NFS3ERR_NAMETOOLONG')
  })

  writing('RENAME between directories tells the truth of both', async ({ t, nfs, root }) => {
    const [one, two] = [await nfs.mkdir(root, 'one'), await nfs.mkdir(root, 'two')]
    await nfs.create(one, 'a')
    const pre = async (dir: Uint8Array) => {
      const { size, mtime, ctime } = await nfs.getattr(dir)
      return { size, mtime, ctime }
    }
    const [before1, before2] = [await pre(one), await pre(two)]
    const { fromdir_wcc, todir_wcc } = await nfs.ok(RENAME, { from: at(one, 'a'), to: at(two, 'b') })
    t.deepEqual(fromdir_wcc, { before: before1, after: await nfs.getattr(one) })
    t.deepEqual(todir_wcc, { before: before2, after: await nfs.getattr(two) })
    t.notDeepEqual(await pre(one), before1)
    t.notDeepEqual(await pre(two), before2)
  })
}
