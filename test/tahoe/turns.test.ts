import test from 'ava'
import { patiently, Turns } from '../../src/tahoe/turns.ts'

test('no more take a turn than there are, and the others follow in order', async t => {
  const turns = new Turns(2)
  const order: number[] = []
  const ends = await Promise.all([turns.take('x'), turns.take('x')])
  const waiting = [1, 2, 3].map(async n => {
    const end = await turns.take('x')
    order.push(n)
    end()
  })
  await Promise.resolve()
  t.deepEqual(order, [])
  ends[0]!()
  await Promise.all(waiting)
  t.deepEqual(order, [1, 2, 3])
})

test('one who gives up leaves the line and takes no turn with him', async t => {
  const turns = new Turns(1)
  const end = await turns.take('x')
  const stop = new AbortController()
  const impatient = turns.take('x', stop.signal)
  const next = turns.take('x')
  stop.abort()
  await t.throwsAsync(impatient, { code: 'EAGAIN', message: 'EAGAIN: x: the caller gave up' })
  end()
  end() // twice is once
  const last = await next
  const after = turns.take('x')
  last()
  await after
  await t.throwsAsync(turns.take('x', AbortSignal.abort()), { code: 'EAGAIN' })
})

test('giving up on a promise leaves it running', async t => {
  const { promise, resolve } = Promise.withResolvers<number>()
  const stop = new AbortController()
  const mine = patiently(promise, 'x', stop.signal)
  const theirs = patiently(promise, 'x', new AbortController().signal)
  stop.abort()
  await t.throwsAsync(mine, { code: 'EAGAIN' })
  resolve(7)
  t.is(await theirs, 7)
})
