// The conversation itself, in bytes: what a kernel seldom or never sends, or would not live to tell.

import test from 'ava'
import { FsError } from '../../src/errors.ts'
import type { Device, Listener } from '../../src/fuse/device.ts'
import { fuse_in_header } from '../../src/fuse/protocol.ts'
import { Session } from '../../src/fuse/session.ts'
import { silent } from '../../src/log.ts'
import type { Vfs } from '../../src/vfs/vfs.ts'
import { held } from '../support/heldfs.ts'
import { MemFs } from '../support/memfs.ts'

const [LOOKUP, FORGET, GETATTR, READ, WRITE, INIT, INTERRUPT, BATCH_FORGET] = [1, 2, 3, 15, 16, 26, 36, 42]
const owner = { uid: 1000 }

/** A kernel as bytes: what it was answered, by the request's number. */
class Kernel {
  readonly vfs: MemFs
  readonly session: Session
  readonly answers: { unique: bigint; error: number; body: string }[] = []
  /** What writing the next answer says: ENOENT when nobody waits for it any more. */
  deaf: string | null = null
  #listener: Listener | null = null
  #unique = 0n

  constructor(wrap: (vfs: Vfs) => Vfs = vfs => vfs) {
    this.vfs = new MemFs({ ...owner, gid: 1000, now: () => 1_000_000_000n })
    const open = (listener: Listener): Device => {
      this.#listener = listener
      return {
        reader: 'epoll',
        send: pieces => this.#hear(Buffer.concat(pieces)),
        notify: async () => {},
        close: () => void listener.closing().then(() => listener.ended('ENODEV')),
      }
    }
    this.session = new Session({ open, vfs: wrap(this.vfs), owner, log: silent })
  }

  /** Sends a request, and gives its number. */
  send(opcode: number, body: Buffer, { nodeid = 1n, uid = owner.uid } = {}): bigint {
    const unique = ++this.#unique
    const request = Buffer.alloc(this.#listener!.first.length)
    const len = fuse_in_header.bytes + body.length
    fuse_in_header.write(request, 0, { len, opcode, unique, nodeid, uid, gid: 1000, pid: 1, total_extlen: 0 })
    body.copy(request, fuse_in_header.bytes)
    this.#listener!.take(request, len)
    return unique
  }

  /** Sends a request and waits for its answer: a positive error, or the body in hex. */
  async ask(...args: Parameters<Kernel['send']>): Promise<number | string> {
    const unique = this.send(...args)
    for (;;) {
      const found = this.answers.find(each => each.unique === unique)
      if (found) return found.error === 0 ? found.body : -found.error
      await new Promise(setImmediate)
    }
  }

  #hear(message: Buffer): void {
    if (this.deaf !== null) {
      const code = this.deaf
      this.deaf = null
      throw Object.assign(new Error(code), { code })
    }
    this.answers.push({
      unique: message.readBigUInt64LE(8),
      error: message.readInt32LE(4),
      body: message.toString('hex', 16),
    })
    if (message.readUInt32LE(0) !== message.length)
      throw new Error('an answer of another length than it says')
  }
}

const u32 = (...values: readonly number[]) => {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, 4 * i)
  return bytes
}
const u64 = (...values: readonly bigint[]) => {
  const bytes = Buffer.alloc(8 * values.length)
  for (const [i, value] of values.entries()) bytes.writeBigUInt64LE(value, 8 * i)
  return bytes
}
const text = (name: string) => Buffer.from(`${name}\0`)

test('INIT is answered with what is wanted of what the kernel has', async t => {
  const kernel = new Kernel()
  const body = (await kernel.ask(INIT!, u32(7, 45, 0x20000, 0xffff_ffff, 0xffff_ffff))) as string
  t.is(body.length, 2 * 64)
  t.is(body.slice(0, 24), '07000000' + '2d000000' + '00000001')
  t.is(Buffer.from(body, 'hex').readUInt32LE(20), 1 << 20) // max_write
})

