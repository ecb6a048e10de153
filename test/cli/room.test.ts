// A disk that is nearly full: garbage goes by itself, and not more often than it helps.

import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { keepRoom } from '../../src/cli/room.ts'
import { silent } from '../../src/log.ts'
import type { Collected } from '../../src/tahoe/native/check/gc.ts'

const found = (objects: number): Collected => ({
  objects,
  shares: objects,
  bytes: objects,
  reached: 1,
  stopped: null,
})

/** A disk, and who looks at it every millisecond; `looks` counts the questions to it. */
function world(t: ExecutionContext) {
  const here = { free: 50, waits: false, time: 0, finds: 1 as number | null, looks: 0, runs: 0 }
  const said: string[] = []
  const say = (_: unknown, text?: string) => void said.push(text ?? '')
  const end = keepRoom({
    grid: {
      usage: async () => {
        here.looks++
        return { total: 100, free: here.free }
      },
    },
    waits: () => here.waits,
    collect: async () => {
      here.runs++
      return here.finds === null ? null : found(here.finds)
    },
    log: { ...silent, info: say, warn: say },
    now: () => here.time,
    every: 1,
  })
  t.teardown(end)
  const looked = async (times = 3) => {
    for (const until = here.looks + times; here.looks < until; ) await sleep(1)
  }
  return { here, said, end, looked }
}

test('garbage is collected when less than a tenth of the disk is free, and when nothing waits', async t => {
  const { here, said, end, looked } = world(t)
  await looked()
  here.free = 10
  await looked()
  t.is(here.runs, 0)
  here.waits = true
  here.free = 9
  await sleep(20)
  t.is(here.runs, 0)
  here.waits = false
  await looked()
  t.true(here.runs >= 2)
  t.is(said[0], 'the disk is nearly full: 1 B of garbage removed')
  await end()
  const { runs } = here
  await sleep(20)
  t.is(here.runs, runs)
})

test('what found nothing is tried again after an hour', async t => {
  const { here, said, looked } = world(t)
  here.finds = 0
  here.free = 1
  await looked(1)
  await sleep(20)
  t.is(here.runs, 1)
  here.time = 60 * 60_000 - 1
  await sleep(20)
  t.is(here.runs, 1)
  here.time++
  await looked(1)
  await sleep(20)
  t.is(here.runs, 2)
  t.is(said[0], 'the disk is nearly full, and there is nothing to remove')
})

test('while a check goes on it is asked again soon', async t => {
  const { here, looked } = world(t)
  here.finds = null
  here.free = 1
  await looked()
  t.true(here.runs >= 2)
})
