// Content that is stored again: what is damaged of it by then is made good, and never taken for there.

import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { silent } from '../../src/log.ts'
import { Downloads } from '../../src/tahoe/native/immutable/download.ts'
import { Uploads } from '../../src/tahoe/native/immutable/upload.ts'
import { Secrets } from '../../src/tahoe/native/secrets.ts'
import { LocalServer } from '../../src/tahoe/storage/local.ts'
import { Folders } from '../support/folders.ts'
import { goldenNode } from '../support/golden.ts'
import { collected, everything, filesOver } from '../support/mutable-world.ts'
import { bytesOf, sourceOf } from '../support/tahoe-bytes.ts'

const secrets = new Secrets(goldenNode.convergence, goldenNode.leaseSecret)
const content = Buffer.alloc(3_000_001, 'content of some length. ')

const harms: Record<string, (file: string) => Promise<void>> = {
  'is empty': file => truncate(file, 0),
  'ends too early': file => truncate(file, 1000),
  'has other bytes': async file => {
    const bytes = await readFile(file)
    bytes[bytes.length >> 1]! ^= 1
    await writeFile(file, bytes)
  },
}

for (const [needed, total] of [
  [1, 1],
  [2, 3],
] as const)
  for (const [how, harm] of Object.entries(harms))
    for (const wasRead of [false, true])
      test(`a share of ${needed} of ${total} that ${how}${wasRead ? ', as a reader found,' : ''} is made good by the next upload`, async t => {
        const folders = await Folders.open(t, total)
        const { servers } = folders
        const uploads = new Uploads({
          serversFor: () => servers,
          secrets,
          shares: { needed, happy: total, total },
          log: silent,
        })
        t.teardown(() => uploads.close())
        const cap = await uploads.upload(sourceOf(content))
        const whole = (downloads: Downloads) =>
          bytesOf(downloads.read(cap, { start: 0, end: content.length }))
        const kept = new Downloads(() => servers, silent)
        if (wasRead) await whole(kept)
        for (const file of await folders.shares()) await harm(file)
        if (wasRead) await t.throwsAsync(whole(kept))
        t.is((await uploads.upload(sourceOf(content))).uri(), cap.uri())
        for (const downloads of [new Downloads(() => servers, silent), kept])
          t.true((await whole(downloads)).equals(content))
      })

test('after the thread that encodes has died, the next upload has another', async t => {
  const { servers } = await Folders.open(t, 1)
  const uploads = new Uploads({
    serversFor: () => servers,
    secrets,
    shares: { needed: 1, happy: 1, total: 1 },
    log: silent,
  })
  t.teardown(() => uploads.close())
  await uploads.upload(sourceOf(content))
  await uploads.close()
  const cap = await uploads.upload(sourceOf(Buffer.concat([content, content])))
  t.is(cap.contentSize, 2 * content.length)
})

test('a mutable file of which one folder has several shares is written though some of them are damaged', async t => {
  const folders = await Folders.open(t, 1)
  const files = filesOver(folders.servers, { needed: 3, happy: 1, total: 10 })
  const { cap } = await files.create('SSK', Buffer.from('old'))
  await Promise.all((await folders.shares()).slice(2, 6).map(file => truncate(file, 100)))
  await folders.close()
  const server = await LocalServer.open({ dir: join(folders.dir, '0') })
  t.teardown(() => server.close())
  const later = filesOver([server])
  t.is((await collected(later.read(cap, everything))).toString(), 'old')
  await later.modify(cap, () => Buffer.from('new'))
  t.is((await collected(filesOver([server]).read(cap, everything))).toString(), 'new')
  for await (const { shares } of server.slots())
    t.deepEqual(new Set([...shares.values()].map(({ kind }) => kind)), new Set(['mutable']))
})
