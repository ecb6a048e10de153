// The files of shares, byte for byte: those of a real Tahoe-LAFS 1.20.0 node, and damaged ones.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import fc from 'fast-check'
import { decode } from '../../src/tahoe/format/base32.ts'
import { netstring, sha256d, taggedHash, taggedPairHash } from '../../src/tahoe/format/hash.ts'
import {
  immutableSize,
  packImmutableHeader,
  packImmutableLeases,
  parseImmutableHeader,
  parseImmutableLeases,
} from '../../src/tahoe/storage/immutable-container.ts'
import { stored } from '../../src/tahoe/storage/lease.ts'
import {
  extraLeasesSize,
  MUTABLE_HEADER,
  mutableVersion,
  packExtraLeases,
  packMutableHeader,
  parseExtraLeases,
  parseMutableHeader,
} from '../../src/tahoe/storage/mutable-container.ts'

type Golden = {
  node: { lease_secret: string; my_nodeid: string }
  objects: { kind: string; cap: string; storage_index?: string; shares?: number[] }[]
}

const golden = join(import.meta.dirname, '../fixtures/tahoe-golden')
const { node, objects } = JSON.parse(readFileSync(join(golden, 'golden.json'), 'utf8')) as Golden
const nodeId = decode(node.my_nodeid)!

/** What a client with that lease secret gives this node as its secret for an index. */
function leaseSecret(use: 'renewal' | 'cancel', index: string): Buffer {
  const tag = (level: string) => `allmydata_${level}_${use}_secret_v1`
  const client = sha256d(netstring(decode(node.lease_secret)!), Buffer.from(tag('client')))
  const file = taggedPairHash(tag('file'), client, decode(index)!)
  return taggedPairHash(tag('bucket'), file, nodeId)
}

function writeEnabler(cap: string): Buffer {
  const tag = 'allmydata_mutable_writekey_to_write_enabler_master_v1'
  const master = taggedHash(tag, decode(cap.split(':')[2]!)!)
  return taggedPairHash(
    'allmydata_mutable_write_enabler_master_and_nodeid_to_write_enabler_v1',
    master,
    nodeId,
  )
}

const shares = objects.flatMap(object =>
  (object.shares ?? []).map(share => {
    const index = object.storage_index!
    const bytes = readFileSync(join(golden, 'shares', index.slice(0, 2), index, String(share)))
    return { ...object, index, what: `${object.kind} ${share}`, bytes }
  }),
)
const isMutable = ({ kind }: { kind: string }) => /^(SDMF|MDMF|DIR2|DIR2-MDMF)$/.test(kind)

test('every immutable share of a real node parses, has its lease, and packs to the same bytes', t => {
  const immutable = shares.filter(each => !isMutable(each))
  t.is(immutable.length, 28)
  for (const { bytes, what, index } of immutable) {
    const header = parseImmutableHeader(bytes, bytes.length, what)
    t.is(header.version, 2)
    t.is(header.leases, 1)
    const at = 12 + header.length
    const leases = parseImmutableLeases(bytes.subarray(at))
    t.deepEqual(leases[0]!.renew, stored(2, leaseSecret('renewal', index)))
    t.deepEqual(leases[0]!.cancel, stored(2, leaseSecret('cancel', index)))
    t.is(leases[0]!.owner, 0)
    t.true(leases[0]!.expires > 1_700_000_000)
    t.deepEqual(
      Buffer.concat([packImmutableHeader(header), bytes.subarray(12, at), packImmutableLeases(leases)]),
      bytes,
    )
  }
})

test('every mutable share of a real node parses, has its lease and write enabler, and packs to the same bytes', t => {
  const mutable = shares.filter(isMutable)
  t.is(mutable.length, 47)
  for (const { bytes, what, index, cap } of mutable) {
    t.is(mutableVersion(bytes), 2)
    const header = parseMutableHeader(bytes.subarray(0, MUTABLE_HEADER), bytes.length, what)
    t.deepEqual(header.node, nodeId)
    t.deepEqual(header.writeEnabler, writeEnabler(cap))
    const [lease, ...others] = header.places
    t.deepEqual(others, [null, null, null])
    t.deepEqual(lease!.renew, stored(2, leaseSecret('renewal', index)))
    t.deepEqual(lease!.cancel, stored(2, leaseSecret('cancel', index)))
    t.deepEqual(lease!.node, nodeId)
    t.is(lease!.owner, 1)
    const extra = parseExtraLeases(bytes.subarray(header.extraLeases))
    t.deepEqual(extra, [])
    const data = bytes.subarray(MUTABLE_HEADER, MUTABLE_HEADER + header.length)
    t.deepEqual(Buffer.concat([packMutableHeader(header), data, packExtraLeases(extra)]), bytes)
  }
})

