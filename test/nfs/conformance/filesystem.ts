// FSSTAT, FSINFO, PATHCONF: what is said of the whole must hold for its parts.

import { FSINFO, FSSTAT, PATHCONF } from '../../../src/nfs/proc/filesystem.ts'
import { LINK, LOOKUP } from '../../../src/nfs/proc/names.ts'
import { FSF3 } from '../../../src/nfs/types.ts'
import { at, checksOf, type Subject } from './world.ts'

export function filesystemChecks(subject: Subject): void {
  const { reading, writing } = checksOf(subject)

  reading('FSINFO is consistent', async ({ t, nfs, root }) => {
    const i = await nfs.ok(FSINFO, { fsroot: root })
    t.true(i.rtmax >= i.rtpref && i.rtpref > 0 && i.rtmult > 0 && i.rtmax % i.rtmult === 0)
    t.true(i.wtmax >= i.wtpref && i.wtpref > 0 && i.wtmult > 0 && i.wtmax % i.wtmult === 0)
    t.true(i.dtpref > 0)
    t.true(i.maxfilesize >= 2 ** 32)
    t.deepEqual(i.time_delta, { seconds: 0, nseconds: 1 })
    t.is(i.properties, FSF3.LINK | FSF3.SYMLINK | FSF3.HOMOGENEOUS | FSF3.CANSETTIME)
  })

  writing('what FSINFO promises of links is kept', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'a')
    t.is(await nfs.status(LINK, { file, link: at(root, 'b') }), 'NFS3_OK')
    await t.notThrowsAsync(nfs.symlink(root, 'c', 'a'))
  })

  writing('FSSTAT is ordered, and free bytes do not grow by writing', async ({ t, nfs, root }) => {
    const before = await nfs.ok(FSSTAT, { fsroot: root })
    t.true(before.tbytes >= before.fbytes && before.fbytes >= before.abytes)
    t.true(before.tfiles >= before.ffiles && before.ffiles >= before.afiles)
    const file = await nfs.create(root, 'a')
    await nfs.write(file, 0, Buffer.alloc(500_000))
    t.true((await nfs.ok(FSSTAT, { fsroot: file })).fbytes <= before.fbytes)
  })

  writing('PATHCONF tells the truth about names', async ({ t, nfs, root }) => {
    const p = await nfs.ok(PATHCONF, { object: root })
    t.true(p.no_trunc && p.chown_restricted && p.case_preserving && !p.case_insensitive)
    await nfs.create(root, 'a'.repeat(p.name_max))
    const longer = at(root, 'a'.repeat(p.name_max + 1))
    t.is(await nfs.status(LOOKUP, { what: longer }), 'NFS3ERR_NAMETOOLONG')
    await nfs.create(root, 'lower')
    t.is(await nfs.status(LOOKUP, { what: at(root, 'LOWER') }), 'NFS3ERR_NOENT')
  })

  writing('all three take any handle, from anyone', async ({ t, nfs, root, connect }) => {
    const file = await nfs.create(root, 'a')
    const anonymous = await connect('none')
    t.is(await anonymous.status(FSINFO, { fsroot: file }), 'NFS3_OK')
    t.is(await anonymous.status(PATHCONF, { object: file }), 'NFS3_OK')
    t.is(await anonymous.status(FSSTAT, { fsroot: file }), 'NFS3_OK')
  })
}
