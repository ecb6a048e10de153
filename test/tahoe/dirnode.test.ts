// Directories as Tahoe keeps them: what is not changed stays byte for byte, and what is written is what it reads.

import test from 'ava'
import fc from 'fast-check'
import { litCap, parseCap, unknownCap } from '../../src/tahoe/cap.ts'
import { encode } from '../../src/tahoe/format/base32.ts'
import { Dirnode, NotDirectory } from '../../src/tahoe/format/dirnode.ts'
import { netstring, sha256 } from '../../src/tahoe/format/hash.ts'
import type { Child } from '../../src/tahoe/grid.ts'
import { golden } from '../support/golden.ts'

const writeKey = sha256(Buffer.from('write key')).subarray(0, 16)
const mutable = { mutable: true, writeKey }
const fields = (seed: string) => {
  const hash = sha256(Buffer.from(seed))
  return `${encode(hash.subarray(0, 16))}:${encode(hash)}`
}
const file = parseCap(`URI:CHK:${fields('file')}:3:10:1000`)
const sub = parseCap(`URI:DIR2:${fields('sub')}`)

const entry = (name: string, reader: string, sealed: Buffer | string, metadata: string): Buffer =>
  netstring(Buffer.concat([name, reader, sealed, metadata].map(part => netstring(Buffer.from(part)))))

test('an immutable directory that a Tahoe node made reads as the node lists it, and is made again', t => {
  const lits = golden.filter(({ kind }) => kind === 'DIR2-LIT')
  t.is(lits.length, 2)
  for (const { cap, listing } of lits) {
    const content = parseCap(cap.replace('DIR2-LIT', 'LIT')).data()
    const kind = { mutable: false, writeKey: null }
    const dirnode = Dirnode.parse(content, kind)
    const expected = Object.entries(listing![1].children).map(([name, [, about]]) => [
      name,
      about['ro_uri'],
      about['metadata'],
    ])
    t.deepEqual(
      [...dirnode.children()].map(([name, child]) => [name, child.cap.uri(), child.metadata]),
      expected,
    )
    const again = Dirnode.empty(kind)
    for (const [name, child] of dirnode.children()) again.set(name, child)
    t.deepEqual(again.content(), content)
  }
})

test('children stand in the order of their bytes, and the last of a name twice is taken', t => {
  const dirnode = Dirnode.empty(mutable)
  for (const name of ['\u{1F600}', '\u{FF5E}', 'b', 'a', 'é']) dirnode.set(name, { cap: file, metadata: {} })
  const names = [...Dirnode.parse(dirnode.content(), mutable).children().keys()]
  t.deepEqual(names, ['a', 'b', 'é', '\u{FF5E}', '\u{1F600}'])
  const twice = Buffer.concat([
    entry('é', file.uri(), '', '{}'),
    entry('e\u0301', litCap(Buffer.from('x')).uri(), '', '{}'),
  ])
  t.is(Dirnode.parse(twice, mutable).child('é')!.cap.kind, 'LIT')
})

test('who has the write key reads write caps, who has not reads read caps, and changes of others pass through', t => {
  const dirnode = Dirnode.empty(mutable)
  dirnode.set('sub', { cap: sub, metadata: { 'no-write': false } })
  dirnode.set('file', { cap: file, metadata: { tahoe: { linkmotime: 1.5 } } })
  const content = dirnode.content()
  t.is(Dirnode.parse(content, mutable).child('sub')!.cap.uri(), sub.uri())
  const reader = Dirnode.parse(content, { mutable: true, writeKey: null })
  t.is(reader.child('sub')!.cap.uri(), sub.readonly().uri())
  t.is(reader.child('file')!.cap.uri(), file.uri())
  t.false(content.includes(sub.uri()))
})

test('a child that is not changed stays as it is, byte for byte, also what nobody here understands', t => {
  const odd = [
    entry('a', 'lafs://from_the_future', Buffer.alloc(48, 7), '{"big": 12345678901234567890, "x":  1.50}'),
    entry('b', file.uri(), 'not sealed at all', 'no JSON'),
    entry('c', '', '', '[1]'),
    entry('e\u0301', `${file.uri()}   `, '', '{ }'),
  ]
  const dirnode = Dirnode.parse(Buffer.concat(odd), mutable)
  dirnode.set('d', { cap: file, metadata: {} })
  dirnode.unset('d')
  t.deepEqual(dirnode.content(), Buffer.concat(odd))
  t.is(dirnode.child('a')!.cap.kind, 'unknown')
  t.is(JSON.stringify(dirnode.child('a')!.metadata), '{"big":12345678901234567890,"x":1.5}')
  t.deepEqual(dirnode.child('b')!.metadata, {})
  t.is(dirnode.child('é')!.cap.uri(), file.uri())
})

