import { createPrivateKey, createPublicKey } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { format, inspect } from 'node:util'
import test from 'ava'
import fc from 'fast-check'
import { Cap, carryCap, litCap, parseCap, unknownCap } from '../../src/tahoe/cap.ts'
import { encode } from '../../src/tahoe/format/base32.ts'
import { taggedHash } from '../../src/tahoe/format/hash.ts'

type Uris = { rw_uri?: string; ro_uri: string; verify_uri?: string }
type Golden = {
  cap: string
  storageIndex?: string
  size?: number
  readonly?: string
  verify?: string
  children?: Record<string, Uris>
}
const file = new URL('../fixtures/tahoe-caps.json', import.meta.url)
const golden = (JSON.parse(readFileSync(file, 'utf8')) as { objects: Golden[] }).objects

const key = (seed: string) => encode(taggedHash('key', Buffer.from(seed), 16))
const check = (seed: string) => encode(taggedHash('check', Buffer.from(seed), 32))

test('every cap that a Tahoe node made parses, and gives the storage index and size it has', t => {
  for (const { cap: text, storageIndex, size } of golden) {
    const cap = parseCap(text)
    t.is(cap.uri(), text)
    t.is(cap.storageIndex, storageIndex ?? null)
    if (size !== undefined) t.is(cap.size, size)
  }
  t.true(golden.length >= 22)
})

test('less authority is what a Tahoe node derives: write, read, verify', t => {
  let compared = 0
  const same = (uris: Uris) => {
    const cap = parseCap(uris.rw_uri ?? uris.ro_uri)
    t.is(cap.readonly().uri(), uris.ro_uri)
    t.is(cap.verify()?.uri(), uris.verify_uri)
    t.is(cap.readonly().verify()?.uri(), uris.verify_uri)
    compared += 1
  }
  for (const { cap, readonly, verify, children = {} } of golden) {
    if (readonly === undefined) continue
    same({ rw_uri: cap, ro_uri: readonly, ...(verify === undefined ? {} : { verify_uri: verify }) })
    for (const uris of Object.values(children)) same(uris)
  }
  t.true(compared >= 16)
})

type Vector = { kind: string; expected: string; rsaKeyDer?: string }
// Tahoe's own; they are under its licence, so they do not come with this project.
const published = process.env['TAHOE_VECTORS'] ?? ''
const withVectors = existsSync(published) ? test : test.skip
const reason = existsSync(published) ? '' : ' (TAHOE_VECTORS does not name vectors.json)'

withVectors(`the published caps parse, and the mutable ones follow from their keys${reason}`, t => {
  const { vectors } = JSON.parse(readFileSync(published, 'utf8')) as { vectors: Vector[] }
  for (const { expected, rsaKeyDer } of vectors) {
    const cap = parseCap(expected)
    t.is(cap.uri(), expected)
    if (rsaKeyDer === undefined) continue
    const priv = createPrivateKey({ key: Buffer.from(rsaKeyDer, 'base64'), format: 'der', type: 'pkcs1' })
    const der = priv.export({ type: 'pkcs8', format: 'der' })
    const spki = createPublicKey(priv).export({ type: 'spki', format: 'der' })
    const write = encode(taggedHash('allmydata_mutable_privkey_to_writekey_v1', der, 16))
    const print = encode(taggedHash('allmydata_mutable_pubkey_to_fingerprint_v1', spki))
    t.is(cap.uri(), `URI:${cap.kind}:${write}:${print}`)
  }
  t.is(vectors.length, 360)
})

test('a cap says what it is in the words of its URI', t => {
  const words: [string, string, string, string, boolean][] = [
    ['URI:LIT:me', 'LIT', 'read', 'file', false],
    [`URI:CHK:${key('a')}:${check('b')}:3:10:99`, 'CHK', 'read', 'file', false],
    [`URI:CHK-Verifier:${key('a')}:${check('b')}:3:10:99`, 'CHK', 'verify', 'file', false],
    [`URI:DIR2-CHK:${key('a')}:${check('b')}:3:10:99`, 'DIR2-CHK', 'read', 'directory', false],
    [`URI:DIR2-CHK-Verifier:${key('a')}:${check('b')}:3:10:99`, 'DIR2-CHK', 'verify', 'directory', false],
    ['URI:DIR2-LIT:', 'DIR2-LIT', 'read', 'directory', false],
  ]
  for (const kind of ['SSK', 'MDMF', 'DIR2', 'DIR2-MDMF']) {
    const type = kind.startsWith('DIR2') ? 'directory' : 'file'
    words.push([`URI:${kind}:${key('a')}:${check('b')}`, kind, 'write', type, true])
    words.push([`URI:${kind}-RO:${key('a')}:${check('b')}`, kind, 'read', type, true])
    words.push([`URI:${kind}-Verifier:${key('a')}:${check('b')}`, kind, 'verify', type, true])
  }
  for (const [text, ...expected] of words) {
    const cap = parseCap(text)
    t.deepEqual([cap.kind, cap.authority, cap.type, cap.mutable], expected)
    t.is(cap.uri(), text)
  }
})

