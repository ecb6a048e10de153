import test from 'ava'
import fc from 'fast-check'
import { decode, encode } from '../../src/tahoe/format/base32.ts'

test('base32 spells the RFC 4648 examples in lower case without padding', t => {
  const examples = {
    '': '',
    f: 'my',
    fo: 'mzxq',
    foo: 'mzxw6',
    foob: 'mzxw6yq',
    fooba: 'mzxw6ytb',
    foobar: 'mzxw6ytboi',
  }
  for (const [plain, text] of Object.entries(examples)) {
    t.is(encode(Buffer.from(plain)), text)
    t.is(decode(text)?.toString(), plain)
  }
})

test('every sequence of bytes comes back from its base32', t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), bytes => Buffer.from(bytes).equals(decode(encode(bytes))!)),
  )
  t.pass()
})

test('a text that decodes is the one that its bytes encode to', t => {
  const text = fc.string({ unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz234567A=1é'), maxLength: 30 })
  fc.assert(
    fc.property(text, given => {
      const bytes = decode(given)
      return bytes === null || encode(bytes) === given
    }),
  )
  t.pass()
})

test('base32 with padding, capitals, other digits, loose bits or a character too many is none', t => {
  for (const text of ['my======', 'MY', 'm1', 'mz', 'a', 'aaa', 'aaaaaa', 'm y', 'mý'])
    t.is(decode(text), null, text)
})