test('containers of version 1, as Tahoe makes them, hold secrets as they are', t => {
  const secrets = { renew: Buffer.alloc(32, 'r'), cancel: Buffer.alloc(32, 'c') }
  t.deepEqual(stored(1, secrets.renew), secrets.renew)
  const hex = (bytes: Buffer) => bytes.toString('hex')

  const immutable = Buffer.from(
    '0000000100000003000000016f6e6500000000' + hex(secrets.renew) + hex(secrets.cancel) + '6553f100',
    'hex',
  )
  const small = parseImmutableHeader(immutable, immutable.length, 'x')
  t.deepEqual(small, { version: 1, length: 3, leases: 1 })
  const leases = parseImmutableLeases(immutable.subarray(15))
  t.deepEqual(leases, [{ owner: 0, expires: 1_700_000_000, ...secrets }])
  t.deepEqual(
    Buffer.concat([packImmutableHeader(small), Buffer.from('one'), packImmutableLeases(leases)]),
    immutable,
  )

  const id = Buffer.alloc(20, 1)
  const mutable = Buffer.concat([
    Buffer.from('5461686f65206d757461626c6520636f6e7461696e65722076310a750944038e', 'hex'),
    id,
    Buffer.alloc(32, 'w'),
    Buffer.from('0000000000000003' + '00000000000001d7' + '00000001' + '6553f100', 'hex'),
    secrets.renew,
    secrets.cancel,
    id,
    Buffer.alloc(3 * 92),
    Buffer.from('one\0\0\0\0'),
  ])
  const header = parseMutableHeader(mutable.subarray(0, MUTABLE_HEADER), mutable.length, 'x')
  t.is(header.version, 1)
  t.deepEqual(header.places[0], { owner: 1, expires: 1_700_000_000, ...secrets, node: id })
  t.deepEqual(Buffer.concat([packMutableHeader(header), Buffer.from('one'), packExtraLeases([])]), mutable)
})

test('an empty file, a short one and one of another kind are no containers', t => {
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.alloc(3),
    Buffer.from('Tahoe mutable'),
    Buffer.alloc(100, 0xff),
  ]) {
    t.throws(() => parseImmutableHeader(bytes, bytes.length, 'share 0'), {
      code: 'EIO',
      message: /share 0 is damaged/,
    })
    t.throws(() => parseMutableHeader(bytes, bytes.length, 'share 0'), {
      code: 'EIO',
      message: /share 0 is damaged/,
    })
  }
})

test('lengths and leases beyond the file are damage, before anything is allocated for them', t => {
  const immutable = (length: number, leases: number) => packImmutableHeader({ version: 2, length, leases })
  t.is(parseImmutableHeader(immutable(10, 1), immutableSize(10, 1), 'x').length, 10)
  for (const [length, leases, size] of [
    [10, 1, 93],
    [10, 1, 12],
    [10, 0xffff_ffff, 94],
    [0, 5000, immutableSize(0, 5000)],
    [10, 1, 167],
  ] as const)
    t.throws(() => parseImmutableHeader(immutable(length, leases), size, 'x'), { code: 'EIO' })

  const { bytes } = shares.find(isMutable)!
  const changed = (at: number, value: bigint) => {
    const copy = Buffer.from(bytes)
    copy.writeBigUInt64BE(value, at)
    return () => parseMutableHeader(copy.subarray(0, MUTABLE_HEADER), bytes.length, 'x')
  }
  for (const value of [2n ** 64n - 1n, 2n ** 53n, BigInt(bytes.length)]) {
    t.throws(changed(84, value), { code: 'EIO' })
    t.throws(changed(92, value), { code: 'EIO' })
  }
  t.throws(changed(92, 0n), { code: 'EIO' })
  const header = parseMutableHeader(bytes.subarray(0, MUTABLE_HEADER), bytes.length, 'x')
  const count = Buffer.from('ffffffff', 'hex')
  t.throws(() => extraLeasesSize(count, header, bytes.length, 'x'), { code: 'EIO' })
  t.throws(() => parseMutableHeader(bytes.subarray(0, 400), 400, 'x'), { code: 'EIO' })
})

test('a lease that was being appended and not counted before the end leaves the data as it was', t => {
  const head = packImmutableHeader({ version: 2, length: 10, leases: 1 })
  for (const size of [95, 130, immutableSize(10, 2)])
    t.deepEqual(parseImmutableHeader(head, size, 'x'), { version: 2, length: 10, leases: 1 })
})

test('whatever bytes a file has, it is a container or damaged', t => {
  const start = fc.constantFrom(
    shares[0]!.bytes.subarray(0, 20),
    shares.find(isMutable)!.bytes.subarray(0, 600),
  )
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 700 }), fc.nat(600), (good, noise, at) => {
      const bytes = Buffer.concat([good.subarray(0, at), noise])
      for (const parse of [parseImmutableHeader, parseMutableHeader]) {
        try {
          const { length } = parse(bytes.subarray(0, MUTABLE_HEADER), bytes.length, 'x')
          if (length > bytes.length) return false
        } catch (err) {
          if ((err as { code?: string }).code !== 'EIO') throw err
        }
      }
      return true
    }),
  )
  t.pass()
})
