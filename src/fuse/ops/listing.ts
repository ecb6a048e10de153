// Directories in pages. A cookie is the file system's own plus 2, after '.' and '..', as over
// NFS: each is a place to go on from, however the directory changes.

import { FsError } from '../../errors.ts'
import type { Attr, Entry } from '../../vfs/vfs.ts'
import { direntType, entryOut, nothingOut } from '../attrs.ts'
import { bytes, type Fuse, none, nothing, operation, type Request } from '../operation.ts'
import * as k from '../protocol.ts'

/** Names and attributes that are still fresh need not be listed again; what is not comes with the next listing. */
export const OPENDIR = operation({
  args: none,
  out: k.fuse_open_out,
  handle({ vfs, opens, notices }, { id }) {
    if (vfs.known(id).kind !== 'directory') throw new FsError('ENOTDIR', 'opendir')
    opens.open(id)
    const keep = notices.isTold(id) && vfs.freshFor(id) > 0 ? k.FOPEN_KEEP_CACHE : 0
    return { open_flags: k.FOPEN_CACHE_DIR | keep }
  },
})

export const READDIR = operation({
  args: body => body.take(k.fuse_readdir_in),
  anyone: true,
  out: bytes,
  handle: (fuse, request, { offset, size }) => page(fuse, request, offset, size, k.fuse_dirent.bytes, dirent),
})

export const READDIRPLUS = operation({
  args: body => body.take(k.fuse_readdir_in),
  anyone: true,
  out: bytes,
  handle: (fuse, request, { offset, size }) =>
    page(fuse, request, offset, size, k.fuse_direntplus.bytes, direntplus),
})

const dot = 1n
const dotdot = 2n

type Put = (fuse: Fuse, request: Request, to: Buffer, at: number, entry: Entry, namelen: number) => void

async function page(
  fuse: Fuse,
  request: Request,
  after: bigint,
  size: number,
  head: number,
  put: Put,
): Promise<readonly Uint8Array[]> {
  const { vfs } = fuse
  const { id, call } = request
  const parent = after < dotdot ? await vfs.lookup(id, '..', call) : null
  const entries = await vfs.list(id, after > dotdot ? after - dotdot : 0n, call)
  const to = Buffer.allocUnsafe(size)
  let at = 0
  for (const entry of withDots(vfs.known(id), parent, after, entries)) {
    const namelen = Buffer.byteLength(entry.name)
    const whole = (head + namelen + 7) & ~7
    if (at + whole > size) break
    put(fuse, request, to, at, entry, namelen)
    to.write(entry.name, at + head)
    to.fill(0, at + head + namelen, at + whole)
    at += whole
  }
  return [to.subarray(0, at)]
}

function* withDots(
  dir: Attr,
  parent: Attr | null,
  after: bigint,
  entries: Iterable<Entry>,
): Generator<Entry> {
  if (after < dot) yield { cookie: dot, name: '.', id: dir.id, attr: dir }
  if (parent !== null) yield { cookie: dotdot, name: '..', id: parent.id, attr: parent }
  for (const { cookie, name, id, attr } of entries) yield { cookie: cookie + dotdot, name, id, attr }
}

const direntOf = (fuse: Fuse, { cookie, id, attr }: Entry, namelen: number) => ({
  ino: fuse.nodeId(id),
  off: cookie,
  namelen,
  type: attr === null ? 0 : direntType(attr.kind),
})

const dirent: Put = (fuse, _, to, at, entry, namelen) =>
  k.fuse_dirent.write(to, at, direntOf(fuse, entry, namelen))

/** Of what only the grid knows nothing is told: a `nodeid` of 0 lets the kernel ask for it. */
const direntplus: Put = (fuse, request, to, at, entry, namelen) => {
  const { name, attr, cookie } = entry
  const entry_out =
    attr === null || cookie <= dotdot
      ? nothingOut(fuse, request.id, name)
      : entryOut(fuse, request, request.id, name, attr)
  k.fuse_direntplus.write(to, at, { entry_out, dirent: direntOf(fuse, entry, namelen) })
}

export const RELEASEDIR = operation({
  args: none,
  anyone: true,
  out: nothing,
  handle({ opens }, { id }) {
    opens.close(id)
  },
})

/** Names are durable when they have been answered; with `--fsync grid` it waits for them to be published. */
export const FSYNCDIR = operation({
  args: none,
  anyone: true,
  out: nothing,
  async handle({ vfs }, { id, call }) {
    await vfs.commit(id, call)
  },
})
