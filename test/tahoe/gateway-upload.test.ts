// Uploading, against a gateway that misbehaves.

import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { encode } from '../../src/tahoe/format/base32.ts'
import { gateway } from '../../src/tahoe/gateway/gateway.ts'
import { type Asked, type Fault, faultyGateway } from '../support/faulty-gateway.ts'
import { sourceOf } from '../support/tahoe-bytes.ts'

/** Equal bytes, equal cap. */
function capOf(bytes: Buffer): string {
  const hash = createHash('sha256').update(bytes).digest()
  return `URI:CHK:${encode(hash.subarray(0, 16))}:${encode(hash)}:3:10:${bytes.length}`
}

type Answer = (
  asked: Asked,
  body: Buffer,
) => { status: number; text: string } | Promise<{ status: number; text: string }>
const stored: Answer = (_, body) => ({ status: 200, text: capOf(body) })

async function over(
  t: ExecutionContext,
  answer: Answer = stored,
  fault: (asked: Asked) => Fault | null = () => null,
) {
  const node = await faultyGateway({ answer, fault })
  const grid = gateway(node.url, { pulseMs: 50, firstByteMs: 300 })
  t.teardown(async () => {
    await grid.close()
    await node.close()
  })
  return { node, grid, puts: () => node.asked.filter(one => one.method === 'PUT') }
}

const digestOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

const until = async (what: () => boolean) => {
  for (let i = 0; i < 1000 && !what(); i++) await sleep(5)
}

test('an upload sends the bytes with their length, hears progress, and gives the cap', async t => {
  let came: Buffer | null = null
  const { grid, node } = await over(t, (asked, body) => {
    if (asked.method === 'PUT') came = body
    return stored(asked, body)
  })
  const bytes = randomBytes(300_000)
  const heard: number[] = []
  const cap = await grid.upload(sourceOf(bytes), { onProgress: n => heard.push(n) })
  t.is(cap.uri(), capOf(bytes))
  t.true(bytes.equals(came!))
  t.is(heard.at(-1), bytes.length)
  t.deepEqual(
    heard,
    [...heard].sort((a, b) => a - b),
  )
  t.is(node.asked[0]!.path, '/uri')
  t.is(node.asked[0]!.headers['content-length'], '300000')
})

test('at most 55 bytes are their own cap, with no request', async t => {
  const { grid, node } = await over(t)
  for (const length of [0, 1, 55]) {
    const bytes = randomBytes(length)
    const cap = await grid.upload(sourceOf(bytes, 7))
    t.is(cap.kind, 'LIT')
    t.deepEqual(cap.data(), bytes)
  }
  t.is(node.asked.length, 0)
  t.is((await grid.upload(sourceOf(randomBytes(56)))).kind, 'CHK')
})

test('equal content asked for at the same time is sent once; other content is not held up', async t => {
  const { grid, puts } = await over(t, stored, () => ({ delay: 100 }))
  const [a, b] = [randomBytes(1000), randomBytes(1000)]
  const caps = await Promise.all([a, a, b, a, a, b].map(bytes => grid.upload(sourceOf(Buffer.from(bytes)))))
  t.deepEqual(
    caps.map(cap => cap.uri()),
    [a, a, b, a, a, b].map(capOf),
  )
  t.is(puts().length, 2)
  await grid.upload(sourceOf(a))
  t.is(puts().length, 3, 'afterwards only the grid knows whether it still has it')
})

test('one who gives up does not disturb the others who wait for the same upload', async t => {
  const gate = Promise.withResolvers<void>()
  const { grid, puts } = await over(t, async (asked, body) => {
    if (asked.method === 'PUT') await gate.promise
    return stored(asked, body)
  })
  const bytes = randomBytes(1000)
  const stop = new AbortController()
  const first = grid.upload(sourceOf(bytes), { signal: stop.signal })
  await until(() => puts().length === 1)
  const second = grid.upload(sourceOf(bytes))
  await sleep(20)
  stop.abort()
  await t.throwsAsync(first, { code: 'EAGAIN' })
  gate.resolve()
  t.is((await second).uri(), capOf(bytes))
  t.is(puts().length, 1)
})

test('when all give up the request ends, and who comes later starts anew', async t => {
  let hang = true
  const { grid, node, puts } = await over(t, stored, one =>
    hang && one.method === 'PUT' ? { hang: 'before headers' } : null,
  )
  const bytes = randomBytes(1000)
  const stop = new AbortController()
  const waiting = [1, 2].map(() => grid.upload(sourceOf(bytes), { signal: stop.signal }))
  await until(() => puts().length === 1)
  stop.abort()
  for (const one of waiting) await t.throwsAsync(one, { code: 'EAGAIN' })
  hang = false
  t.is((await grid.upload(sourceOf(bytes))).uri(), capOf(bytes))
  t.is(puts().length, 2)
  await until(() => node.open() <= 1)
  t.true(node.open() <= 1, 'the first connection is gone')
})