test('a kernel before Linux 5.2 is refused', async t => {
  t.is(await new Kernel().ask(INIT!, u32(7, 30, 0, 0)), 71) // EPROTO
})

test('a request that is not known is ENOSYS', async t => {
  t.is(await new Kernel().ask(999, Buffer.alloc(0)), 38)
})

test('a request that is shorter than what it holds is EINVAL', async t => {
  const kernel = new Kernel()
  t.is(await kernel.ask(READ!, u64(0n)), 22)
  t.is(await kernel.ask(LOOKUP!, Buffer.from('no end')), 22)
  t.is(
    await kernel.ask(WRITE!, Buffer.concat([u64(0n, 0n), u32(1000, 0), u64(0n, 0n), Buffer.alloc(999)])),
    22,
  )
  t.is(await kernel.ask(GETATTR!, u64(0n, 0n), { nodeid: 77n }), 116)
})

test('another user may ask for attributes, and for nothing else', async t => {
  const kernel = new Kernel()
  t.is(await kernel.ask(LOOKUP!, text('name'), { uid: 1001 }), 13)
  t.is(typeof (await kernel.ask(GETATTR!, u64(0n, 0n), { uid: 1001 })), 'string')
  t.is(typeof (await kernel.ask(LOOKUP!, text('name'), { uid: 0 })), 'string')
})

test('a name that is not UTF-8 is not found, and cannot be made', async t => {
  const kernel = new Kernel()
  t.is(await kernel.ask(LOOKUP!, Buffer.from([0xff, 0])), 2)
  t.is(await kernel.ask(9, Buffer.concat([u32(0o755, 0), Buffer.from([0xc0, 0xae, 0])])), 22)
})

test('an interruption ends what waits with EINTR; of what is not known it is to be tried again', async t => {
  const kernel = new Kernel(vfs => held(vfs, op => (op === 'getattr' ? new Promise(() => {}) : undefined)))
  const waits = kernel.ask(GETATTR!, u64(0n, 0n))
  kernel.send(INTERRUPT!, u64(1n))
  t.is(await waits, 4)
  t.is(await kernel.ask(INTERRUPT!, u64(99n)), 11)
})

test('what could not be done just then is done when it can', async t => {
  let refusals = 3
  const kernel = new Kernel(vfs =>
    held(vfs, async op => {
      if (op === 'getattr' && refusals-- > 0) throw new FsError('EAGAIN', 'not now')
    }),
  )
  t.is(typeof (await kernel.ask(GETATTR!, u64(0n, 0n))), 'string')
})

test('an inode is held as often as the kernel was led to it and has not forgotten', async t => {
  const kernel = new Kernel()
  const { attr } = await kernel.vfs.create(kernel.vfs.root, 'name', { mode: 'guarded', attrs: {} })
  const held = () => kernel.session.notices.size
  for (let i = 0; i < 5; i++) await kernel.ask(LOOKUP!, text('name'))
  t.is(held(), 1)
  kernel.send(FORGET!, u64(2n), { nodeid: attr.id })
  t.is(held(), 1)
  kernel.send(BATCH_FORGET!, Buffer.concat([u32(2, 0), u64(attr.id, 2n), u64(attr.id, 1n)]))
  t.is(held(), 0)
})

test('an answer that nobody waits for any more makes the kernel hold nothing', async t => {
  const kernel = new Kernel()
  await kernel.vfs.create(kernel.vfs.root, 'name', { mode: 'guarded', attrs: {} })
  kernel.deaf = 'ENOENT'
  kernel.send(LOOKUP!, text('name'))
  await kernel.ask(GETATTR!, u64(0n, 0n))
  t.is(kernel.session.notices.size, 0)
})