test('a cap never prints itself: only uri() gives the secret', t => {
  const secret = key('secret')
  const cap = parseCap(`URI:SSK:${secret}:${check('b')}`)
  const told = [
    String(cap),
    `${cap}`,
    JSON.stringify({ cap }),
    inspect({ cap }, { depth: 9, showHidden: true }),
    inspect(cap, { customInspect: false, showHidden: true, depth: 9 }),
    format('%s %o %O %j', cap, cap, cap, cap),
    JSON.stringify(Object.entries(cap)),
    JSON.stringify(structuredClone({ ...cap })),
    String(t.throws(() => cap.data(), { code: 'EINVAL' })),
  ]
  for (const text of told) t.false(text.includes(secret), text)
  t.is(String(cap), '[cap SSK write]')
  t.is(String(parseCap(`URI:CHK:${secret}:${check('b')}:3:10:99`)), '[cap CHK]')
})

test('what is not a cap is refused without repeating it', t => {
  const [k, c] = [key('a'), check('b')]
  const bad = [
    '',
    'URI',
    'URI:',
    'hello',
    'uri:LIT:me',
    ' URI:LIT:me',
    'URI:LIT:me\n',
    'http://127.0.0.1:3456/uri/URI%3ALIT%3Ame',
    'URI:LIT:m', // half a byte
    'URI:LIT:mz', // loose bits
    'URI:LIT:ME',
    `URI:CHK:${k}:${c}:3:10`,
    `URI:CHK:${k}:${c}:3:10:99:1`,
    `URI:CHK:${k}:${c}:0:10:99`,
    `URI:CHK:${k}:${c}:11:10:99`,
    `URI:CHK:${k}:${c}:3:257:99`,
    `URI:CHK:${k}:${c}:3:10:-1`,
    `URI:CHK:${k}:${c}:3:10:9007199254740992`,
    `URI:CHK:${k}:${c}:3:10:099`,
    `URI:CHK:${k.slice(1)}:${c}:3:10:99`,
    `URI:CHK:${k.slice(0, -1)}b:${c}:3:10:99`, // loose bits
    `URI:SSK:${k}`,
    `URI:SSK:${k}:${c}:3`,
    `URI:DIR2:${k}:${c.slice(0, -1)}b`,
    `URI:MDMF:${k}:${c}extra`,
    `URI:DIR2:${k}:${c}/child`,
    'URI:LIT:' + 'a'.repeat(100_000),
  ]
  for (const text of bad) {
    const err = t.throws(() => parseCap(text), { code: 'EINVAL' }, text.slice(0, 80))
    t.false(err.message.includes(k) || err.message.includes('hello'))
  }
  t.is(parseCap(`URI:CHK:${k}:${c}:1:1:9007199254740991`).size, Number.MAX_SAFE_INTEGER)
})

test('a cap from the future is carried byte for byte and has no powers', t => {
  for (const text of [
    'URI:FUTURE:abc:DEF',
    'ro.URI:FUTURE-RO:x',
    'imm.URI:FUTURE-RO:x',
    `ro.URI:SSK:${key('a')}:bogus`,
  ]) {
    const cap = parseCap(text)
    t.is(cap.kind, 'unknown')
    t.is(cap.type, 'unknown')
    t.is(cap.uri(), text)
    t.is(cap.storageIndex, null)
    t.is(cap.size, null)
    t.is(cap.verify(), null)
  }
  t.is(parseCap('ro.URI:FUTURE:x').authority, 'read')
  t.is(parseCap('ro.URI:FUTURE:x').readonly().uri(), 'ro.URI:FUTURE:x')
  t.is(
    parseCap('URI:FUTURE:x').readonly().uri(),
    '',
    'what may be a write cap is not handed on as a read cap',
  )
})

