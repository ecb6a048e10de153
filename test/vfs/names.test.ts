import test from 'ava'
import fc from 'fast-check'
import { NAME_MAX, nameKey, real, shown } from '../../src/vfs/names.ts'
import { Names } from '../../src/vfs/tree/snapshot.ts'

/** Whatever a grid may hold: with the characters that need care in it more often than chance has them. */
const name = fc
  .array(
    fc.oneof(
      fc.constantFrom('/', '\0', '␛', '.', '2', 'F', '0', '~', 'é', 'e\u0301', '\u0958', '😀'),
      fc.string(),
    ),
  )
  .map(parts => parts.join(''))

test('a name is shown without what a file system cannot carry, and found again by what is shown', t => {
  fc.assert(
    fc.property(name, given => {
      const seen = shown(given)
      t.false(/[/\0]/.test(seen))
      t.false(seen === '' || seen === '.' || seen === '..')
      t.true(Buffer.byteLength(seen) <= NAME_MAX)
      if (given !== '' && Buffer.byteLength(seen) < NAME_MAX - 40) t.is(real(seen), given)
    }),
  )
})

test('names that need no escape are shown as they are', t => {
  for (const plain of [
    'a',
    '...',
    '.hidden',
    'with space',
    'naïve',
    'x'.repeat(255),
    '😀',
    'a\\b',
    'line\nbreak',
  ])
    t.is(shown(plain), plain)
})

test('the names a file system cannot carry have these forms', t => {
  t.is(shown('a/b'), 'a␛2Fb')
  t.is(shown('a\0b'), 'a␛00b')
  t.is(shown('.'), '␛2E')
  t.is(shown('..'), '␛2E␛2E')
  t.is(shown(''), '␛~')
  t.is(shown('␛2F'), '␛␛2F')
})

test('a long name is cut to 255 bytes between two characters and stays apart from its like', t => {
  const long = ['é'.repeat(200), 'é'.repeat(201), 'é'.repeat(199) + '/' + 'x'.repeat(300)]
  const seen = long.map(shown)
  t.is(new Set(seen).size, 3)
  for (const each of seen) {
    t.true(Buffer.byteLength(each) <= NAME_MAX)
    t.false(each.includes('\ufffd'))
    t.is(Buffer.from(each).toString(), each)
  }
})

test('no two names of a directory are the same to a file system, whatever they are', t => {
  fc.assert(
    fc.property(
      fc.uniqueArray(
        fc.oneof(
          name,
          name.map(n => n.repeat(90)),
        ),
        { maxLength: 12 },
      ),
      given => {
        const names = new Names()
        const seen = given.map(each => names.show(each))
        t.is(new Set(seen.map(nameKey)).size, given.length)
        for (const each of seen) t.true(Buffer.byteLength(each) <= NAME_MAX)
      },
    ),
  )
})

test('two names with one NFC form are both shown, and one that was there keeps its form', t => {
  const [composed, decomposed] = ['caf\u00e9', 'cafe\u0301']
  const names = new Names()
  const first = names.show(composed)
  const second = names.show(decomposed)
  t.is(first, composed)
  t.not(nameKey(second), nameKey(first))
  t.not(new Names([nameKey(decomposed)]).show(composed), composed)
})