test('the longest WRITE keeps its bytes while the next requests are read', async t => {
  const holds: PromiseWithResolvers<void>[] = []
  const kernel = new Kernel(vfs =>
    held(vfs, async op => {
      if (op !== 'write') return
      const hold = Promise.withResolvers<void>()
      holds.push(hold)
      await hold.promise
    }),
  )
  const { attr } = await kernel.vfs.create(kernel.vfs.root, 'name', { mode: 'guarded', attrs: {} })
  const [small, large] = [100, 1 << 20]
  const write = (byte: number, offset: number, size: number) => {
    const head = Buffer.concat([u64(0n, BigInt(offset)), u32(size, 0), u64(0n, 0n)])
    return kernel.ask(WRITE!, Buffer.concat([head, Buffer.alloc(size, byte)]), { nodeid: attr.id })
  }
  const answers = [write(1, 0, small), write(2, small, large), write(3, small + large, small)]
  await new Promise(setImmediate)
  for (const { resolve } of holds) resolve()
  t.deepEqual(await Promise.all(answers), ['6400000000000000', '0000100000000000', '6400000000000000'])
  const { data } = await kernel.vfs.read(attr.id, 0, 2 * small + large)
  const whole = Buffer.concat([Buffer.alloc(small, 1), Buffer.alloc(large, 2), Buffer.alloc(small, 3)])
  t.true(Buffer.concat(data).equals(whole))
})

test('when the kernel is gone what it had open is released, and what waits is ended', async t => {
  const kernel = new Kernel(vfs => held(vfs, op => (op === 'getattr' ? new Promise(() => {}) : undefined)))
  const { attr } = await kernel.vfs.create(kernel.vfs.root, 'name', { mode: 'guarded', attrs: {} })
  await kernel.ask(14, u32(0, 0), { nodeid: attr.id })
  await kernel.ask(14, u32(0, 0), { nodeid: attr.id })
  await kernel.vfs.remove(kernel.vfs.root, 'name')
  t.is(kernel.vfs.known(attr.id).nlink, 0)
  kernel.send(GETATTR!, u64(0n, 0n))
  await kernel.session.abort()
  await kernel.session.closed
  t.throws(() => kernel.vfs.known(attr.id), { message: /ESTALE/ })
})

test('a close says that what was written may be lost, once; after an fsync nothing is', async t => {
  const kernel = new Kernel()
  const { attr } = await kernel.vfs.create(kernel.vfs.root, 'name', { mode: 'guarded', attrs: {} })
  const on = { nodeid: attr.id }
  const write = () =>
    kernel.ask(WRITE!, Buffer.concat([u64(0n, 0n), u32(1, 0), u64(0n, 0n), Buffer.from('x')]), on)
  const [close, sync] = [
    () => kernel.ask(25, Buffer.alloc(24), on),
    () => kernel.ask(20, Buffer.alloc(16), on),
  ]
  await kernel.ask(14, u32(2, 0), on)
  await write()
  t.is(await close(), '')
  kernel.vfs.writeverf = Buffer.from('another!')
  t.is(await close(), 5)
  t.is(await close(), '')
  await write()
  await sync()
  kernel.vfs.writeverf = Buffer.from('thethird')
  t.is(await close(), '')
})

test('more long WRITEs than may wait are refused, and no other request', async t => {
  const kernel = new Kernel(vfs => held(vfs, op => (op === 'write' ? new Promise(() => {}) : undefined)))
  const { attr } = await kernel.vfs.create(kernel.vfs.root, 'name', { mode: 'guarded', attrs: {} })
  const size = 64 * 1024
  const body = Buffer.concat([u64(0n, 0n), u32(size, 0), u64(0n, 0n), Buffer.alloc(size)])
  for (let i = 0; i < 256; i++) kernel.send(WRITE!, body, { nodeid: attr.id })
  t.is(await kernel.ask(WRITE!, body, { nodeid: attr.id }), 12) // ENOMEM
  t.is(typeof (await kernel.ask(GETATTR!, u64(0n, 0n))), 'string')
  await kernel.session.abort()
  await kernel.session.closed
})
