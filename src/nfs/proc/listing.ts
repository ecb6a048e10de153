// READDIR and READDIRPLUS: a directory in pages, each as full as its reader allows.
//
// '.' and '..' are told, because `ls -a` shows what the server sends on Linux and on
// macOS alike. Their cookies are 1 and 2, and an entry's cookie is the file system's
// plus 2: none is 0, none is used twice, and each is a place to go on from. Nothing
// depends on the directory's state, so cookieverf is 0 and is not looked at: a client
// that hears BAD_COOKIE starts again (Linux) or silently stops (macOS).

import { FsError } from '../../errors.ts'
import type { Attr, Entry } from '../../vfs/vfs.ts'
import { fattr, postOp } from '../attrs.ts'
import { fhandle, fhandleBytes } from '../fhandle.ts'
import { type Nfs, procedure } from '../procedure.ts'
import { Nfs3Error } from '../status.ts'
import { cookieverf3, fattr3Bytes, filename3, maxdata, nfs_fh3, post_op_attr, post_op_fh3 } from '../types.ts'
import { bool, list, padding, struct, uint32, uint64 } from '../xdr.ts'

const noVerf = Buffer.alloc(8)
const dot = 1n
const dotdot = 2n

const entry3 = struct({ fileid: uint64, name: filename3, cookie: uint64 })
const entryplus3 = struct({
  fileid: uint64,
  name: filename3,
  cookie: uint64,
  name_attributes: post_op_attr,
  name_handle: post_op_fh3,
})
const maxEntries = 65_536 // for reading replies; a page is bounded by its bytes

/** What a page costs besides its entries: attributes, verifier, the list's end, eof. */
const frame = 4 + fattr3Bytes + 8 + 4 + 4
/** An entry's "one more follows", fileid and cookie, and its name. */
const nameCost = (bytes: number): number => 4 + 8 + 4 + bytes + padding(bytes) + 8
const plusCost = (attr: Attr | null): number => (attr ? 4 + fattr3Bytes + 4 + 4 + fhandleBytes : 4 + 4)

/** READDIR, RFC 1813 §3.3.16. */
export const READDIR = procedure({
  name: 'READDIR',
  args: struct({ dir: nfs_fh3, cookie: uint64, cookieverf: cookieverf3, count: uint32 }),
  resok: struct({
    dir_attributes: post_op_attr,
    cookieverf: cookieverf3,
    entries: list(entry3, maxEntries),
    eof: bool,
  }),
  resfail: struct({ dir_attributes: post_op_attr }),
  weight: ({ count }) => Math.min(count, maxdata),

  async handle(nfs, { dir, cookie, count }) {
    const page = await draw(nfs, dir, cookie, { all: Math.min(count, maxdata), names: maxdata, plus: false })
    const entries = page.lines.map(({ id, name, cookie }) => ({ fileid: id, name, cookie }))
    return { dir_attributes: fattr(page.dir), cookieverf: noVerf, entries, eof: page.eof }
  },

  async failed(nfs, { dir }) {
    return { dir_attributes: postOp(nfs.attrs(dir)) }
  },
})

/** READDIRPLUS, RFC 1813 §3.3.17. What only the grid knows is left out; the client then asks by LOOKUP. */
export const READDIRPLUS = procedure({
  name: 'READDIRPLUS',
  args: struct({ dir: nfs_fh3, cookie: uint64, cookieverf: cookieverf3, dircount: uint32, maxcount: uint32 }),
  resok: struct({
    dir_attributes: post_op_attr,
    cookieverf: cookieverf3,
    entries: list(entryplus3, maxEntries),
    eof: bool,
  }),
  resfail: struct({ dir_attributes: post_op_attr }),
  weight: ({ maxcount }) => Math.min(maxcount, maxdata),

  async handle(nfs, { dir, cookie, dircount, maxcount }) {
    const budget = { all: Math.min(maxcount, maxdata), names: dircount, plus: true }
    const page = await draw(nfs, dir, cookie, budget)
    const entries = page.lines.map(({ id, name, cookie, attr }) => ({
      fileid: id,
      name,
      cookie,
      name_attributes: postOp(attr),
      name_handle: attr && fhandle(attr),
    }))
    return { dir_attributes: fattr(page.dir), cookieverf: noVerf, entries, eof: page.eof }
  },

  async failed(nfs, { dir }) {
    return { dir_attributes: postOp(nfs.attrs(dir)) }
  },
})

type Line = Omit<Entry, 'name'> & { readonly name: Uint8Array }
type Budget = { readonly all: number; readonly names: number; readonly plus: boolean }

async function draw(nfs: Nfs, handle: Uint8Array, cookie: bigint, budget: Budget) {
  const { vfs, call } = nfs
  const { id, kind } = nfs.resolve(handle)
  if (kind !== 'directory') throw new FsError('ENOTDIR', 'list')
  const parent = cookie < dotdot ? await vfs.lookup(id, '..', call) : null
  const entries = await vfs.list(id, cookie > dotdot ? cookie - dotdot : 0n, call)
  const dir = vfs.known(id) // of the same moment as its entries

  const lines: Line[] = []
  let { all, names } = budget
  all -= frame
  for (const line of withDots(dir, parent, cookie, entries)) {
    const cost = nameCost(line.name.length)
    names -= cost
    all -= cost + (budget.plus ? plusCost(line.attr) : 0)
    if (all < 0 || names < 0) {
      if (lines.length === 0) throw new Nfs3Error('NFS3ERR_TOOSMALL', 'no entry fits')
      return { dir, lines, eof: false }
    }
    lines.push(line)
  }
  if (all < 0) throw new Nfs3Error('NFS3ERR_TOOSMALL', 'not even an empty list fits')
  return { dir, lines, eof: true }
}

function* withDots(dir: Attr, parent: Attr | null, cookie: bigint, entries: Iterable<Entry>): Iterable<Line> {
  if (cookie < dot) yield { id: dir.id, name: Buffer.from('.'), cookie: dot, attr: dir }
  if (parent !== null) yield { id: parent.id, name: Buffer.from('..'), cookie: dotdot, attr: parent }
  for (const { id, name, cookie, attr } of entries)
    yield { id, name: Buffer.from(name), cookie: cookie + dotdot, attr }
}
