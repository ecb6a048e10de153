// Results of changing calls are kept with their effect, the newest of them.

import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { State } from '../../src/vfs/state/state.ts'
import { Once } from '../../src/vfs/write/once.ts'
import { folder } from '../support/places.ts'

async function world(t: ExecutionContext) {
  const state = await State.open(join(await folder(t), 's'), 'secret')
  t.teardown(() => state.close())
  /** A call whose result is `result`; how often it was done is counted. */
  const call = async (once: Once, key: string, result: unknown) => {
    let done = 0
    const answer = await once.do(key, async kept => {
      done++
      await state.commit([...kept(result)])
      return result
    })
    return { done, answer }
  }
  return { state, call }
}

test('a result comes back as it was, bigints and absences too, from another process as well', async t => {
  const { state, call } = await world(t)
  const result = { attr: { id: 3n, mtime: -7n, name: '5n' }, replaced: null, list: [1, 'x', 2n] }
  await call(new Once(state), 'k', result)
  const { done, answer } = await call(new Once(state), 'k', 'other')
  t.is(done, 0)
  t.deepEqual(answer, result)
})

test('the oldest result makes room for the newest', async t => {
  const { state, call } = await world(t)
  const once = new Once(state)
  for (let i = 0; i < 16_385; i++) await once.do(`k${i}`, async kept => void state.commit([...kept(i)]))
  await state.commit([['setMeta', 'x', 1]])
  t.is((await call(once, 'k1', 'again')).done, 0)
  t.is((await call(once, 'k0', 'again')).done, 1)
})
