// A publish over several folders is cut off at every step: what an earlier process prepared is
// ended, and the old version or the new is there, whole.

import { mkdtempSync, readdirSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { recover } from '../../src/tahoe/native/mutable/recover.ts'
import { LocalServer } from '../../src/tahoe/storage/local.ts'
import type { PreparingServer } from '../../src/tahoe/storage/server.ts'
import { collected, everything, filesOver, serversOf } from '../support/mutable-world.ts'

class Crash extends Error {}

for (const [needed, total] of [
  [1, 3],
  [2, 3],
  [3, 3],
  [3, 7],
] as const)
  test(`${needed} of ${total} on three servers, cut off before any call: old or new, and new once it began to be in place`, async t => {
    const shares = { needed, happy: 1, total }
    for (let step = 0; ; step++) {
      const servers = serversOf(3)
      const { cap } = await filesOver(servers, shares).create('SSK', Buffer.from('old'))
      let calls = 0
      let inPlace = false
      for (const server of servers)
        server.trouble = operation => {
          if (operation !== 'prepare' && operation !== 'commit') return
          if (calls++ >= step) throw new Crash()
          if (operation === 'commit') inPlace = true
        }
      const done = await filesOver(servers, shares)
        .modify(cap, () => Buffer.from('new'))
        .then(
          () => true,
          () => false,
        )
      for (const server of servers) {
        server.crashed()
        server.trouble = () => {}
      }
      await recover(servers)
      for (const server of servers) t.deepEqual(await server.left(), [])
      const files = filesOver(servers, shares)
      const found = (await collected(files.read(cap, everything))).toString()
      t.true(found === 'new' || (!inPlace && found === 'old'), `${found} after ${step} calls`)
      t.is((await files.modify(cap, old => Buffer.concat([old, Buffer.from('!')]))).toString(), `${found}!`)
      t.is((await collected(filesOver(servers).read(cap, everything))).toString(), `${found}!`)
      if (done) {
        t.is(found, 'new')
        break
      }
    }
  })

/** A server that never gets to commit. */
const halting = (server: LocalServer): PreparingServer =>
  new Proxy(server, {
    get(target, name) {
      if (name === 'prepare')
        return async (...args: Parameters<LocalServer['prepare']>) => {
          const answer = await target.prepare(...args)
          const commit = async () => {
            throw new Crash()
          }
          return answer.prepared ? { ...answer, prepared: { ...answer.prepared, commit } } : answer
        }
      const value = Reflect.get(target, name, target) as unknown
      return typeof value === 'function' ? value.bind(target) : value
    },
  })

for (const damaged of [false, true])
  test(`three folders: what was prepared and not committed is committed by the next process${damaged ? ', also beside a share that is damaged' : ''}`, async t => {
    const dir = mkdtempSync(join(tmpdir(), 'mutable-'))
    t.teardown(() => rmSync(dir, { recursive: true, force: true }))
    const open = () => Promise.all([0, 1, 2].map(i => LocalServer.open({ dir: join(dir, `disk${i}`) })))
    const shares = { needed: 2, happy: 1, total: 6 }

    let servers = await open()
    const { cap } = await filesOver(servers, shares).create('SSK', Buffer.from('old'))
    await t.throwsAsync(
      filesOver([servers[0]!, ...servers.slice(1).map(halting)], shares).modify(cap, () =>
        Buffer.from('new'),
      ),
      { code: 'EAGAIN' },
    )
    for (const server of servers) await server.close()
    if (damaged) {
      const shares = readdirSync(join(dir, 'disk1', 'storage', 'shares'), {
        recursive: true,
        withFileTypes: true,
      })
      const { parentPath, name } = shares.find(each => each.isFile())!
      truncateSync(join(parentPath, name), 0)
    }

    servers = await open()
    t.deepEqual(await recover(servers), { committed: 1, aborted: 0 })
    t.deepEqual(await recover(servers), { committed: 0, aborted: 0 })
    const files = filesOver(servers, shares)
    t.is((await collected(files.read(cap, everything))).toString(), 'new')
    t.is((await files.modify(cap, () => Buffer.from('newer'))).toString(), 'newer')
    for (const server of servers) await server.close()
  })
