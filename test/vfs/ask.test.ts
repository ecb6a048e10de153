import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { FsError } from '../../src/errors.ts'
import { silent } from '../../src/log.ts'
import { Asker, waitFor } from '../../src/vfs/ask.ts'

const quick = { delays: [1, 2, 3], giveUp: 10_000, memo: 60_000 }
const notNow = () => new FsError('EAGAIN', 'not now')

test('"not now" is asked again until there is an answer', async t => {
  const asker = new Asker(silent, quick)
  let tries = 0
  const answer = await asker.ask('k', 'ask', async () => {
    if (++tries < 5) throw notNow()
    return 'yes'
  })
  t.is(answer, 'yes')
  t.is(tries, 5)
  t.true(asker.reach.reachable)
  t.is(asker.reach.lastError, 'EAGAIN: not now')
})

test('any other error is an answer, and is not asked again', async t => {
  const asker = new Asker(silent, quick)
  let tries = 0
  const question = async () => {
    tries++
    throw new FsError('EACCES', 'no')
  }
  await t.throwsAsync(asker.ask('k', 'ask', question), { code: 'EACCES' })
  t.is(tries, 1)
  await t.throwsAsync(asker.ask('k', 'ask', question), { code: 'EACCES' })
  t.is(tries, 2)
  t.true(asker.reach.reachable)
})

test('one question is asked once at a time, however many wait for its answer', async t => {
  const asker = new Asker(silent, quick)
  const gate = Promise.withResolvers<number>()
  let tries = 0
  const question = () => {
    tries++
    return gate.promise
  }
  const all = Array.from({ length: 20 }, () => asker.ask('k', 'ask', question))
  gate.resolve(7)
  t.deepEqual(await Promise.all(all), Array(20).fill(7))
  t.is(tries, 1)
})

test('after the last try the answer is EIO, and stays it for a while without asking', async t => {
  const asker = new Asker(silent, { delays: [1], giveUp: 0, memo: 60_000 })
  let tries = 0
  const question = async () => {
    tries++
    throw notNow()
  }
  const error = await t.throwsAsync(asker.ask('k', 'list', question), { code: 'EIO' })
  t.is((error!.cause as FsError).code, 'EAGAIN')
  await t.throwsAsync(asker.ask('k', 'list', question), { code: 'EIO' })
  t.is(tries, 1)
  t.is(await asker.ask('another', 'list', async () => 1), 1)
})

test('when the memory of a failure is over it is asked again', async t => {
  const asker = new Asker(silent, { delays: [1], giveUp: 0, memo: 0 })
  await t.throwsAsync(
    asker.ask('k', 'list', () => Promise.reject(notNow())),
    { code: 'EIO' },
  )
  t.is(await asker.ask('k', 'list', async () => 1), 1)
})

test('whether the grid answers is said once each time it changes', async t => {
  const said: string[] = []
  const note = (_: object, what: string) => said.push(what)
  const asker = new Asker({ debug: note, info: note, warn: note, error: note } as never, quick)
  for (const ok of [true, false, false, true, true, false]) {
    await asker
      .once('k', async () => {
        if (!ok) throw notNow()
      })
      .catch(() => {})
  }
  t.deepEqual(said, ['the grid does not answer', 'the grid answers again', 'the grid does not answer'])
  t.false(asker.reach.reachable)
})

test('one question that fails while others are answered is trouble of its own, and not the grid’s', async t => {
  const said: string[] = []
  const note = (_: object, what: string) => said.push(what)
  const asker = new Asker({ debug: note, info: note, warn: note, error: note } as never, quick)
  const fails = () => asker.once('lost', () => Promise.reject(notNow())).catch(() => {})
  const answers = () => asker.once('another', async () => {})
  await fails() // it may be the grid
  for (let i = 0; i < 5; i++) {
    await answers()
    await fails()
  }
  t.true(asker.reach.reachable)
  t.is(asker.reach.troubles.length, 1)
  t.deepEqual(said, ['the grid does not answer', 'the grid answers again'])
  await asker.once('lost', async () => {})
  t.deepEqual(asker.reach.troubles, [])
})

test('an error that is an answer is told and remembered as trouble, for who asked may hear nothing of it', async t => {
  const said: string[] = []
  const note = (_: object, what: string) => said.push(what)
  const asker = new Asker({ debug: note, info: note, warn: note, error: note } as never, quick)
  const refuse = () => Promise.reject(new FsError('EACCES', 'list: refused'))
  await t.throwsAsync(asker.once('list 1', refuse), { code: 'EACCES' })
  t.true(asker.reach.reachable)
  t.deepEqual(asker.reach.troubles, ['EACCES: list: refused'])
  t.deepEqual(said, ['the grid was asked in vain'])
  await asker.once('list 1', async () => {})
  t.deepEqual(asker.reach.troubles, [])
})

test('what closing cuts off is nobody’s trouble', async t => {
  const said: string[] = []
  const note = (_: object, what: string) => said.push(what)
  const asker = new Asker({ debug: note, info: note, warn: note, error: note } as never, quick)
  const asking = asker.once('k', async signal => {
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    throw notNow()
  })
  asker.close()
  await t.throwsAsync(asking, { code: 'EAGAIN' })
  t.deepEqual(said, [])
})

test('closing ends the pauses', async t => {
  const asker = new Asker(silent, { delays: [1e6], giveUp: 1e9, memo: 0 })
  const asking = asker.ask('k', 'list', () => Promise.reject(notNow()))
  await sleep(5)
  asker.close()
  await t.throwsAsync(asking, { code: 'EIO' })
})

test('a caller out of patience leaves with EAGAIN, and the work goes on', async t => {
  const gate = Promise.withResolvers<string>()
  const one = new AbortController()
  const waiting = waitFor(gate.promise, one.signal, 'read')
  const patient = waitFor(gate.promise, new AbortController().signal, 'read')
  one.abort()
  await t.throwsAsync(waiting, { code: 'EAGAIN' })
  await t.throwsAsync(waitFor(gate.promise, one.signal, 'read'), { code: 'EAGAIN' })
  gate.resolve('bytes')
  t.is(await patient, 'bytes')
})
