// The control socket: what a server tells and does for its owner, and what a client makes of silence.

import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { askControl } from '../../src/control/client.ts'
import { followControl, NoAnswer } from '../../src/control/follow.ts'
import { type Routes, serveControl } from '../../src/control/server.ts'
import { FsError } from '../../src/errors.ts'
import { folder } from '../support/places.ts'

const routes: Routes = {
  status: () => ({ pid: 7 }),
  exportPath: () => '/x',
  flush: async () => ({}),
  async *check() {},
  stop() {},
}

/** A control socket whose server does what is given, and the end of that. */
async function serving(t: ExecutionContext, given: Partial<Routes> = {}) {
  const path = join(await folder(t), 'control.sock')
  const end = await serveControl(path, { ...routes, ...given })
  t.teardown(end)
  return { path, end }
}

test('status is asked, an export path is given, and the end is asked for, once the answer is out', async t => {
  const stopped = Promise.withResolvers<void>()
  const { path, end } = await serving(t, { stop: () => stopped.resolve() })
  t.deepEqual(await askControl(path, 'GET', '/status'), { pid: 7 })
  t.deepEqual(await askControl(path, 'POST', '/export'), { path: '/x' })
  await t.throwsAsync(askControl(path, 'GET', '/export'), { message: /answered 404 to GET \/export/ })
  t.deepEqual(await askControl(path, 'POST', '/stop'), { pid: 7 }) // the last status
  await stopped.promise
  const idle = connect(path)
  await new Promise(resolve => idle.once('connect', resolve))
  const dropped = new Promise(resolve => idle.once('close', resolve))
  await end()
  await dropped // who says nothing does not hold up the end
  t.false(existsSync(path))
  t.is(await askControl(path, 'GET', '/status'), null)
})

test('a status that fails is an answer, and the server goes on', async t => {
  const fail = () => {
    throw new Error('no')
  }
  const { path } = await serving(t, { status: fail })
  await t.throwsAsync(askControl(path, 'GET', '/status'), { message: /answered 500 to GET \/status: no$/ })
  t.deepEqual(await askControl(path, 'POST', '/export'), { path: '/x' })
})

test('a socket that a killed server left is taken over', async t => {
  const path = join(await folder(t), 'control.sock')
  await writeFile(path, '')
  t.is(await askControl(path, 'GET', '/status').catch(() => null), null)
  t.teardown(await serveControl(path, routes))
  t.deepEqual(await askControl(path, 'GET', '/status'), { pid: 7 })
})

test('a flush says what it is of and whether it is waited for; another method is no flush', async t => {
  const asked: unknown[] = []
  const { path } = await serving(t, {
    flush: async (below, wait, { aborted }) => asked.push([below, wait, aborted]),
  })
  for (const query of ['', '?', '?wait=no', '?wait=yes', '?path=%2Fa%2Fb%20%26%3F%C3%A9&wait=yes', '?path='])
    await askControl(path, 'POST', `/flush${query}`)
  t.deepEqual(asked, [
    [null, false, false],
    [null, false, false],
    [null, false, false],
    [null, true, false],
    ['/a/b &?é', true, false],
    ['', false, false],
  ])
  await t.throwsAsync(askControl(path, 'GET', '/flush?path=/secret'), {
    message: /404 to GET \/flush: no such/,
  })
  t.is(asked.length, 6)
})

test('a flush that is waited for is answered when it is done, and status meanwhile', async t => {
  const done = Promise.withResolvers<unknown>()
  const { path } = await serving(t, { flush: () => done.promise })
  let answered = false
  const flushed = askControl(path, 'POST', '/flush?wait=yes', { timeoutMs: 0 }).finally(
    () => (answered = true),
  )
  t.deepEqual(await askControl(path, 'GET', '/status'), { pid: 7 })
  t.false(answered)
  done.resolve({ pid: 7, pending: 0 })
  t.deepEqual(await flushed, { pid: 7, pending: 0 })
})

test('what the file system refuses comes back as its error, anything else with its status', async t => {
  const errors = [
    new FsError('ENOENT', 'nothing is at /x'),
    new FsError('EIO', 'the disk is full'),
    new Error('oh'),
  ]
  const { path } = await serving(t, { flush: () => Promise.reject(errors.shift()) })
  const flush = () => askControl(path, 'POST', '/flush?path=%2Fx')
  await t.throwsAsync(flush(), { instanceOf: FsError, code: 'ENOENT', message: 'ENOENT: nothing is at /x' })
  await t.throwsAsync(flush(), { instanceOf: FsError, code: 'EIO' })
  const err = await t.throwsAsync(flush(), { message: /answered 500 to POST \/flush: oh$/ })
  t.false(err instanceof FsError)
})

test('who waits for a flush no longer ends only the wait, and the server hears of it', async t => {
  const signals: AbortSignal[] = []
  const begun = Promise.withResolvers<void>()
  const left = Promise.withResolvers<void>()
  const { path } = await serving(t, {
    flush: (_, __, signal) => {
      signals.push(signal)
      signal.addEventListener('abort', () => left.resolve())
      begun.resolve()
      return left.promise.then(() => Promise.reject(new FsError('EAGAIN', 'flush: still waiting')))
    },
  })
  const patience = new AbortController()
  const asking = askControl(path, 'POST', '/flush?wait=yes', { timeoutMs: 0, signal: patience.signal })
  await begun.promise
  t.false(signals[0]!.aborted)
  patience.abort()
  await t.throwsAsync(asking, { message: /cannot be asked/ })
  await left.promise
  t.deepEqual(await askControl(path, 'GET', '/status'), { pid: 7 })
})

