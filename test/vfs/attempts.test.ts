// When what failed is tried again.

import test from 'ava'
import { FsError } from '../../src/errors.ts'
import type { Reach } from '../../src/vfs/ask.ts'
import { Attempts } from '../../src/vfs/write/attempts.ts'
import { tempo } from '../../src/vfs/write/tempo.ts'

const failure = new FsError('ENOSPC', 'upload: the servers are full')
const reach = (reachable: boolean, since: number): Reach => ({
  reachable,
  since,
  lastError: '',
  troubles: [],
})
/** It was never out of reach. */
const steady = reach(true, 0)

/** The least and the most that the pause after another failure may be said to be. */
function pause(attempts: Attempts): [least: number, most: number] {
  const before = Date.now()
  attempts.failed(failure)
  return [attempts.retryAt! - Date.now(), attempts.retryAt! - before]
}

test('what failed is tried again after 1, 2, 4 … 60 s, give or take a quarter', t => {
  const seconds = [1, 2, 4, 8, 16, 32, 60, 60, 60]
  const found = seconds.map(() => [Number.POSITIVE_INFINITY, 0] as [number, number])
  for (let i = 0; i < 500; i++) {
    const attempts = new Attempts(tempo.delays)
    for (const [at, wanted] of seconds.entries()) {
      const [least, most] = pause(attempts)
      t.true(most >= wanted * 750 && least <= wanted * 1250, `${least} to ${most} for ${wanted} s`)
      found[at] = [Math.min(found[at]![0], least), Math.max(found[at]![1], most)]
    }
  }
  // Not everything that failed together is tried together.
  for (const [at, [least, most]] of found.entries())
    t.true(least < seconds[at]! * 800 && most > seconds[at]! * 1200, `${least} to ${most}`)
})

test('it is due when nothing has failed, and then not before its time', t => {
  const attempts = new Attempts(tempo.delays)
  t.is(attempts.retryAt, null)
  t.true(attempts.isDue(Date.now(), steady))
  attempts.failed(failure)
  t.false(attempts.isDue(attempts.retryAt! - 1, steady))
  t.true(attempts.isDue(attempts.retryAt!, steady))
})

test('it is due at once when the grid is back, and not because it is there or is still away', t => {
  const attempts = new Attempts(tempo.delays)
  attempts.failed(failure)
  const now = Date.now()
  t.false(attempts.isDue(now, reach(true, now - 1000)))
  t.false(attempts.isDue(now, reach(false, now + 1)))
  t.true(attempts.isDue(now, reach(true, now + 1)))
})

test('whoever hurries it has it tried now; what has not failed needs no hurry', t => {
  const attempts = new Attempts(tempo.delays)
  attempts.hurry()
  t.is(attempts.retryAt, null)
  attempts.failed(failure)
  attempts.hurry()
  t.true(attempts.isDue(Date.now(), steady))
  t.is(attempts.error, failure.message) // it is tried, and has not succeeded
})

test('after a success the pauses begin again, and nothing is told of', t => {
  const attempts = new Attempts(tempo.delays)
  for (let i = 0; i < 5; i++) attempts.failed(failure)
  attempts.succeeded()
  t.deepEqual([attempts.error, attempts.retryAt], [null, null])
  t.true(attempts.isDue(Date.now(), steady))
  t.true(pause(attempts)[0] <= 1250)
})

test('what is told of a failure is ours to tell: another’s words may hold anything', t => {
  const attempts = new Attempts(tempo.delays)
  attempts.failed(failure)
  t.is(attempts.error, failure.message)
  attempts.failed(new Error('URI:DIR2:secret'))
  t.regex(attempts.error!, /the log says more/)
})
