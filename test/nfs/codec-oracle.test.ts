// json-pack's NFSv3 codecs, written by other people, read what our server really sends
// and what our client asks: the same values under the same names, and the same bytes back.

import { createRequire } from 'node:module'
import test from 'ava'
import fc from 'fast-check'
import { NFS_PROGRAM, NFS_V3 } from '../../src/nfs/nfs3.ts'
import { GETATTR } from '../../src/nfs/proc/attributes.ts'
import type { Fattr3 } from '../../src/nfs/types.ts'
import type { Codec } from '../../src/nfs/xdr.ts'
import { MemFs } from '../support/memfs.ts'
import { argsWith, everyProcedure } from './conformance/robustness.ts'
import { at, encode, noAttrs, outcomeOf, owner, procNumbers, worldOver } from './conformance/world.ts'

// CommonJS whose types do not survive our settings: what is used of it is said here.
type Theirs = Record<string, unknown>
const require = createRequire(import.meta.url)
const { Nfsv3Decoder } = require('@jsonjoy.com/json-pack/lib/nfs/v3/Nfsv3Decoder') as {
  Nfsv3Decoder: new () => { decodeMessage(reader: unknown, proc: number, isRequest: boolean): Theirs }
}
const { Nfsv3Encoder } = require('@jsonjoy.com/json-pack/lib/nfs/v3/Nfsv3Encoder') as {
  Nfsv3Encoder: new () => {
    writer: { ensureCapacity(n: number): void }
    encodeMessage(message: Theirs, proc: number, isRequest: boolean): Uint8Array
  }
}
const { XdrDecoder } = require('@jsonjoy.com/json-pack/lib/xdr/XdrDecoder') as {
  XdrDecoder: new () => { reader: { reset(bytes: Uint8Array): void; x: number } }
}

function read(bytes: Buffer, proc: number, isRequest: boolean): { message: Theirs; end: number } {
  const { reader } = new XdrDecoder()
  reader.reset(Uint8Array.from(bytes))
  return { message: new Nfsv3Decoder().decodeMessage(reader, proc, isRequest), end: reader.x }
}

function write(message: Theirs, proc: number, isRequest: boolean): string {
  const encoder = new Nfsv3Encoder()
  encoder.writer.ensureCapacity(2 ** 20) // it miswrites lengths when its buffer grows
  return Buffer.from(encoder.encodeMessage(message, proc, isRequest)).toString('hex')
}

/** A field by the RFC's name, however they spell it: name_max, nameMax, namemax. */
function field(theirs: Theirs, name: string): unknown {
  const plain = name.replaceAll('_', '').toLowerCase()
  return theirs[Object.keys(theirs).find(key => key.toLowerCase() === plain) ?? name]
}
const plainObject = (v: unknown): v is Theirs =>
  typeof v === 'object' && v !== null && !(v instanceof Uint8Array)

/** Their optional values are objects with a flag: the value, or undefined. */
function unwrapped(theirs: unknown): unknown {
  if (!plainObject(theirs)) return theirs
  const keys = Object.keys(theirs)
  const flag = ['attributesFollow', 'handleFollows', 'set', 'check', 'how'].find(key => key in theirs)
  if (flag === undefined || keys.length > 2)
    return 'data' in theirs && keys.length === 1 ? theirs.data : theirs
  const value = keys.find(key => key !== flag)
  return value === undefined ? undefined : unwrapped(theirs[value])
}

const bytesOf = (v: unknown): string =>
  typeof v === 'string' ? Buffer.from(v).toString('hex') : Buffer.from(v as Uint8Array).toString('hex')

/** How many leaves were compared; throws where two differ. */
function compare(ours: unknown, wrapped: unknown, path: string): number {
  const theirs = unwrapped(wrapped)
  const differ = (): never => {
    throw new Error(`${path}: ours ${String(ours)}, theirs ${String(theirs)}`)
  }
  if (ours === null || ours === undefined) return theirs === undefined ? 1 : differ()
  if (plainObject(ours) && 'is' in ours) return compare(ours.value, theirs, path)
  if (theirs === undefined) return differ()
  if (ours instanceof Uint8Array) return bytesOf(ours) === bytesOf(theirs) ? 1 : differ()
  if (typeof ours === 'number' || typeof ours === 'bigint' || typeof ours === 'boolean')
    return theirs !== undefined && BigInt(ours) === BigInt(theirs as number) ? 1 : differ()
  if (typeof ours === 'string') return 0 // names of numbers: the bytes compare these
  if (Array.isArray(ours)) {
    if (ours.every(item => item instanceof Uint8Array)) return compare(Buffer.concat(ours), theirs, path)
    let next = theirs as Theirs | undefined
    let leaves = 0
    for (const [i, item] of ours.entries()) {
      leaves += compare(item, next, `${path}[${i}]`)
      next = next?.nextentry as Theirs | undefined
    }
    return next === undefined ? leaves : differ()
  }
  let leaves = 0
  for (const [key, value] of Object.entries(ours)) {
    const there = theirs as Theirs
    if (key === 'entries') leaves += compare(value, (there.reply as Theirs).entries, `${path}.entries`)
    else if (key === 'eof' && 'reply' in there)
      leaves += compare(value, (there.reply as Theirs).eof, `${path}.eof`)
    else leaves += compare(value, field(there, key), `${path}.${key}`)
  }
  return leaves
}

