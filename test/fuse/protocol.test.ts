// The structs are as long as the kernel's, and lie as they do there (include/uapi/linux/fuse.h).

import test from 'ava'
import { Body, gap, size64, struct, u16, u32, u64 } from '../../src/fuse/layout.ts'
import * as k from '../../src/fuse/protocol.ts'

test('every struct is as long as the kernel has it', t => {
  const bytes = {
    fuse_in_header: 40,
    fuse_out_header: 16,
    fuse_init_in: 16,
    fuse_init_out: 64,
    fuse_attr: 88,
    fuse_attr_out: 104,
    fuse_entry_out: 128,
    fuse_setattr_in: 88,
    fuse_mknod_in: 16,
    fuse_mkdir_in: 8,
    fuse_rename_in: 8,
    fuse_rename2_in: 16,
    fuse_link_in: 8,
    fuse_access_in: 8,
    fuse_open_in: 8,
    fuse_open_out: 16,
    fuse_create_in: 16,
    fuse_create_out: 144,
    fuse_read_in: 40,
    fuse_readdir_in: 40,
    fuse_write_in: 40,
    fuse_write_out: 8,
    fuse_dirent: 24,
    fuse_direntplus: 152,
    fuse_statfs_out: 80,
    fuse_forget_in: 8,
    fuse_batch_forget_in: 8,
    fuse_forget_one: 16,
    fuse_interrupt_in: 8,
    fuse_notify_inval_inode_out: 24,
    fuse_notify_inval_entry_out: 16,
  }
  for (const [name, size] of Object.entries(bytes))
    t.is((k as unknown as Record<string, { bytes: number }>)[name]?.bytes, size, name)
})

test('fields stand where their sizes put them, little end first, and gaps are zeros', t => {
  const some = struct({ a: u16, b: gap(2), c: u32, d: u64, e: size64 })
  const to = Buffer.alloc(30, 0xff)
  some.write(to, 3, { a: 1, c: 2, d: 3n, e: 2 ** 40 + 5 })
  t.is(
    to.toString('hex'),
    'ffffff' + '0100' + '0000' + '02000000' + '0300000000000000' + '0500000000010000' + 'ffffff',
  )
  t.deepEqual(some.read(to, 3), { a: 1, c: 2, d: 3n, e: 2 ** 40 + 5 })
})

test('a body is not read past its end, whatever lies behind it', t => {
  const body = new Body(Buffer.from('abc\0defg\0'), 0, 8)
  t.is(body.text().toString(), 'abc')
  t.throws(() => body.text(), { message: /shorter/ })
  t.throws(() => body.take(u64), { message: /shorter/ })
  t.is(body.bytes(4).toString(), 'defg')
  t.throws(() => body.bytes(1), { message: /shorter/ })
})
