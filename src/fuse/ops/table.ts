// Every request of the kernel's, in the order of their numbers: what is done about it, or why not.

import { Errno } from '../errno.ts'
import { none, nothing, type Operation, operation } from '../operation.ts'
import type { OpName } from '../protocol.ts'
import { ACCESS, GETATTR, SETATTR, STATFS } from './attributes.ts'
import { CREATE, FLUSH, FSYNC, OPEN, READ, RELEASE, WRITE } from './data.ts'
import { FSYNCDIR, OPENDIR, READDIR, READDIRPLUS, RELEASEDIR } from './listing.ts'
import { LINK, LOOKUP, MKDIR, MKNOD, READLINK, RENAME, RENAME2, RMDIR, SYMLINK, UNLINK } from './names.ts'

const refused = (name: ConstructorParameters<typeof Errno>[0]): Operation =>
  operation({
    args: none,
    anyone: true,
    out: nothing,
    handle() {
      throw new Errno(name)
    },
  })

/** After ENOSYS the kernel does not ask again, and does without, or does it itself. */
const unknown = refused('ENOSYS')

/** What session.ts sees to: they are about the conversation itself. */
export type Conversation = 'INIT' | 'DESTROY' | 'FORGET' | 'BATCH_FORGET' | 'INTERRUPT' | 'NOTIFY_REPLY'

export const operations = {
  LOOKUP,
  GETATTR,
  SETATTR,
  READLINK,
  SYMLINK,
  MKNOD,
  MKDIR,
  UNLINK,
  RMDIR,
  RENAME,
  LINK,
  OPEN,
  READ,
  WRITE,
  STATFS,
  RELEASE,
  FSYNC,
  SETXATTR: unknown, // the grid's metadata has no place for them; the program hears EOPNOTSUPP
  GETXATTR: unknown,
  LISTXATTR: unknown,
  REMOVEXATTR: unknown,
  FLUSH,
  OPENDIR,
  READDIR,
  RELEASEDIR,
  FSYNCDIR,
  GETLK: unknown, // locks are the kernel's own: one mount, one kernel
  SETLK: unknown,
  SETLKW: unknown,
  ACCESS,
  CREATE,
  BMAP: unknown,
  IOCTL: refused('ENOTTY'),
  POLL: unknown, // a file is always ready
  FALLOCATE: unknown, // room on the grid cannot be reserved: EOPNOTSUPP
  READDIRPLUS,
  RENAME2,
  LSEEK: unknown, // to the kernel, a file is then data to its end: true, and it costs no question
  COPY_FILE_RANGE: unknown, // the kernel reads and writes instead
  SETUPMAPPING: unknown,
  REMOVEMAPPING: unknown,
  SYNCFS: unknown,
  TMPFILE: unknown, // EOPNOTSUPP: programs make a file and remove its name
  STATX: unknown, // GETATTR says as much
  COPY_FILE_RANGE_64: unknown,
} satisfies Record<Exclude<OpName, Conversation>, Operation>
