// Where shares go: as many servers as there are hold one that counts, and nothing is sent twice without need.

import test from 'ava'
import fc from 'fast-check'
import { happinessOf, place } from '../../src/tahoe/native/placement.ts'

const sets = (...shares: number[][]) => shares.map(each => new Set(each))

test('happiness is the size of a maximum matching', t => {
  t.is(happinessOf(sets([0, 1, 2])), 1)
  t.is(happinessOf(sets([0], [0], [0])), 1)
  t.is(happinessOf(sets([0, 1], [0], [1, 2])), 3)
  t.is(happinessOf(sets([], [])), 0)
})

test('new shares go round the servers, the first ones first', t => {
  t.deepEqual(place(5, sets([], [], []), [true, true, true]), [[0, 3], [1, 4], [2]])
  t.deepEqual(place(2, sets([], [], []), [true, true, true]), [[0], [1], []])
  t.deepEqual(place(1, sets([0]), [true]), [[]])
})

test('a server that takes none is given none', t => {
  t.deepEqual(place(3, sets([], [1], []), [true, false, true]), [[0], [], [2]])
  t.deepEqual(place(2, sets([], []), [false, false]), [[], []])
})

const grid = fc.integer({ min: 1, max: 12 }).chain(total =>
  fc.record({
    total: fc.constant(total),
    servers: fc.array(
      fc.record({ takes: fc.boolean(), has: fc.uniqueArray(fc.nat(total - 1), { maxLength: total }) }),
      { minLength: 1, maxLength: 8 },
    ),
  }),
)

test('all shares are somewhere if any server takes some, and happiness is as high as it can be', t => {
  fc.assert(
    fc.property(grid, ({ total, servers }) => {
      const holdings = servers.map(({ has }) => new Set(has))
      const given = place(
        total,
        holdings,
        servers.map(({ takes }) => takes),
      )
      const after = holdings.map((has, i) => new Set([...has, ...given[i]!]))
      for (const [i, shares] of given.entries()) {
        if (!servers[i]!.takes) t.deepEqual(shares, [])
        for (const share of shares) t.false(holdings[i]!.has(share))
      }
      if (servers.some(({ takes }) => takes)) t.is(new Set(after.flatMap(each => [...each])).size, total)
      // Those that take none count by what they have; all others could hold anything.
      const all = servers.map(({ takes, has }) => (takes ? Array.from({ length: total }, (_, i) => i) : has))
      t.is(happinessOf(after), happinessOf(sets(...all)))
    }),
    { numRuns: 2000 },
  )
})
