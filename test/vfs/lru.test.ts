import test from 'ava'
import fc from 'fast-check'
import { Lru } from '../../src/vfs/read/lru.ts'

const LONG_AGO = 1

test('what was used least recently goes first', t => {
  const lru = new Lru(1000)
  for (const key of ['a', 'b', 'c']) lru.add(key, 10)
  lru.touch('a')
  const order = []
  for (let key = lru.oldest(); key !== undefined; key = lru.oldest()) {
    order.push(key)
    lru.delete(key)
  }
  t.deepEqual(order, ['b', 'c', 'a'])
})

test('reading one large file through does not push out what is in use', t => {
  const lru = new Lru(1000)
  for (const key of ['used', 'also used']) {
    lru.add(key, 100, LONG_AGO)
    lru.touch(key) // again, long after the first time
  }
  for (let i = 0; i < 50; i++) {
    lru.add(`scan ${i}`, 100)
    lru.touch(`scan ${i}`) // in the same moment: one use
    while (lru.bytes > 1000) lru.delete(lru.oldest()!)
  }
  t.true(lru.has('used') && lru.has('also used'))
})

test('protected blocks take four fifths at most; the oldest of them are on probation again', t => {
  const lru = new Lru(1000)
  for (let i = 0; i < 10; i++) {
    lru.add(`k${i}`, 100, LONG_AGO)
    lru.touch(`k${i}`)
  }
  t.is(lru.oldest(), 'k0')
  lru.delete('k0')
  lru.delete('k1')
  lru.add('new', 100)
  t.is(lru.oldest(), 'new')
})

test('its bytes are the sum of what it holds, whatever happens', t => {
  const step = fc.record({
    op: fc.constantFrom('add', 'old', 'touch', 'delete', 'evict'),
    key: fc.nat(6),
    bytes: fc.nat(400),
  })
  fc.assert(
    fc.property(fc.array(step), steps => {
      const lru = new Lru(1000)
      const model = new Map<string, number>()
      for (const { op, key, bytes } of steps) {
        const name = `k${key}`
        if (op === 'add' || op === 'old') {
          lru.add(name, bytes, op === 'old' ? LONG_AGO : undefined)
          model.set(name, bytes)
        } else if (op === 'touch') lru.touch(name)
        else {
          const gone = op === 'evict' ? lru.oldest() : name
          if (op === 'evict') t.is(gone === undefined, model.size === 0)
          if (gone !== undefined) lru.delete(gone)
          model.delete(gone ?? '')
        }
        t.is(
          lru.bytes,
          [...model.values()].reduce((a, b) => a + b, 0),
        )
        for (let i = 0; i <= 6; i++) t.is(lru.has(`k${i}`), model.has(`k${i}`))
      }
    }),
  )
})
