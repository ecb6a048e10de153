// Who may connect and who may call: loopback is open to every local user, and AUTH_SYS
// is what the caller says it is.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import test, { type ExecutionContext } from 'ava'
import { NFS_PROGRAM, NFS_V3 } from '../../src/nfs/nfs3.ts'
import { admitLoopback, ownerOf } from '../../src/nfs/peer.ts'
import { ACCESS, GETATTR, SETATTR } from '../../src/nfs/proc/attributes.ts'
import { COMMIT, READ, WRITE } from '../../src/nfs/proc/data.ts'
import { FSINFO, FSSTAT, PATHCONF } from '../../src/nfs/proc/filesystem.ts'
import { READDIR, READDIRPLUS } from '../../src/nfs/proc/listing.ts'
import { CREATE, MKDIR, MKNOD, SYMLINK } from '../../src/nfs/proc/making.ts'
import { LINK, LOOKUP, READLINK, REMOVE, RENAME, RMDIR } from '../../src/nfs/proc/names.ts'
import { listen } from '../../src/nfs/server.ts'
import { MemFs } from '../support/memfs.ts'
import { needs } from '../support/needs.ts'
import { callBytes, RpcClient, recordOf } from '../support/rpc-client.ts'
import {
  at,
  encode,
  NfsClient,
  noAttrs,
  owner,
  procNumbers,
  type Served,
  serveOn,
  stranger,
  worldOver,
} from './conformance/world.ts'

const linux = process.platform === 'linux'
const canChangeUser = linux && process.getuid?.() === 0

const asRoot = needs(canChangeUser, 'Linux and root, to become another user')
const onLinux = needs(linux, 'Linux')

// Another user's process: it connects, sends what it is told, and closes at once when told to.
const child = `
  const [uid, port, hex, times, haste] = process.argv.slice(1)
  process.setgroups([]); process.setgid(Number(uid)); process.setuid(Number(uid))
  const net = require('node:net')
  const once = () => new Promise(resolve => {
    const socket = net.connect(Number(port), '127.0.0.1')
    let got = 0
    socket.on('data', chunk => { got += chunk.length; socket.destroy() })
    socket.on('error', () => {})
    socket.on('close', () => resolve(got))
    socket.write(Buffer.from(hex, 'hex'), () => { if (haste === 'haste') socket.destroy() })
  })
  ;(async () => {
    let got = 0
    for (let i = 0; i < Number(times); i++) got += await once()
    process.stdout.write(String(got))
  })()
`

async function bytesFor(uid: number, port: number, message: Buffer, times = 1, haste = ''): Promise<number> {
  const args = ['-e', child, `${uid}`, `${port}`, recordOf(message).toString('hex'), `${times}`, haste]
  const process_: ChildProcess = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  process_.stdout!.on('data', chunk => (out += chunk))
  await once(process_, 'close')
  return Number(out)
}

async function guarded(t: ExecutionContext): Promise<Served & { vfs: MemFs }> {
  const vfs = new MemFs(owner)
  const served = await serveOn(vfs, { admit: admitLoopback({ owner }) })
  t.teardown(served.end)
  return { ...served, vfs }
}

/** A MKDIR that claims to come from the owner. */
async function forgedMkdir(vfs: MemFs): Promise<Buffer> {
  const other = await serveOn(vfs)
  const rpc = await RpcClient.connect(other.port)
  const root = await new NfsClient(rpc).root()
  rpc.close()
  await other.end()
  const args = encode(MKDIR.spec.args, { where: at(root, 'forged'), attributes: noAttrs })
  return callBytes(NFS_PROGRAM, NFS_V3, procNumbers.MKDIR, args, { cred: owner })
}

asRoot('the owner and root are served, another user is not, whoever he says he is', async t => {
  const { port, vfs, serving } = await guarded(t)
  const call = callBytes(NFS_PROGRAM, NFS_V3, 0, Buffer.alloc(0), { cred: owner })
  t.is(await bytesFor(stranger.uid, port, await forgedMkdir(vfs)), 0)
  await t.throwsAsync(vfs.lookup(vfs.root, 'forged'), { code: 'ENOENT' })
  t.is(serving.stats().connections.refused, 1)
  t.true((await bytesFor(owner.uid, port, call)) > 0)
  t.true((await bytesFor(0, port, call)) > 0)
})

