// The same folder of shares in turn: a real Tahoe node makes mutable files, we read and change
// them and make others, and the node reads and changes those.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { type Cap, parseCap } from '../../src/tahoe/cap.ts'
import { generateKey } from '../../src/tahoe/format/ssk-keys.ts'
import { LocalServer } from '../../src/tahoe/storage/local.ts'
import { plaintext } from '../support/golden-mutables.ts'
import { collected, everything, filesOver } from '../support/mutable-world.ts'
import { startTahoe, whyNoTahoe } from '../support/tahoe-node.ts'

const why = whyNoTahoe()
const run = why === null || process.env.CI === 'true' ? test : test.skip
const reason = why === null ? '' : ` (${why})`

const sizes = [0, 1, 55, 56, 3000, 131_071, 131_072, 131_073, 300_000]

run(`real node: mutable files go back and forth between a Tahoe node and us${reason}`, async t => {
  t.timeout(180_000)
  if (why !== null) throw new Error(why)
  const dir = await mkdtemp(join(tmpdir(), 'mutable-node-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const home = join(dir, 'node')

  const withNode = async <T>(
    work: (ask: (method: string, path: string, body?: Uint8Array) => Promise<Buffer>) => Promise<T>,
  ): Promise<T> => {
    const node = await startTahoe(home)
    try {
      return await work(async (method, path, body) => {
        const init = body === undefined ? { method } : { method, body: new Uint8Array(body) }
        const answer = await fetch(node.url + path, init)
        const bytes = Buffer.from(await answer.arrayBuffer())
        if (!answer.ok)
          throw new Error(
            `${method} answered ${answer.status}: ${bytes
              .toString()
              .replace(/<[^>]*>|\s+/g, ' ')
              .slice(-3000)} ${path} ${body?.length}`,
          )
        return bytes
      })
    } finally {
      await node.stop()
    }
  }
  const path = (cap: Cap) => `uri/${encodeURIComponent(cap.uri())}`

  // The node makes them.
  const theirs: { cap: Cap; content: Buffer }[] = []
  await withNode(async ask => {
    for (const format of ['SDMF', 'MDMF'])
      for (const size of sizes) {
        const content = plaintext(`theirs ${format}`, size)
        const cap = parseCap((await ask('PUT', `uri?format=${format}`, content)).toString())
        theirs.push({ cap, content })
      }
  })

  // We read and change them, and make ours, in other numbers of shares too.
  const ours: { cap: Cap; content: Buffer; total: number }[] = []
  const server = await LocalServer.open({ dir: home })
  const files = filesOver([server])
  for (const each of theirs) {
    t.is((await collected(files.read(each.cap.readonly(), everything))).compare(each.content), 0)
    each.content = await files.modify(each.cap, old => Buffer.concat([old.subarray(1), Buffer.from('ours')]))
  }
  for (const [needed, total] of [
    [1, 1],
    [3, 10],
  ] as const) {
    for (const kind of ['SSK', 'MDMF'] as const)
      for (const [i, size] of sizes.entries()) {
        if (needed === 3 && i % 2 === 1) continue
        const content = plaintext(`ours ${kind}`, size)
        const own = filesOver([server], { needed, happy: 1, total }, { take: generateKey })
        ours.push({ cap: (await own.create(kind, content)).cap, content, total })
      }
  }
  await server.close()

  // The node reads them all, replaces some, and changes some in place.
  await withNode(async ask => {
    for (const each of [...theirs, ...ours]) {
      t.is(
        (await ask('GET', path(each.cap.readonly()))).compare(each.content),
        0,
        `${each.cap} ${each.content.length}`,
      )
      // A node whose own numbers are others fails to replace them: it takes its own for those of the file.
      if ('total' in each && each.total !== 1) continue
      if (each.cap.kind === 'MDMF' && each.content.length > 0) {
        const offset = Math.floor(each.content.length / 2)
        const piece = plaintext('piece', 2000)
        await ask('PUT', `${path(each.cap)}?offset=${offset}`, piece)
        const grown = Buffer.alloc(Math.max(each.content.length, offset + piece.length))
        each.content.copy(grown)
        piece.copy(grown, offset)
        each.content = grown
      } else {
        each.content = plaintext('replaced', each.content.length + 1)
        await ask('PUT', path(each.cap), each.content)
      }
    }
  })

  const again = await LocalServer.open({ dir: home })
  t.teardown(() => again.close())
  const reader = filesOver([again])
  for (const { cap, content } of [...theirs, ...ours])
    t.is(
      (await collected(reader.read(cap.readonly(), everything))).compare(content),
      0,
      `${cap} ${content.length}`,
    )
})
