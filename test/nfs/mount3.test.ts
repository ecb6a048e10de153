// MOUNT version 3: from a path to a handle, and who may have it.

import test, { type ExecutionContext } from 'ava'
import { MountTokens } from '../../src/nfs/mount-tokens.ts'
import {
  exports,
  MOUNT_PROGRAM,
  MOUNT_V3,
  mountlist,
  mountres3_ok,
  mountstats,
} from '../../src/nfs/mount3.ts'
import { held } from '../support/heldfs.ts'
import { MemFs } from '../support/memfs.ts'
import { RpcClient } from '../support/rpc-client.ts'
import { decode, NfsClient, owner, serveOn, string, worldOver } from './conformance/world.ts'

const call = (nfs: NfsClient, proc: number, args: Buffer = Buffer.alloc(0)) =>
  nfs.rpc.call(MOUNT_PROGRAM, MOUNT_V3, proc, args).then(reply => reply.body)

async function mnt(nfs: NfsClient, path: string | Buffer) {
  const body = await call(nfs, 1, typeof path === 'string' ? string(path) : path)
  const status = body.readUInt32BE()
  if (status !== 0) return { status, handle: null }
  const { fhandle, auth_flavors } = decode(mountres3_ok, body.subarray(4))
  return { status, handle: Buffer.from(fhandle).toString('hex'), auth_flavors }
}

const dump = async (nfs: NfsClient) => decode(mountlist, await call(nfs, 2)).map(each => each.ml_directory)
const hex = (handle: Uint8Array): string => Buffer.from(handle).toString('hex')

test('MNT of the root gives its handle, a multiple of four bytes, and AUTH_SYS', async t => {
  const { nfs, root } = await worldOver(t, new MemFs(owner))
  const { status, handle, auth_flavors } = await mnt(nfs, '/')
  t.is(status, 0)
  t.is(handle, hex(root))
  t.is(handle!.length % 8, 0)
  t.deepEqual(auth_flavors, [1])
})

test('any directory below the root can be mounted, however its path is written', async t => {
  const { nfs, root } = await worldOver(t, new MemFs(owner))
  const inner = await nfs.mkdir(await nfs.mkdir(root, 'a'), 'cafe\u0301')
  for (const path of [
    '/a/caf\u00e9',
    'a/cafe\u0301',
    '/a/caf\u00e9/',
    '//a//./caf\u00e9//',
    '/a/../a/caf\u00e9',
  ])
    t.is((await mnt(nfs, path)).handle, hex(inner), path)
})

test('no number of dots leaves the root', async t => {
  const { nfs, root } = await worldOver(t, new MemFs(owner))
  for (const path of ['', '..', '/..', '/../../..', '/./..'])
    t.is((await mnt(nfs, path)).handle, hex(root), path)
})

test('a missing path is NOENT, a file NOTDIR, and more than 1024 bytes NAMETOOLONG', async t => {
  const { nfs, root } = await worldOver(t, new MemFs(owner))
  await nfs.create(root, 'file')
  const status = async (path: string) => (await mnt(nfs, path)).status
  t.is(await status('/nothing'), mountstats.MNT3ERR_NOENT)
  t.is(await status('/file'), mountstats.MNT3ERR_NOTDIR)
  t.is(await status('/file/x'), mountstats.MNT3ERR_NOTDIR)
  t.is(await status('/' + 'a/'.repeat(600)), mountstats.MNT3ERR_NAMETOOLONG)
  t.is(await status('/' + 'a'.repeat(256)), mountstats.MNT3ERR_NAMETOOLONG)
  t.is(await status('/a\0b'), mountstats.MNT3ERR_ACCES)
})

