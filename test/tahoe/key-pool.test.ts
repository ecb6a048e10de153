// Keys made ahead are there at once, and nobody gets one twice.

import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import type { SigningKey } from '../../src/tahoe/format/ssk-keys.ts'
import { KeyPool, MAKING } from '../../src/tahoe/native/keys.ts'

test('a pool fills up one after another, gives each key once, and makes no more when it is closed', async t => {
  let made = 0
  let at = 0
  const make = async () => {
    t.is(at, 0)
    at++
    await sleep(1)
    at--
    return { made: made++ } as unknown as SigningKey
  }
  const pool = new KeyPool(3, make)
  while (pool.ready < 3) await sleep(5)
  await sleep(20)
  t.is(made, 3)
  const taken = [await pool.take(), await pool.take()]
  while (pool.ready < 3) await sleep(5)
  taken.push(await pool.take())
  t.is(new Set(taken).size, 3)
  pool.close()
  t.is(pool.ready, 0)
  await sleep(20)
  const before = made
  t.truthy(await pool.take())
  await sleep(20)
  t.is(made, before + 1)
  t.is(pool.ready, 0)
})

test('where many wait for keys, only some are made at a time, and each gets its own', async t => {
  let made = 0
  let at = 0
  const make = async () => {
    t.true(++at <= MAKING)
    await sleep(1)
    at--
    return { made: made++ } as unknown as SigningKey
  }
  const pool = new KeyPool(0, make)
  const keys = await Promise.all(Array.from({ length: 20 }, () => pool.take()))
  t.is(new Set(keys).size, 20)
})