asRoot('a stranger who sends and closes at once, fifty times, is never heard', async t => {
  const { port, vfs, serving } = await guarded(t)
  t.is(await bytesFor(stranger.uid, port, await forgedMkdir(vfs), 50, 'haste'), 0)
  const rpc = await RpcClient.connect(port, { cred: owner })
  t.teardown(() => rpc.close())
  await new NfsClient(rpc).root() // whatever came before has been judged by now
  await t.throwsAsync(vfs.lookup(vfs.root, 'forged'), { code: 'ENOENT' })
  t.deepEqual(Object.keys(serving.stats().calls), ['MOUNT.MNT'])
})

onLinux('this user’s own connection is admitted as the owner’s', async t => {
  const me = { uid: process.getuid!(), gid: process.getgid!() }
  const served = await serveOn(new MemFs(me), { owner: me, admit: admitLoopback({ owner: me }) })
  t.teardown(served.end)
  const rpc = await RpcClient.connect(served.port, { cred: me })
  t.teardown(() => rpc.close())
  t.is((await rpc.call(NFS_PROGRAM, NFS_V3, 0, Buffer.alloc(0))).stat, 'SUCCESS')
})

test('nothing that arrives is acted on before the connection is admitted', async t => {
  const vfs = new MemFs(owner)
  let admit = (_: boolean): void => {}
  const judged = new Promise<boolean>(resolve => (admit = resolve))
  const served = await serveOn(vfs, { admit: () => judged })
  t.teardown(served.end)
  const rpc = await RpcClient.connect(served.port, { cred: owner })
  t.teardown(() => rpc.close())
  rpc.send(recordOf(await forgedMkdir(vfs)))
  const other = await RpcClient.connect(served.port)
  t.teardown(() => other.close())
  await new Promise(resolve => setTimeout(resolve, 50))
  t.deepEqual(served.serving.stats().calls, {})
  admit(false)
  await rpc.closed
  t.deepEqual(served.serving.stats().calls, {})
  await t.throwsAsync(vfs.lookup(vfs.root, 'forged'), { code: 'ENOENT' })
})

test('a check that fails refuses', async t => {
  const served = await serveOn(new MemFs(owner), { admit: () => Promise.reject(new Error('no table')) })
  t.teardown(served.end)
  const rpc = await RpcClient.connect(served.port)
  await rpc.closed
  t.is(served.serving.stats().connections.refused, 1)
})

// What the kernel shows, column by column: local, remote, state, …, uid, timeout, inode.
const row = (local: string, remote: string, state: string, uid: number, inode: number): string =>
  `   0: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000 ${uid} 0 ${inode} 1 0 100 0 0 10 0\n`
const head =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const here = { address: '127.0.0.1', port: 2049 } // 0801
const there = { address: '127.0.0.1', port: 1000 } // 03E8
const mapped = '0000000000000000FFFF00000100007F'
const six = '00000000000000000000000001000000'

test('the uid of the row that has both ends is the answer', t => {
  const own = row('0100007F:0801', '0100007F:03E8', '01', 4711, 5)
  t.is(ownerOf(head + own + row('0100007F:03E8', '0100007F:0801', '01', 1234, 7), there, here), 1234)
})

test('an IPv6 socket that speaks IPv4 is found mapped, and IPv6 itself is found', t => {
  t.is(ownerOf(head + row(`${mapped}:03E8`, `${mapped}:0801`, '01', 1234, 7), there, here), 1234)
  const ends = [
    { address: '::1', port: 1000 },
    { address: '::1', port: 2049 },
  ] as const
  t.is(ownerOf(head + row(`${six}:03E8`, `${six}:0801`, '01', 1234, 7), ...ends), 1234)
  const dual = { ...there, address: '::ffff:127.0.0.1' }
  t.is(ownerOf(head + row('0100007F:03E8', '0100007F:0801', '01', 1234, 7), dual, here), 1234)
})

