// What the server holds, it holds within bounds, and nothing waits for what it need not.

import test from 'ava'
import { FsError } from '../../src/errors.ts'
import { GETATTR } from '../../src/nfs/proc/attributes.ts'
import { READ } from '../../src/nfs/proc/data.ts'
import { FSINFO } from '../../src/nfs/proc/filesystem.ts'
import { MKDIR } from '../../src/nfs/proc/making.ts'
import { LOOKUP } from '../../src/nfs/proc/names.ts'
import { held } from '../support/heldfs.ts'
import { MemFs } from '../support/memfs.ts'
import { RpcClient } from '../support/rpc-client.ts'
import { at, type NfsClient, noAttrs, owner, worldOver } from './conformance/world.ts'

/** A file system in memory whose lookups wait until they are let go. */
function slowLookups() {
  let letGo = (): void => {}
  const gate = new Promise<void>(resolve => (letGo = resolve))
  return { vfs: held(new MemFs(owner), op => (op === 'lookup' ? gate : undefined)), letGo }
}

/** Resolves once `holds` does; a test that waits in vain ends by ava's own timeout. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(resolve => setImmediate(resolve))
}

const lookup = (nfs: NfsClient, root: Uint8Array, name: string) =>
  nfs.status(LOOKUP, { what: at(root, name) })

test('what can be answered at once overtakes what waits, on the same connection', async t => {
  const { vfs, letGo } = slowLookups()
  const { nfs, root } = await worldOver(t, vfs)
  const order: string[] = []
  const slow = lookup(nfs, root, 'a').then(() => order.push('LOOKUP'))
  await nfs.getattr(root).then(() => order.push('GETATTR'))
  letGo()
  await slow
  t.deepEqual(order, ['GETATTR', 'LOOKUP'])
})

test('while fresh attributes are waited for, data, names and the mount itself are not', async t => {
  const memfs = new MemFs(owner)
  const vfs = held(memfs, op => (op === 'getattr' ? new Promise(() => {}) : undefined))
  const { nfs, root } = await worldOver(t, vfs)
  const file = await nfs.create(root, 'f')
  await nfs.write(file, 0, 'bytes')
  t.is((await nfs.read(file)).toString(), 'bytes')
  t.deepEqual(Buffer.from(await nfs.lookup(root, 'f')), Buffer.from(file))
  t.is(await nfs.status(FSINFO, { fsroot: root }), 'NFS3_OK')
  t.deepEqual(await nfs.root(), root)
})

test('a call held too long is JUKEBOX with a whole body, nothing has happened, and later it succeeds', async t => {
  const memfs = new MemFs(owner)
  let slow = true
  const vfs = held(memfs, op => (slow && op === 'mkdir' ? new Promise(() => {}) : undefined))
  const { nfs, root } = await worldOver(t, vfs, { holdMs: 10 })
  const ask = () => nfs.call(MKDIR, { where: at(root, 'd'), attributes: noAttrs }, { xid: 5 })
  t.is((await ask()).status, 'NFS3ERR_JUKEBOX')
  await t.throwsAsync(memfs.lookup(memfs.root, 'd'), { code: 'ENOENT' })
  slow = false
  t.is((await ask()).status, 'NFS3_OK')
})

test('more held calls than allowed are JUKEBOX at once, unexecuted; GETATTR still answers', async t => {
  const { vfs, letGo } = slowLookups()
  const { nfs, root, serving } = await worldOver(t, vfs, { limits: { held: 4 } })
  const waiting = [1, 2, 3, 4].map(i => lookup(nfs, root, `${i}`))
  await until(() => serving.stats().held === 4)
  const { status } = await nfs.call(MKDIR, { where: at(root, 'd'), attributes: noAttrs }, { xid: 9 })
  t.is(status, 'NFS3ERR_JUKEBOX')
  t.is((await nfs.getattr(root)).type, 'NF3DIR')
  letGo()
  t.deepEqual(new Set(await Promise.all(waiting)), new Set(['NFS3ERR_NOENT']))
  t.is(await lookup(nfs, root, 'd'), 'NFS3ERR_NOENT')
  t.is(await nfs.status(MKDIR, { where: at(root, 'd'), attributes: noAttrs }, { xid: 9 }), 'NFS3_OK')
  t.is(serving.stats().held, 0)
})

test('a client that does not read is not read from, costs bounded memory, and loses nothing', async t => {
  const bytesEach = 4 * 2 ** 20
  const { nfs, root, serving, connect } = await worldOver(t, new MemFs(owner), { limits: { bytesEach } })
  const file = await nfs.create(root, 'big')
  await nfs.write(file, 0, Buffer.alloc(2 ** 20, 7))

  const deaf = await connect()
  deaf.rpc.stall()
  const reads = Array.from({ length: 100 }, () => deaf.call(READ, { file, offset: 0, count: 2 ** 20 }))
  await until(() => serving.stats().bytesInFlight >= bytesEach)
  for (let i = 0; i < 200; i++) {
    t.is((await nfs.getattr(file)).size, 2 ** 20)
    t.true(serving.stats().bytesInFlight < bytesEach + 2 * 2 ** 20)
  }
  deaf.rpc.resume()
  for (const { ok } of await Promise.all(reads)) t.is(ok!.count, 2 ** 20)
  await until(() => serving.stats().bytesInFlight === 0)
})

test('when all bytes are taken by clients that do not read, another still has one call at a time', async t => {
  const limits = { bytesEach: 4 * 2 ** 20, bytes: 4 * 2 ** 20 }
  const { nfs, root, serving, connect } = await worldOver(t, new MemFs(owner), { limits })
  const file = await nfs.create(root, 'big')
  await nfs.write(file, 0, Buffer.alloc(2 ** 20, 7))
  const deaf = await connect()
  deaf.rpc.stall()
  const reads = Array.from({ length: 20 }, () => deaf.call(READ, { file, offset: 0, count: 2 ** 20 }))
  await until(() => serving.stats().bytesInFlight >= limits.bytes)
  const answers = await Promise.all(Array.from({ length: 50 }, () => nfs.getattr(file)))
  t.is(answers.length, 50)
  deaf.rpc.close()
  await Promise.allSettled(reads)
  await until(() => serving.stats().bytesInFlight === 0)
})

test('one connection more than allowed is closed, and counted; a free place is given again', async t => {
  const { port, nfs, root, serving, connect } = await worldOver(t, new MemFs(owner), {
    limits: { connections: 2 },
  })
  const second = await connect()
  await second.getattr(root)
  const third = await RpcClient.connect(port)
  await third.closed
  t.is(serving.stats().connections.refused, 1)
  t.is((await nfs.getattr(root)).type, 'NF3DIR')
  second.rpc.close()
  await until(() => serving.stats().connections.open === 1)
  t.is((await (await connect()).getattr(root)).type, 'NF3DIR')
})

test('a client that half-closes still gets every answer, then the end', async t => {
  const { vfs, letGo } = slowLookups()
  const { nfs, root, serving } = await worldOver(t, vfs)
  const waiting = [lookup(nfs, root, 'a'), lookup(nfs, root, 'b')]
  await until(() => serving.stats().held === 2)
  nfs.rpc.half()
  letGo()
  t.deepEqual(await Promise.all(waiting), ['NFS3ERR_NOENT', 'NFS3ERR_NOENT'])
  await nfs.rpc.closed
})

test('the end of the server answers what is at work, and closes', async t => {
  const end = new AbortController()
  const { vfs } = slowLookups()
  const { nfs, root, serving } = await worldOver(t, vfs, { signal: end.signal })
  const waiting = lookup(nfs, root, 'a')
  await until(() => serving.stats().held === 1)
  end.abort()
  t.is(await waiting, 'NFS3ERR_JUKEBOX')
  await nfs.rpc.closed
  nfs.rpc.close()
  await serving.closed
})

test('what the file system did not mean to throw is IO, logged once with its stack', async t => {
  const logged: unknown[] = []
  const log = { debug() {}, info() {}, warn() {}, error: (...args: unknown[]) => void logged.push(args) }
  const vfs = held(new MemFs(owner), op => {
    if (op === 'lookup') throw new TypeError('a bug')
  })
  const { nfs, root } = await worldOver(t, vfs, { log: log as never })
  t.is(await lookup(nfs, root, 'a'), 'NFS3ERR_IO')
  t.is(logged.length, 1)
})

test('an expected miss is not an error in the log', async t => {
  const logged: unknown[] = []
  const note = (...args: unknown[]) => void logged.push(args)
  const log = { debug() {}, info: note, warn: note, error: note }
  const vfs = held(new MemFs(owner), op => {
    if (op === 'readlink') throw new FsError('EAGAIN', 'not now')
  })
  const { nfs, root } = await worldOver(t, vfs, { log: log as never })
  t.is(await lookup(nfs, root, 'a'), 'NFS3ERR_NOENT')
  t.deepEqual(logged, [])
})

test('every call is told to debug and counted by procedure and status', async t => {
  const told: object[] = []
  const log = { debug: (fields: object) => void told.push(fields), info() {}, warn() {}, error() {} }
  const { nfs, root, serving } = await worldOver(t, new MemFs(owner), { log: log as never })
  await nfs.getattr(root)
  await nfs.status(GETATTR, { object: Buffer.alloc(4) })
  t.deepEqual(serving.stats().calls['NFS.GETATTR'], { NFS3_OK: 1, NFS3ERR_BADHANDLE: 1 })
  t.like(told.at(-1), { proc: 'NFS.GETATTR', status: 'NFS3ERR_BADHANDLE', uid: owner.uid })
  const file = await nfs.create(root, 'shown')
  await nfs.write(file, 5, 'never shown')
  const [create, write] = told.slice(-2).map(fields => JSON.stringify(fields))
  t.regex(create!, /"where":{"dir":"#1","name":"shown"}/)
  t.regex(write!, /"offset":5.*"data":"11 bytes"/)
})