test('an unknown keeps both its slots', t => {
  const cap = unknownCap('URI:FUTURE-W:w', 'ro.URI:FUTURE-R:r')
  t.is(cap.uri(), 'URI:FUTURE-W:w')
  t.is(cap.readonly().uri(), 'ro.URI:FUTURE-R:r')
  t.is(cap.authority, 'write')
  t.true(cap.same(cap.readonly()))
  t.false(cap.same(unknownCap('URI:FUTURE-W:v', 'ro.URI:FUTURE-R:q')))
})

test('a damaged cap in a directory is carried, not refused', t => {
  const cap = carryCap('URI:CHK:bogus')
  t.is(cap.kind, 'unknown')
  t.is(cap.uri(), 'URI:CHK:bogus')
})

test('what old nodes appended to an MDMF cap is tolerated and left out, as Tahoe does', t => {
  const plain = `URI:MDMF:${key('a')}:${check('b')}`
  t.is(parseCap(`${plain}:3:131073`).uri(), plain)
  t.is(parseCap(`${plain}:3:131073`).readonly().uri(), parseCap(plain).readonly().uri())
  const dir = `URI:DIR2-MDMF-RO:${key('a')}:${check('b')}`
  t.is(parseCap(`${dir}:something:else`).uri(), dir)
})

test('caps are the same by what they lead to', t => {
  const write = parseCap(`URI:SSK:${key('a')}:${check('b')}`)
  t.true(write.same(write.readonly()))
  t.true(write.readonly().same(write.verify()!))
  t.false(write.same(parseCap(`URI:SSK:${key('x')}:${check('b')}`)))
  t.false(write.same(parseCap(write.uri().replace('SSK', 'DIR2'))), 'a directory is not its file')
  t.true(litCap(Buffer.from('x')).same(litCap(Buffer.from('x'))))
  t.false(litCap(Buffer.from('x')).same(litCap(Buffer.from('y'))))
})

test('a LIT is its content', t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 55 }), bytes => {
      const cap = litCap(bytes)
      return cap.size === bytes.length && Buffer.from(bytes).equals(parseCap(cap.uri()).data())
    }),
  )
  t.is(parseCap('URI:LIT:').size, 0)
})

const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(encode)
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(encode)
const chk = fc
  .tuple(
    fc.constantFrom('CHK', 'CHK-Verifier', 'DIR2-CHK', 'DIR2-CHK-Verifier'),
    bytes16,
    bytes32,
    fc.integer({ min: 1, max: 256 }),
    fc.maxSafeNat(),
  )
  .map(([word, k, c, n, size]) => `URI:${word}:${k}:${c}:${Math.ceil(n / 3)}:${n}:${size}`)
const mutable = fc
  .tuple(
    fc.constantFrom('SSK', 'MDMF', 'DIR2', 'DIR2-MDMF'),
    fc.constantFrom('', '-RO', '-Verifier'),
    bytes16,
    bytes32,
  )
  .map(([word, power, k, c]) => `URI:${word}${power}:${k}:${c}`)

test('any cap comes back from its text, and less of it never gives more', t => {
  fc.assert(
    fc.property(fc.oneof(chk, mutable), text => {
      const cap = parseCap(text)
      const reader = cap.readonly()
      const verifier = cap.verify()!
      return (
        cap.uri() === text &&
        reader.authority !== 'write' &&
        reader.readonly() === reader &&
        verifier.authority === 'verify' &&
        verifier.verify() === verifier &&
        verifier.readonly() === verifier &&
        verifier.storageIndex === cap.storageIndex &&
        reader.verify()!.uri() === verifier.uri() &&
        cap.same(verifier) &&
        verifier instanceof Cap
      )
    }),
  )
  t.pass()
})

test('one changed character never parses to the same cap', t => {
  const letters = fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz234567:0189')
  fc.assert(
    fc.property(fc.oneof(chk, mutable), fc.nat(), letters, (text, where, letter) => {
      const at = 4 + (where % (text.length - 4))
      const other = text.slice(0, at) + letter + text.slice(at + 1)
      if (other === text) return true
      try {
        return !parseCap(other).same(parseCap(text))
      } catch {
        return true
      }
    }),
  )
  t.pass()
})
