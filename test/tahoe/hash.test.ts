import test from 'ava'
import { netstring, sha256d, taggedHash, taggedPairHash } from '../../src/tahoe/format/hash.ts'

test('a netstring is its length, a colon, the bytes and a comma', t => {
  t.is(netstring(Buffer.from('hello')).toString(), '5:hello,')
  t.is(netstring(Buffer.alloc(0)).toString(), '0:,')
})

test('sha256d is SHA-256 of SHA-256', t => {
  // Known from Bitcoin, where the same hash of "hello" is a common example.
  const expected = '9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50'
  t.is(sha256d(Buffer.from('hello')).toString('hex'), expected)
  t.is(sha256d(Buffer.from('he'), Buffer.from('llo')).toString('hex'), expected)
})

test('tagged hashes are sha256d over the netstrings of their parts', t => {
  const [a, b] = [Buffer.from('a'), Buffer.from('bb')]
  t.deepEqual(taggedHash('tag', a), sha256d(Buffer.from('3:tag,a')))
  t.deepEqual(taggedHash('tag', a, 16), sha256d(Buffer.from('3:tag,a')).subarray(0, 16))
  t.deepEqual(taggedPairHash('tag', a, b), sha256d(Buffer.from('3:tag,1:a,2:bb,')))
})
