// The kernel's FUSE protocol, version 7 (include/uapi/linux/fuse.h): operations, flags and
// structs by the names they have there.

import { gap, s32, s64, size64, struct, u16, u32, u64 } from './layout.ts'

export const MAJOR = 7
/** Since Linux 5.2: what older kernels ask, and answer, differs in places that nobody could try. */
export const MIN_MINOR = 31
/** What is understood here; a newer kernel then does without what came later. */
export const MINOR = 45

/** Requests by their number. */
export const opcodes = {
  1: 'LOOKUP',
  2: 'FORGET',
  3: 'GETATTR',
  4: 'SETATTR',
  5: 'READLINK',
  6: 'SYMLINK',
  8: 'MKNOD',
  9: 'MKDIR',
  10: 'UNLINK',
  11: 'RMDIR',
  12: 'RENAME',
  13: 'LINK',
  14: 'OPEN',
  15: 'READ',
  16: 'WRITE',
  17: 'STATFS',
  18: 'RELEASE',
  20: 'FSYNC',
  21: 'SETXATTR',
  22: 'GETXATTR',
  23: 'LISTXATTR',
  24: 'REMOVEXATTR',
  25: 'FLUSH',
  26: 'INIT',
  27: 'OPENDIR',
  28: 'READDIR',
  29: 'RELEASEDIR',
  30: 'FSYNCDIR',
  31: 'GETLK',
  32: 'SETLK',
  33: 'SETLKW',
  34: 'ACCESS',
  35: 'CREATE',
  36: 'INTERRUPT',
  37: 'BMAP',
  38: 'DESTROY',
  39: 'IOCTL',
  40: 'POLL',
  41: 'NOTIFY_REPLY',
  42: 'BATCH_FORGET',
  43: 'FALLOCATE',
  44: 'READDIRPLUS',
  45: 'RENAME2',
  46: 'LSEEK',
  47: 'COPY_FILE_RANGE',
  48: 'SETUPMAPPING',
  49: 'REMOVEMAPPING',
  50: 'SYNCFS',
  51: 'TMPFILE',
  52: 'STATX',
  53: 'COPY_FILE_RANGE_64',
} as const
export type OpName = (typeof opcodes)[keyof typeof opcodes]

export const fuse_in_header = struct({
  len: u32,
  opcode: u32,
  unique: u64,
  nodeid: u64,
  uid: u32,
  gid: u32,
  pid: u32,
  total_extlen: u16,
  padding: gap(2),
})

export const fuse_out_header = struct({ len: u32, error: s32, unique: u64 })

export const FUSE_ROOT_ID = 1n

// INIT

export const FUSE_ASYNC_READ = 1 << 0
export const FUSE_BIG_WRITES = 1 << 5
export const FUSE_DO_READDIRPLUS = 1 << 13
export const FUSE_PARALLEL_DIROPS = 1 << 18
export const FUSE_MAX_PAGES = 1 << 22
export const FUSE_CACHE_SYMLINKS = 1 << 23
export const FUSE_EXPLICIT_INVAL_DATA = 1 << 25
export const FUSE_HANDLE_KILLPRIV_V2 = 1 << 28

export const fuse_init_in = struct({ major: u32, minor: u32, max_readahead: u32, flags: u32 })

export const fuse_init_out = struct({
  major: u32,
  minor: u32,
  max_readahead: u32,
  flags: u32,
  max_background: u16,
  congestion_threshold: u16,
  max_write: u32,
  time_gran: u32,
  max_pages: u16,
  map_alignment: gap(2),
  flags2: gap(4),
  unused: gap(28),
})

// Attributes

export const fuse_attr = struct({
  ino: u64,
  size: size64,
  blocks: size64,
  atime: u64,
  mtime: u64,
  ctime: u64,
  atimensec: u32,
  mtimensec: u32,
  ctimensec: u32,
  mode: u32,
  nlink: u32,
  uid: u32,
  gid: u32,
  rdev: gap(4),
  blksize: u32,
  flags: gap(4),
})

export const fuse_attr_out = struct({ attr_valid: u64, attr_valid_nsec: u32, dummy: gap(4), attr: fuse_attr })

export const fuse_entry_out = struct({
  nodeid: u64,
  generation: gap(8),
  entry_valid: u64,
  attr_valid: u64,
  entry_valid_nsec: u32,
  attr_valid_nsec: u32,
  attr: fuse_attr,
})