test('a source that changes, ends early, goes on too long or fails is an error of its own, and no cap', async t => {
  const { grid } = await over(t)
  let opened = 0
  const changing = {
    size: 100,
    async *open() {
      yield Buffer.alloc(100, opened++)
    },
  }
  await t.throwsAsync(grid.upload(changing), { code: 'EIO' })
  for (const length of [99, 101, 0]) {
    await t.throwsAsync(grid.upload({ ...sourceOf(Buffer.alloc(length)), size: 100 }), { code: 'EIO' })
  }
  await t.throwsAsync(grid.upload({ ...sourceOf(Buffer.alloc(5)), size: 4 }), { code: 'EIO' })
  const boom = new Error('the disk under the source')
  let second = false
  const failing = {
    size: 200_000,
    async *open() {
      yield Buffer.alloc(100_000)
      if (second) throw boom
      second = true
      yield Buffer.alloc(100_000)
    },
  }
  t.is(await t.throwsAsync(grid.upload(failing)), boom)
})

test('a source that knows its digest is opened once, and joins those that do not', async t => {
  const { grid, puts } = await over(t, stored, () => ({ delay: 100 }))
  const bytes = randomBytes(1000)
  let opened = 0
  const source = sourceOf(bytes)
  const knowing = {
    size: bytes.length,
    digest: digestOf(bytes),
    open() {
      opened++
      return source.open()
    },
  }
  const caps = await Promise.all([grid.upload(knowing), grid.upload(source)])
  t.deepEqual(
    caps.map(cap => cap.uri()),
    [bytes, bytes].map(capOf),
  )
  t.is(opened, 1)
  t.is(puts().length, 1)
})

test('a source that is not what its digest says is EIO, and no cap', async t => {
  const { grid } = await over(t)
  const wrong = { ...sourceOf(randomBytes(1000)), digest: digestOf(randomBytes(1000)) }
  await t.throwsAsync(grid.upload(wrong), { code: 'EIO' })
})

test('at most four uploads are under way at once', async t => {
  let now = 0
  let most = 0
  const { grid } = await over(t, async (asked, body) => {
    if (asked.method !== 'PUT') return { status: 200, text: '{}' }
    most = Math.max(most, ++now)
    await sleep(20)
    now -= 1
    return stored(asked, body)
  })
  await Promise.all(Array.from({ length: 12 }, () => grid.upload(sourceOf(randomBytes(500)))))
  t.is(most, 4)
})

test('a node that works long in silence is waited for as long as it lives', async t => {
  const { grid, node } = await over(t, async (asked, body) => {
    if (asked.method !== 'PUT') return { status: 200, text: '{"servers":[]}' }
    await sleep(1500)
    return stored(asked, body)
  })
  const bytes = randomBytes(1000)
  t.is((await grid.upload(sourceOf(bytes))).uri(), capOf(bytes))
  t.true(node.asked.length > 3, 'it was asked whether it lives')
})

test('a node that falls silent altogether over an upload is noticed', async t => {
  const { grid } = await over(t, stored, () => ({ hang: 'before headers' }))
  const err = await t.throwsAsync(grid.upload(sourceOf(randomBytes(1000))), { code: 'EAGAIN' })
  t.is(err?.message, 'EAGAIN: upload 1000 bytes: the node died over it')
})

test('an upload whose answer is lost is EAGAIN, and asking again gives the cap', async t => {
  const { grid } = await over(t, stored, ({ number }) => (number === 0 ? { answer: 'lost' } : null))
  const bytes = randomBytes(1000)
  await t.throwsAsync(grid.upload(sourceOf(bytes)), { code: 'EAGAIN' })
  t.is((await grid.upload(sourceOf(bytes))).uri(), capOf(bytes))
})

const unhappy =
  'allmydata.interfaces.UploadUnhappinessError: shares could be placed or found on only 0 server(s).'
const refusals: [string, number, string, string][] = [
  ['servers that are full are ENOSPC', 500, `${unhappy} placed none due to the server being full`, 'ENOSPC'],
  ['too few servers are EAGAIN', 500, unhappy, 'EAGAIN'],
  ['any other failure of the node is EAGAIN', 500, '<html>Traceback</html>', 'EAGAIN'],
  ['a file too large is EFBIG', 413, 'This file is too large to be uploaded', 'EFBIG'],
  ['a refusal is EACCES', 403, 'no', 'EACCES'],
  ['an answer that is no cap is EAGAIN', 200, '<html>welcome</html>', 'EAGAIN'],
  ['the cap of something else is EAGAIN', 200, capOf(Buffer.alloc(999)), 'EAGAIN'],
  [
    'a cap that can write is EAGAIN',
    200,
    'URI:SSK:nhjhekltysg4cqgavc35ngr6ea:comvbfdzxsfnllbeyu4fqvygbxf22yn6rgfveytj5jvowhrlmq5q',
    'EAGAIN',
  ],
]
for (const [title, status, text, code] of refusals) {
  test(`uploading, ${title}, and nothing of the node's text is repeated`, async t => {
    const { grid } = await over(t, () => ({ status, text: `${text} URI:CHK:secret` }))
    const err = await t.throwsAsync(grid.upload(sourceOf(randomBytes(1000))), { code })
    t.false(err!.message.includes('URI:'))
  })
}