test('DUMP lists what is mounted, UMNT takes one away, UMNTALL all of the caller’s', async t => {
  const { nfs, root } = await worldOver(t, new MemFs(owner))
  for (const name of ['a', 'b', 'c']) {
    await nfs.mkdir(root, name)
    await mnt(nfs, `/${name}`)
    await mnt(nfs, `/${name}/`)
  }
  t.deepEqual(await dump(nfs), ['/', '/a', '/b', '/c'])
  t.is((await call(nfs, 3, string('/a/'))).length, 0)
  t.is((await call(nfs, 3, string('/never mounted'))).length, 0)
  t.deepEqual(await dump(nfs), ['/', '/b', '/c'])
  t.is((await call(nfs, 4)).length, 0)
  t.deepEqual(await dump(nfs), [])
})

test('what DUMP remembers is bounded', async t => {
  const { nfs, root } = await worldOver(t, new MemFs(owner))
  for (let i = 0; i < 80; i++) {
    await nfs.mkdir(root, `${i}`)
    await mnt(nfs, `/${i}`)
  }
  t.is((await dump(nfs)).length, 64)
})

test('EXPORT lists the root, for everyone', async t => {
  const { nfs } = await worldOver(t, new MemFs(owner))
  t.deepEqual(decode(exports, await call(nfs, 5)), [{ ex_dir: '/', ex_groups: [] }])
})

test('a directory that cannot be reached now is a failure that a client may repeat', async t => {
  const vfs = held(new MemFs(owner), op => (op === 'lookup' ? new Promise(() => {}) : undefined))
  const { nfs } = await worldOver(t, vfs, { holdMs: 10 })
  t.is((await mnt(nfs, '/a')).status, mountstats.MNT3ERR_SERVERFAULT)
})

/** A world in which MNT needs a token, and its clock. */
async function tokenWorld(t: ExecutionContext) {
  let now = 0
  const tokens = new MountTokens(() => now)
  const vfs = new MemFs(owner)
  await vfs.mkdir(vfs.root, 'sub', {})
  const { port, end } = await serveOn(vfs, { tokens })
  t.teardown(end)
  const rpc = await RpcClient.connect(port, { cred: owner })
  t.teardown(() => rpc.close())
  return { nfs: new NfsClient(rpc), tokens, later: (ms: number) => void (now += ms) }
}

test('where tokens are asked for, a token is good for one MNT, of the root or below', async t => {
  const { nfs, tokens } = await tokenWorld(t)
  const [one, two] = [tokens.issue(), tokens.issue()]
  t.is((await mnt(nfs, '/')).status, mountstats.MNT3ERR_ACCES)
  t.is((await mnt(nfs, '/tahoe-00000000000000000000000000000000')).status, mountstats.MNT3ERR_ACCES)
  t.is((await mnt(nfs, one)).status, 0)
  t.is((await mnt(nfs, one)).status, mountstats.MNT3ERR_ACCES)
  t.is((await mnt(nfs, `${two}/sub`)).status, 0)
  t.is((await mnt(nfs, `${two}/sub`)).status, mountstats.MNT3ERR_ACCES)
})

test('a token ends after thirty seconds, and a mount that fails does not spend it', async t => {
  const { nfs, tokens, later } = await tokenWorld(t)
  const token = tokens.issue()
  t.is((await mnt(nfs, `${token}/nothing`)).status, mountstats.MNT3ERR_NOENT)
  later(29_999)
  t.is((await mnt(nfs, token)).status, 0)
  const late = tokens.issue()
  later(30_000)
  t.is((await mnt(nfs, late)).status, mountstats.MNT3ERR_ACCES)
})

test('neither DUMP nor EXPORT tells a token', async t => {
  const { nfs, tokens } = await tokenWorld(t)
  const token = tokens.issue()
  await mnt(nfs, `${token}/sub`)
  t.deepEqual(await dump(nfs), ['/sub'])
  t.notRegex((await call(nfs, 5)).toString('latin1'), /tahoe-/)
  await call(nfs, 3, string(`${token}/sub`))
  t.deepEqual(await dump(nfs), [])
})