export const FATTR_MODE = 1 << 0
export const FATTR_UID = 1 << 1
export const FATTR_GID = 1 << 2
export const FATTR_SIZE = 1 << 3
export const FATTR_ATIME = 1 << 4
export const FATTR_MTIME = 1 << 5
export const FATTR_ATIME_NOW = 1 << 7
export const FATTR_MTIME_NOW = 1 << 8
export const FATTR_KILL_SUIDGID = 1 << 11

export const fuse_setattr_in = struct({
  valid: u32,
  padding: gap(4),
  fh: gap(8),
  size: size64,
  lock_owner: gap(8),
  atime: u64,
  mtime: u64,
  ctime: gap(8),
  atimensec: u32,
  mtimensec: u32,
  ctimensec: gap(4),
  mode: u32,
  unused4: gap(4),
  uid: u32,
  gid: u32,
  unused5: gap(4),
})

// Names

export const fuse_mknod_in = struct({ mode: u32, rdev: u32, umask: u32, padding: gap(4) })
export const fuse_mkdir_in = struct({ mode: u32, umask: u32 })
export const fuse_rename_in = struct({ newdir: u64 })
export const fuse_rename2_in = struct({ newdir: u64, flags: u32, padding: gap(4) })
export const fuse_link_in = struct({ oldnodeid: u64 })
export const fuse_access_in = struct({ mask: u32, padding: gap(4) })

// Open files

export const FOPEN_KEEP_CACHE = 1 << 1
export const FOPEN_CACHE_DIR = 1 << 3
export const FOPEN_NOFLUSH = 1 << 5

export const fuse_open_in = struct({ flags: u32, open_flags: u32 })
export const fuse_open_out = struct({ fh: gap(8), open_flags: u32, padding: gap(4) })

export const fuse_create_in = struct({ flags: u32, mode: u32, umask: u32, open_flags: u32 })
export const fuse_create_out = struct({ entry: fuse_entry_out, open: fuse_open_out })

export const fuse_read_in = struct({
  fh: gap(8),
  offset: size64,
  size: u32,
  read_flags: u32,
  lock_owner: gap(8),
  flags: u32,
  padding: gap(4),
})

/** READDIR's, whose offset is a cookie. */
export const fuse_readdir_in = struct({ fh: gap(8), offset: u64, size: u32, rest: gap(20) })

export const FUSE_WRITE_KILL_SUIDGID = 1 << 2

export const fuse_write_in = struct({
  fh: gap(8),
  offset: size64,
  size: u32,
  write_flags: u32,
  lock_owner: gap(8),
  flags: u32,
  padding: gap(4),
})

export const fuse_write_out = struct({ size: u32, padding: gap(4) })

/** Bytes of a request before a WRITE's data. */
export const WRITE_HEAD = fuse_in_header.bytes + fuse_write_in.bytes

/** Before the name, which follows, and zeros to a multiple of eight bytes. */
export const fuse_dirent = struct({ ino: u64, off: u64, namelen: u32, type: u32 })
export const fuse_direntplus = struct({ entry_out: fuse_entry_out, dirent: fuse_dirent })

export const fuse_statfs_out = struct({
  blocks: size64,
  bfree: size64,
  bavail: size64,
  files: size64,
  ffree: size64,
  bsize: u32,
  namelen: u32,
  frsize: u32,
  padding: gap(4),
  spare: gap(24),
})

export const fuse_getxattr_in = struct({ size: u32, padding: gap(4) })
export const fuse_getxattr_out = struct({ size: u32, padding: gap(4) })

// What needs no answer

export const fuse_forget_in = struct({ nlookup: u64 })
export const fuse_batch_forget_in = struct({ count: u32, dummy: gap(4) })
export const fuse_forget_one = struct({ nodeid: u64, nlookup: u64 })
export const fuse_interrupt_in = struct({ unique: u64 })

// What the kernel is told without having asked: `unique` is 0, and `error` says what it is.

export const FUSE_NOTIFY_INVAL_INODE = 2
export const FUSE_NOTIFY_INVAL_ENTRY = 3

/** A negative `off` means the attributes alone; a `len` of 0 everything from there on. */
export const fuse_notify_inval_inode_out = struct({ ino: u64, off: s64, len: s64 })
/** Before the name and a NUL. */
export const fuse_notify_inval_entry_out = struct({ parent: u64, namelen: u32, flags: u32 })
