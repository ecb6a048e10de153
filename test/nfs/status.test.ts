// Every error the file system can throw becomes a status that the procedure may answer.

import test from 'ava'
import { codes, FsError } from '../../src/errors.ts'
import { legalStatus, legalStatuses, Nfs3Error, type ProcName, statusOf } from '../../src/nfs/status.ts'
import { nfsstats, type Status } from '../../src/nfs/types.ts'
import { procNumbers } from './conformance/world.ts'

const procs = Object.keys(procNumbers) as ProcName[]

test('every code, from every procedure, is a status that is legal there', t => {
  for (const proc of procs)
    for (const code of codes) {
      const status = legalStatus(proc, statusOf(new FsError(code, 'it')))
      t.true(legalStatuses(proc).has(status), `${proc} ${code}`)
    }
})

test('every status that the wire knows becomes a legal one, and a legal one stays', t => {
  for (const proc of procs)
    for (const status of Object.keys(nfsstats) as Status[]) {
      const legal = legalStatus(proc, status)
      t.true(legalStatuses(proc).has(legal))
      if (legalStatuses(proc).has(status)) t.is(legal, status)
    }
})

test('not now is JUKEBOX and a broken guard NOT_SYNC; what nobody meant is IO', t => {
  t.is(statusOf(new FsError('EAGAIN', 'read')), 'NFS3ERR_JUKEBOX')
  t.is(statusOf(new FsError('ECANCELED', 'setattr')), 'NFS3ERR_NOT_SYNC')
  t.is(statusOf(new Nfs3Error('NFS3ERR_TOOSMALL', 'list')), 'NFS3ERR_TOOSMALL')
  for (const thrown of [new TypeError('x'), 'a string', undefined, null]) t.is(statusOf(thrown), 'NFS3ERR_IO')
})

test('where a status is not legal the nearest one stands for it', t => {
  t.is(legalStatus('CREATE', 'NFS3ERR_ISDIR'), 'NFS3ERR_EXIST')
  t.is(legalStatus('READ', 'NFS3ERR_ISDIR'), 'NFS3ERR_INVAL')
  t.is(legalStatus('SETATTR', 'NFS3ERR_FBIG'), 'NFS3ERR_INVAL')
  t.is(legalStatus('GETATTR', 'NFS3ERR_NOENT'), 'NFS3ERR_IO')
})