test('an unknown comes back as it was linked, with its promise only to read', t => {
  const dirnode = Dirnode.empty(mutable)
  dirnode.set('both', { cap: unknownCap('URI:FUTURE-W:abc', 'ro.URI:FUTURE-R:abc'), metadata: {} })
  dirnode.set('imm', { cap: unknownCap(null, 'imm.URI:FUTURE-R:abc'), metadata: {} })
  const again = Dirnode.parse(dirnode.content(), mutable)
  t.is(again.child('both')!.cap.uri(), 'URI:FUTURE-W:abc')
  t.is(again.child('both')!.cap.readonly().uri(), 'ro.URI:FUTURE-R:abc')
  t.is(again.child('imm')!.cap.uri(), 'imm.URI:FUTURE-R:abc')
  const reader = Dirnode.parse(dirnode.content(), { mutable: true, writeKey: null })
  t.is(reader.child('both')!.cap.uri(), 'ro.URI:FUTURE-R:abc')
  t.is(reader.child('both')!.cap.authority, 'read')
})

test('a write cap in the read-only slot gives no more than reading', t => {
  const dirnode = Dirnode.parse(entry('x', sub.uri(), '', '{}'), mutable)
  t.is(dirnode.child('x')!.cap.uri(), sub.readonly().uri())
})

test('what is no directory is refused, wherever it is cut or damaged', t => {
  const dirnode = Dirnode.empty(mutable)
  dirnode.set('sub', { cap: sub, metadata: {} })
  const content = dirnode.content()
  for (let end = 1; end < content.length; end++)
    t.throws(() => Dirnode.parse(content.subarray(0, end), mutable), { instanceOf: NotDirectory })
  for (const text of ['x', '5:abcde', '1:a,', ':,', '-1:,', '9999999999:a,', '8:1:a,1:b,,', '0:,'])
    t.throws(() => Dirnode.parse(Buffer.from(text), mutable), { instanceOf: NotDirectory }, text)
  fc.assert(
    fc.property(fc.nat(content.length - 1), fc.nat(255), (at, byte) => {
      const damaged = Buffer.from(content)
      damaged[at] = byte
      try {
        Dirnode.parse(damaged, mutable).children()
      } catch (err) {
        t.true(err instanceof NotDirectory)
      }
    }),
  )
})

test('any children come back as they were set', t => {
  const child = fc.record({
    cap: fc.constantFrom(file, sub, litCap(Buffer.from('x')), sub.readonly()),
    metadata: fc
      .dictionary(fc.string(), fc.jsonValue())
      .map(value => JSON.parse(JSON.stringify(value)) as Child['metadata']),
  })
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: 'grapheme', minLength: 1 }), child), children => {
      const dirnode = Dirnode.empty(mutable)
      const expected = new Map<string, Child>()
      for (const [name, each] of Object.entries(children)) {
        dirnode.set(name.normalize('NFC'), each)
        expected.set(name.normalize('NFC'), each)
      }
      const again = Dirnode.parse(dirnode.content(), mutable).children()
      t.deepEqual([...again.keys()].sort(), [...expected.keys()].sort())
      for (const [name, { cap, metadata }] of again) {
        t.is(cap.uri(), expected.get(name)!.cap.uri())
        t.is(JSON.stringify(metadata), JSON.stringify(expected.get(name)!.metadata))
      }
    }),
  )
})

test('a cap with spaces in it, however many, takes no longer than its bytes', t => {
  const spaces = `URI:x${' '.repeat(1_000_000)}x   `
  const began = performance.now()
  const dirnode = Dirnode.parse(entry('a', spaces, '', '{}'), mutable)
  t.is(dirnode.child('a')!.cap.readonly().uri(), `ro.${spaces.trimEnd()}`)
  t.true(performance.now() - began < 2000)
})