test('a socket that is not established, has no inode, or has no row, belongs to nobody', t => {
  for (const state of ['04', '05', '06', '08', '02'])
    t.is(ownerOf(head + row('0100007F:03E8', '0100007F:0801', state, 0, 7), there, here), null)
  t.is(ownerOf(head + row('0100007F:03E8', '0100007F:0801', '01', 0, 0), there, here), null)
  t.is(ownerOf(head, there, here), null)
  t.is(ownerOf('', there, here), null)
})

test('only loopback may be listened on', async t => {
  await t.throwsAsync(listen({ host: '0.0.0.0' }), { message: /not loopback/ })
  await t.throwsAsync(listen({ host: '::' }), { message: /not loopback/ })
})

test('a caller who is neither owner nor root may ask seven things, and is told nothing by the rest', async t => {
  const { nfs, root, connect } = await worldOver(t, new MemFs(owner))
  const file = await nfs.create(root, 'f')
  const link = await nfs.symlink(root, 'l', 'f')
  for (const cred of [stranger, 'none'] as const) {
    const other = await connect(cred)
    const object = file
    t.is(await other.status(GETATTR, { object }), 'NFS3_OK')
    t.is(await other.status(FSINFO, { fsroot: object }), 'NFS3_OK')
    t.is(await other.status(FSSTAT, { fsroot: object }), 'NFS3_OK')
    t.is(await other.status(PATHCONF, { object }), 'NFS3_OK')
    t.deepEqual(await other.root(), root)
    t.is((await other.rpc.call(NFS_PROGRAM, NFS_V3, 0, Buffer.alloc(0))).stat, 'SUCCESS')
    t.is((await other.ok(ACCESS, { object, access: 63 })).access, 0)

    const where = at(root, 'x')
    const cookieverf = Buffer.alloc(8)
    const symlink = { symlink_attributes: noAttrs, symlink_data: Buffer.from('t') }
    const data = Buffer.from('x')
    const refused = [
      other.call(SETATTR, { object, new_attributes: noAttrs, guard: null }),
      other.call(LOOKUP, { what: at(root, 'f') }),
      other.call(READLINK, { symlink: link }),
      other.call(READ, { file, offset: 0, count: 1 }),
      other.call(WRITE, { file, offset: 0, count: 1, stable: 'UNSTABLE', data }),
      other.call(CREATE, { where, how: { is: 'UNCHECKED', value: noAttrs } }),
      other.call(MKDIR, { where, attributes: noAttrs }),
      other.call(SYMLINK, { where, symlink }),
      other.call(MKNOD, { where, what: { is: 'NF3FIFO', value: noAttrs } }),
      other.call(REMOVE, { object: at(root, 'f') }),
      other.call(RMDIR, { object: at(root, 'f') }),
      other.call(RENAME, { from: at(root, 'f'), to: where }),
      other.call(LINK, { file, link: where }),
      other.call(READDIR, { dir: root, cookie: 0n, cookieverf, count: 4096 }),
      other.call(READDIRPLUS, { dir: root, cookie: 0n, cookieverf, dircount: 4096, maxcount: 4096 }),
      other.call(COMMIT, { file, offset: 0, count: 0 }),
    ]
    for (const { status } of await Promise.all(refused)) t.is(status, 'NFS3ERR_ACCES')
  }
  t.is((await nfs.getattr(file)).size, 0)
  t.deepEqual(Buffer.from(await nfs.lookup(root, 'f')), Buffer.from(file))
})

test('root may do what the owner may', async t => {
  const { root, connect } = await worldOver(t, new MemFs(owner))
  const asRoot = await connect({ uid: 0, gid: 0 })
  const file = await asRoot.create(root, 'f')
  await asRoot.write(file, 0, 'x')
  t.is((await asRoot.getattr(file)).uid, owner.uid)
})