test('json-pack reads every reply of ours, success and failure, as we mean it', async t => {
  const { nfs, root } = await worldOver(t, new MemFs(owner))
  const dir = await nfs.mkdir(root, 'dir')
  const gone = await nfs.mkdir(root, 'gone')
  const file = await nfs.create(dir, 'file')
  const link = await nfs.symlink(dir, 'link', 'target')
  await nfs.write(file, 0, 'some bytes')
  await nfs.rpc.call(
    NFS_PROGRAM,
    NFS_V3,
    procNumbers.RMDIR,
    encode<unknown>(spec('RMDIR').args, { object: at(root, 'gone') }),
  )

  let [succeeded, failed] = [0, 0]
  for (const procedure of everyProcedure)
    for (const handle of [file, dir, link, gone]) {
      const { name, args } = procedure.spec
      const proc = procNumbers[name]
      const { body } = await nfs.rpc.call(
        NFS_PROGRAM,
        NFS_V3,
        proc,
        encode(args as Codec<unknown>, argsWith(name, handle)),
      )
      const { message, end } = read(body, proc, false)
      t.is(end, body.length, name)
      t.is(write(message, proc, false), body.toString('hex'), name)
      const { status, ok, fail } = outcomeOf(procedure, body)
      const leaves = compare(ok ?? fail, status === 'NFS3_OK' ? message.resok : message.resfail, name)
      if (status === 'NFS3_OK') succeeded += leaves
      else failed += leaves
    }
  t.true(succeeded > 500 && failed > 100, `${succeeded} ${failed}`)
})

const spec = (name: string) => everyProcedure.find(each => each.spec.name === name)!.spec

test('json-pack reads the arguments of every procedure as we mean them', t => {
  const handle = Buffer.from('0123456789abcdef0123')
  let leaves = 0
  for (const { spec } of everyProcedure) {
    const proc = procNumbers[spec.name]
    const args = argsWith(spec.name, handle)
    const bytes = encode(spec.args as Codec<unknown>, args)
    const { message, end } = read(bytes, proc, true)
    t.is(end, bytes.length, spec.name)
    t.is(write(message, proc, true), bytes.toString('hex'), spec.name)
    // Of these three they name the unions' arms in their own way; the bytes above are compared.
    if (!['SYMLINK', 'CREATE', 'MKNOD'].includes(spec.name)) leaves += compare(args, message, spec.name)
  }
  t.true(leaves > 50)
})

const u32 = fc.nat(0xffff_ffff)
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const size = fc.nat(Number.MAX_SAFE_INTEGER)
const time = fc.record({ seconds: u32, nseconds: u32 })
const fattr = fc.record({
  type: fc.constantFrom('NF3REG', 'NF3DIR', 'NF3BLK', 'NF3CHR', 'NF3LNK', 'NF3SOCK', 'NF3FIFO'),
  mode: u32,
  nlink: u32,
  uid: u32,
  gid: u32,
  size,
  used: size,
  rdev: fc.record({ specdata1: u32, specdata2: u32 }),
  fsid: u64,
  fileid: u64,
  atime: time,
  mtime: time,
  ctime: time,
}) as fc.Arbitrary<Fattr3>

test('attributes of any value are the same bytes in both codecs, and back', t => {
  fc.assert(
    fc.property(fattr, obj_attributes => {
      const ok = encode(GETATTR.spec.resok, { obj_attributes })
      const body = Buffer.concat([Buffer.alloc(4), ok])
      const { message, end } = read(body, 1, false)
      if (end !== body.length || write(message, 1, false) !== body.toString('hex'))
        throw new Error('other bytes')
      compare({ obj_attributes }, message.resok, 'GETATTR')
      t.deepEqual(outcomeOf(GETATTR, body).ok, { obj_attributes })
    }),
  )
})

test('settable attributes of any value are the same bytes in both codecs', t => {
  const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary)
  const how = fc.oneof(
    fc.constantFrom(
      { is: 'DONT_CHANGE' as const, value: undefined },
      { is: 'SET_TO_SERVER_TIME' as const, value: undefined },
    ),
    time.map(value => ({ is: 'SET_TO_CLIENT_TIME' as const, value })),
  )
  const sattr = fc.record({
    mode: maybe(u32),
    uid: maybe(u32),
    gid: maybe(u32),
    size: maybe(size),
    atime: how,
    mtime: how,
  })
  const { args } = spec('SETATTR')
  fc.assert(
    fc.property(sattr, maybe(time), (new_attributes, guard) => {
      const value = {
        object: Buffer.from('0123456789abcdef0123'),
        new_attributes: { ...noAttrs, ...new_attributes },
        guard,
      }
      const bytes = encode(args as Codec<unknown>, value)
      const { message, end } = read(bytes, 2, true)
      t.is(end, bytes.length)
      t.is(write(message, 2, true), bytes.toString('hex'))
      compare(value, message, 'SETATTR')
    }),
  )
})
