// The control socket: what a server tells and does for its owner, and what a client makes of silence.

import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import test from 'ava'
import { askControl } from '../../src/control/client.ts'
import { serveControl } from '../../src/control/server.ts'
import { folder } from '../support/places.ts'

test('status is asked, an export path is given, and the end is asked for, once the answer is out', async t => {
  const path = join(await folder(t), 'control.sock')
  const stopped = Promise.withResolvers<void>()
  const end = await serveControl(path, {
    status: () => ({ pid: 7 }),
    exportPath: () => '/x',
    stop: () => stopped.resolve(),
  })
  t.deepEqual(await askControl(path, 'GET', '/status'), { pid: 7 })
  t.deepEqual(await askControl(path, 'POST', '/export'), { path: '/x' })
  await t.throwsAsync(askControl(path, 'GET', '/export'), { message: /answered 404 to GET \/export/ })
  t.deepEqual(await askControl(path, 'POST', '/stop'), {})
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
  const path = join(await folder(t), 'control.sock')
  const fail = () => {
    throw new Error('no')
  }
  const end = await serveControl(path, { status: fail, exportPath: () => '/', stop() {} })
  t.teardown(end)
  await t.throwsAsync(askControl(path, 'GET', '/status'), { message: /answered 500/ })
  t.deepEqual(await askControl(path, 'POST', '/export'), { path: '/' })
})

test('a socket that a killed server left is taken over', async t => {
  const path = join(await folder(t), 'control.sock')
  await writeFile(path, '')
  t.is(await askControl(path, 'GET', '/status').catch(() => null), null)
  const end = await serveControl(path, { status: () => 1, exportPath: () => '/', stop() {} })
  t.teardown(end)
  t.is(await askControl(path, 'GET', '/status'), 1)
})

test('nobody there is null; what is no server of ours is an error in one line', async t => {
  const dir = await folder(t)
  await writeFile(join(dir, 'file'), '')
  for (const path of [join(dir, 'none'), join(dir, 'file/below'), join(dir, 'x'.repeat(200))])
    t.is(await askControl(path, 'GET', '/status'), null, path)
  const mute = createServer().listen(join(dir, 'mute'))
  t.teardown(() => mute.close())
  await t.throwsAsync(askControl(join(dir, 'mute'), 'GET', '/status', 50), { message: /does not answer$/ })
  const rude = createServer(socket => socket.end('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello')).listen(
    join(dir, 'rude'),
  )
  t.teardown(() => rude.close())
  await t.throwsAsync(askControl(join(dir, 'rude'), 'GET', '/status'), { message: /did not answer in JSON/ })
})
