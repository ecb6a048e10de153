// Open files and their bytes. OPEN and RELEASE are retain and release; FSYNC is commit; a WRITE
// that is answered outlives this process.

import { constants } from 'node:fs'
import { FsError } from '../../errors.ts'
import type { Attr } from '../../vfs/vfs.ts'
import { entryOut, withoutPrivileges } from '../attrs.ts'
import { givenName } from '../names.ts'
import { bytes, type Fuse, none, nothing, operation, type Request } from '../operation.ts'
import * as k from '../protocol.ts'

const { O_ACCMODE, O_RDONLY, O_TRUNC, O_EXCL } = { O_ACCMODE: 3, ...constants }

const isForWriting = (flags: number): boolean => (flags & O_ACCMODE) !== O_RDONLY || (flags & O_TRUNC) !== 0

/** What the kernel may do with an open file: keep the pages it has, and not tell us of the closing of a reader. */
function openFlags({ notices }: Fuse, { id }: Pick<Attr, 'id'>, flags: number): number {
  const keep = notices.isTold(id) ? k.FOPEN_KEEP_CACHE : 0
  return isForWriting(flags) ? keep : keep | k.FOPEN_NOFLUSH
}

export const OPEN = operation({
  args: body => body.take(k.fuse_open_in),
  out: k.fuse_open_out,
  handle(fuse, { id }, { flags }) {
    const attr = fuse.vfs.known(id)
    if (isForWriting(flags) && (!attr.writable || fuse.vfs.readOnly)) throw new FsError('EROFS', 'open')
    fuse.opens.open(id)
    return { open_flags: openFlags(fuse, attr, flags) }
  },
})

const permissions = 0o7777

export const CREATE = operation({
  args: body => ({ ...body.take(k.fuse_create_in), name: givenName(body) }),
  out: k.fuse_create_out,
  async handle(fuse, request, { flags, mode, name }) {
    const attrs = { mode: mode & permissions, ...((flags & O_TRUNC) !== 0 && { size: 0 }) }
    const how = { mode: (flags & O_EXCL) !== 0 ? 'guarded' : 'unchecked', attrs } as const
    const { attr } = await fuse.vfs.create(request.id, name, how, request.call)
    fuse.opens.open(attr.id)
    return {
      entry: entryOut(fuse, request, request.id, name, attr),
      open: { open_flags: openFlags(fuse, attr, flags) },
    }
  },
})

/** The kernel takes what is missing for the end of the file: so there is nothing missing before it. */
export const READ = operation({
  args: body => body.take(k.fuse_read_in),
  anyone: true,
  out: bytes,
  async handle({ vfs }, { id, call }, { offset, size }) {
    const first = await vfs.read(id, offset, size, call)
    let got = lengthOf(first.data)
    if (got === size || first.eof) return first.data
    const pieces = [...first.data]
    for (let eof = false; !eof && got < size; ) {
      const more = await vfs.read(id, offset + got, size - got, call)
      pieces.push(...more.data)
      got += lengthOf(more.data)
      eof = more.eof
    }
    return pieces
  },
})

const lengthOf = (pieces: readonly Uint8Array[]): number =>
  pieces.reduce((sum, { length }) => sum + length, 0)

export const WRITE = operation({
  args(body) {
    const { offset, size, write_flags } = body.take(k.fuse_write_in)
    return { offset, data: body.bytes(size), write_flags }
  },
  anyone: true,
  out: k.fuse_write_out,
  async handle(fuse, request, { offset, data, write_flags }) {
    const { vfs } = fuse
    const { id, call } = request
    if ((write_flags & k.FUSE_WRITE_KILL_SUIDGID) !== 0) await dropPrivileges(fuse, request)
    const { count } = await vfs.write(id, offset, data, false, call)
    fuse.opens.wrote(id)
    return { size: count }
  },
})

async function dropPrivileges({ vfs }: Fuse, { id, call }: Request): Promise<void> {
  const mode = withoutPrivileges(vfs.known(id))
  if (mode !== undefined) await vfs.setattr(id, { mode }, call)
}

/** Closing waits for nothing. What is known to have gone wrong, it says. */
export const FLUSH = operation({
  args: none,
  anyone: true,
  out: nothing,
  handle({ opens }, { id }) {
    if (opens.hasLost(id)) throw new FsError('EIO', 'close: what was written could not be kept')
  },
})

export const FSYNC = operation({
  args: none,
  anyone: true,
  out: nothing,
  handle: ({ vfs, opens }, { id, call }) => opens.durable(id, () => vfs.commit(id, call)),
})

export const RELEASE = operation({
  args: none,
  anyone: true,
  out: nothing,
  handle({ opens }, { id }) {
    opens.close(id)
  },
})