test('sixteen may wait for the grid, one more is told so, and when one has left another may', async t => {
  let waiting = 0
  const { path } = await serving(t, {
    flush: (_, wait, signal) => {
      if (!wait) return Promise.resolve('at once')
      waiting++
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('left'))))
    },
  })
  const wait = () => {
    const patience = new AbortController()
    const asked = askControl(path, 'POST', '/flush?wait=yes', { timeoutMs: 0, signal: patience.signal })
    asked.catch(() => {})
    return { patience, asked }
  }
  const waits = Array.from({ length: 16 }, wait)
  while (waiting < 16) await sleep(5)
  await t.throwsAsync(wait().asked, { message: /answered 503 to POST \/flush: too many wait/ })
  t.is(await askControl(path, 'POST', '/flush'), 'at once')
  waits[0]!.patience.abort()
  for (let tries = 0; waiting < 17; tries++) {
    t.true(tries < 100)
    waits.push(wait())
    await sleep(10)
  }
  t.is(waiting, 17)
  for (const { patience } of waits) patience.abort()
})

test('a server that ends while somebody waits says so in one line', async t => {
  const begun = Promise.withResolvers<void>()
  const { path, end } = await serving(t, {
    flush: () => {
      begun.resolve()
      return new Promise(() => {})
    },
  })
  const asked = askControl(path, 'POST', '/flush?wait=yes', { timeoutMs: 0 })
  await begun.promise
  await Promise.all([t.throwsAsync(asked, { message: /control\.sock ended before it answered$/ }), end()])
})

test('an address that is far too long, and what is no HTTP, are refused, and the server goes on', async t => {
  const { path } = await serving(t)
  await t.throwsAsync(askControl(path, 'POST', `/flush?path=${'x'.repeat(40_000)}`), {
    message: /answered 431|ended/,
  })
  const socket = connect(path)
  socket.end('hello\r\n\r\n')
  await new Promise(resolve => socket.resume().once('close', resolve))
  t.deepEqual(await askControl(path, 'GET', '/status'), { pid: 7 })
})

test('a body that nobody asked for is not kept', async t => {
  const { path } = await serving(t)
  const asking = request({ socketPath: path, method: 'POST', path: '/export' })
  const answered = new Promise<number | undefined>(resolve =>
    asking.once('response', r => resolve(r.statusCode)),
  )
  asking.on('error', () => {})
  asking.end(Buffer.alloc(100_000))
  t.is(await answered, 200)
})

test('nobody there is null; what is no server of ours is an error in one line', async t => {
  const dir = await folder(t)
  await writeFile(join(dir, 'file'), '')
  for (const path of [join(dir, 'none'), join(dir, 'file/below'), join(dir, 'x'.repeat(200))])
    t.is(await askControl(path, 'GET', '/status'), null, path)
  const mute = createServer().listen(join(dir, 'mute'))
  t.teardown(() => mute.close())
  await t.throwsAsync(askControl(join(dir, 'mute'), 'GET', '/status', { timeoutMs: 50 }), {
    message: /does not answer$/,
  })
  const rude = createServer(socket => socket.end('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello')).listen(
    join(dir, 'rude'),
  )
  t.teardown(() => rude.close())
  await t.throwsAsync(askControl(join(dir, 'rude'), 'GET', '/status'), { message: /did not answer in JSON/ })
})

test('an answer in lines comes as they come, and its end is told from a server that ended', async t => {
  const asked: unknown[] = []
  const goOn = Promise.withResolvers<void>()
  const gone = Promise.withResolvers<void>()
  const given: Partial<Routes> = {
    async *check(wish, signal) {
      asked.push(wish)
      signal.addEventListener('abort', () => gone.resolve())
      yield { n: 1 }
      if (!wish.gc) await goOn.promise
      if (wish.repair) throw new FsError('EAGAIN', 'not now')
      yield { n: 2 }
      if (wish.gc) await new Promise(() => {})
    },
  }
  const { path, end } = await serving(t, given)
  const lines = followControl(path, '/check')
  t.deepEqual((await lines.next()).value, { n: 1 })
  goOn.resolve()
  t.deepEqual((await lines.next()).value, { n: 2 })
  t.true((await lines.next()).done)
  const refused = followControl(path, '/check?repair=yes')
  t.deepEqual((await refused.next()).value, { n: 1 })
  await t.throwsAsync(refused.next(), { code: 'EAGAIN', message: 'EAGAIN: not now' })
  const left = followControl(path, '/check?gc=yes')
  await left.next()
  await left.return() // nobody listens any more
  await gone.promise
  const cut = followControl(path, '/check?gc=yes')
  await cut.next()
  await cut.next()
  const over = t.throwsAsync(cut.next(), { instanceOf: NoAnswer, message: /ended before its answer did$/ })
  await end()
  await over
  await t.throwsAsync(followControl(path, '/check').next(), {
    instanceOf: NoAnswer,
    message: /cannot be asked/,
  })
  t.deepEqual(asked.slice(0, 2), [
    { repair: false, gc: false },
    { repair: true, gc: false },
  ])
})
