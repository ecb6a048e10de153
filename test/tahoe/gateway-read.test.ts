// Reading, against a gateway that misbehaves.

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { FsError } from '../../src/errors.ts'
import { type Cap, litCap, parseCap } from '../../src/tahoe/cap.ts'
import { type GatewayOptions, gateway } from '../../src/tahoe/gateway/gateway.ts'
import { suspect } from '../../src/tahoe/gateway/read.ts'
import type { Grid } from '../../src/tahoe/grid.ts'
import { type Asked, type Fault, type FaultyGateway, faultyGateway } from '../support/faulty-gateway.ts'
import { bytesOf, drain } from '../support/tahoe-bytes.ts'

const TEXT = Buffer.from('problem during download\n')
const secret = 'nhjhekltysg4cqgavc35ngr6ea'
const chk = (size: number): Cap =>
  parseCap(`URI:CHK:${secret}:comvbfdzxsfnllbeyu4fqvygbxf22yn6rgfveytj5jvowhrlmq5q:3:10:${size}`)
const all = { start: 0, end: Number.POSITIVE_INFINITY }

type Stand = { grid: Grid; node: FaultyGateway; cap: Cap }

async function over(
  t: ExecutionContext,
  file: Buffer,
  fault: (asked: Asked) => Fault | null = () => null,
  options: GatewayOptions = {},
): Promise<Stand> {
  const node = await faultyGateway({ file, fault })
  const grid = gateway(node.url, { stallMs: 300, firstByteMs: 300, ...options })
  t.teardown(async () => {
    await grid.close()
    await node.close()
  })
  return { grid, node, cap: chk(file.length) }
}

/** Everything handed over is the beginning of the file; and it was EAGAIN that ended it. */
function cleanFailure(t: ExecutionContext, file: Buffer, { got, err }: { got: Buffer; err: unknown }): void {
  t.true(file.subarray(0, got.length).equals(got), 'every byte handed over was right')
  t.true(err instanceof FsError && err.code === 'EAGAIN', String(err))
  t.false(String(err).includes(secret))
}

test('a range is asked for by cap with both ends, no encoding, and a connection of its own', async t => {
  const file = randomBytes(1000)
  const { grid, node, cap } = await over(t, file)
  t.deepEqual(await bytesOf(grid.read(cap, { start: 10, end: 5000 })), file.subarray(10))
  const [asked] = node.asked
  t.is(asked!.path, `/uri/${encodeURIComponent(cap.uri())}`)
  t.is(asked!.headers.range, 'bytes=10-999')
  t.is(asked!.headers.connection, 'close')
  t.is(asked!.headers['accept-encoding'], 'identity')
})

test('nothing is asked for where nothing is: an empty range, an empty file, a LIT', async t => {
  const { grid, node } = await over(t, Buffer.from('x'))
  t.is((await bytesOf(grid.read(chk(1000), { start: 1000, end: 2000 }))).length, 0)
  t.is((await bytesOf(grid.read(chk(1000), { start: 5, end: 5 }))).length, 0)
  t.is((await bytesOf(grid.read(chk(0), all))).length, 0)
  const lit = litCap(Buffer.from('hello world'))
  t.is((await bytesOf(grid.read(lit, all))).toString(), 'hello world')
  t.is((await bytesOf(grid.read(lit, { start: 6, end: 9 }))).toString(), 'wor')
  t.is(node.asked.length, 0)
})

test('what has no content to read is EINVAL without asking', async t => {
  const { grid, node, cap } = await over(t, Buffer.from('x'))
  const dir = parseCap(cap.uri().replace('CHK', 'DIR2-CHK'))
  for (const it of [dir, cap.verify()!, parseCap('URI:FUTURE:x')]) {
    await t.throwsAsync(bytesOf(grid.read(it, all)), { code: 'EINVAL' })
  }
  await t.throwsAsync(bytesOf(grid.read(cap, { start: -1, end: 5 })), { code: 'EINVAL' })
  await t.throwsAsync(bytesOf(grid.read(cap, { start: 0.5, end: 5 })), { code: 'EINVAL' })
  t.is(node.asked.length, 0)
})

test('error text inside the data is never taken for data, wherever a bad segment begins', async t => {
  // Content that itself looks like the text, so that doubt falls on good bytes too.
  const file = Buffer.concat([
    randomBytes(30),
    TEXT.subarray(0, 10),
    randomBytes(5),
    TEXT,
    TEXT.subarray(0, 7),
  ])
  let bad = 0
  const { grid, cap } = await over(t, file, ({ range }) => (range === null ? null : { badSegmentAt: bad }))
  for (bad = 0; bad < file.length; bad++) cleanFailure(t, file, await drain(grid.read(cap, all)))
  bad = file.length // all is well
  t.deepEqual(await bytesOf(grid.read(cap, all)), file)
})

test('error text on a connection that stays open is seen by the stall timer', async t => {
  const file = randomBytes(5000)
  const { grid, cap } = await over(t, file, () => ({ badSegmentAt: 2000, keepAlive: true }))
  cleanFailure(t, file, await drain(grid.read(cap, all)))
})

test('content that ends like the error text begins is read again from there, and comes whole', async t => {
  for (let length = 1; length <= TEXT.length; length++) {
    const file = Buffer.concat([Buffer.alloc(100, 'x'), TEXT.subarray(0, length)])
    const { grid, node, cap } = await over(t, file)
    t.deepEqual(await bytesOf(grid.read(cap, all)), file)
    t.deepEqual(
      node.asked.map(a => a.headers.range),
      ['bytes=0-' + (99 + length), `bytes=100-${99 + length}`],
    )
  }
})

test('a file that is nothing but the error text, or a part of it, can be read', async t => {
  for (let length = 1; length <= TEXT.length; length++) {
    const file = TEXT.subarray(0, length)
    const { grid, cap } = await over(t, file)
    t.deepEqual(await bytesOf(grid.read(cap, all)), file)
  }
})

test('the tail that is suspected is exactly what the text could have written', t => {
  for (let length = 1; length <= 24; length++) {
    t.is(suspect(Buffer.concat([Buffer.alloc(24 - length, 'z'), TEXT.subarray(0, length)])), length)
  }
  for (const tail of ['', 'x', 'problem during downloads', 'rob', 'p!', 'problem during download\n!']) {
    t.is(suspect(Buffer.from(tail)), 0, tail)
  }
})

const ends = ['bad segment', 'short', 'reset'] as const
const fault = (how: (typeof ends)[number] | 'hang', at: number): Fault => {
  if (how === 'bad segment') return { badSegmentAt: at }
  if (how === 'short') return { short: at }
  return how === 'reset' ? { reset: at } : { hang: 'in the body', at }
}

test('whatever breaks off wherever, no wrong byte is handed over', async t => {
  t.timeout(120_000)
  // Bytes of the text's own letters make doubtful tails likely.
  const letters = fc.constantFrom(...TEXT)
  const bytes = fc.array(letters, { minLength: 1, maxLength: 80 }).map(list => Buffer.from(list))
  const tail = fc.nat({ max: 24 }).map(n => TEXT.subarray(0, n))
  const files = fc.tuple(bytes, tail).map(parts => Buffer.concat(parts))
  let file: Buffer = Buffer.alloc(0)
  let plan: (asked: Asked) => Fault | null = () => null
  const node = await faultyGateway({
    get file() {
      return file
    },
    fault: asked => plan(asked),
  })
  const grid = gateway(node.url, { firstByteMs: 5000 })
  t.teardown(async () => {
    await grid.close()
    await node.close()
  })
  const property = fc.asyncProperty(
    files,
    fc.constantFrom(...ends),
    fc.nat(),
    fc.nat(),
    fc.nat(),
    async (given, how, a, b, c) => {
      file = given
      const start = a % file.length
      const end = start + 1 + (b % (file.length - start))
      // A node's segments lie in the file; what else breaks, breaks in the answer.
      const at = how === 'bad segment' ? c % (file.length + 1) : c % (end - start)
      let struck = false
      plan = () => {
        if (how !== 'bad segment' && struck) return null // such faults pass; a bad segment stays bad
        struck = true
        return fault(how, at)
      }
      const { got, err } = await drain(grid.read(chk(file.length), { start, end }))
      const right = file.subarray(start, end)
      if (!right.subarray(0, got.length).equals(got)) return false
      const hit = how !== 'bad segment' || (at >= start && at < end)
      return hit ? err instanceof FsError && err.code === 'EAGAIN' : err === null && got.equals(right)
    },
  )
  await fc.assert(property, { numRuns: 400 })
  t.pass()
})

test('a body cut short, reset or stalled at any of its bytes is EAGAIN, and what came before is right', async t => {
  t.timeout(120_000)
  const file = randomBytes(60)
  let now: Fault | null = null
  const { grid, cap } = await over(t, file, () => now, { stallMs: 30 })
  for (const how of ['short', 'reset'] as const) {
    for (let at = 0; at < file.length; at++) {
      now = fault(how, at)
      cleanFailure(t, file, await drain(grid.read(cap, all)))
    }
  }
  // Stalls take their time, so they are waited for together.
  const stalls = await over(t, file, ({ number }) => fault('hang', number), { stallMs: 30 })
  const reads = Array.from({ length: file.length }, () => drain(stalls.grid.read(stalls.cap, all)))
  for (const read of await Promise.all(reads)) cleanFailure(t, file, read)
})

test('a node that takes the connection and says nothing is EAGAIN', async t => {
  const { grid, cap } = await over(t, Buffer.alloc(100), () => ({ hang: 'before headers' }))
  cleanFailure(t, Buffer.alloc(100), await drain(grid.read(cap, all)))
})

test('nothing listens: EAGAIN, and the message says so without the cap', async t => {
  const { grid, node, cap } = await over(t, Buffer.alloc(100))
  await node.close()
  const err = await t.throwsAsync(bytesOf(grid.read(cap, all)), { code: 'EAGAIN' })
  t.is(err?.message, 'EAGAIN: read [cap CHK]: nothing listens at the node URL')
})

const lies: Record<string, Fault> = {
  '200 with the whole file': { lie: {}, status: 200 },
  'another range': { lie: { 'Content-Range': 'bytes 1-100/101' } },
  'another size': { lie: { 'Content-Range': 'bytes 0-99/101' } },
  'no Content-Range': { status: 206, body: Buffer.alloc(100) },
  'a shorter length': { lie: { 'Content-Length': '50' } },
  'a longer length': { lie: { 'Content-Length': '200' } },
  'no length': {
    status: 206,
    body: Buffer.alloc(100),
    headers: { 'content-range': 'bytes 0-99/100', 'content-length': '' },
  },
  '416': { status: 416, body: 'First beyond end of file' },
  '304': { status: 304 },
  'a redirect': { status: 302, headers: { location: 'http://127.0.0.1:1/' } },
}

for (const [title, lie] of Object.entries(lies)) {
  test(`an answer to a range that lies is refused: ${title}`, async t => {
    const file = Buffer.alloc(100)
    const { grid, cap } = await over(t, file, () => lie)
    const { got, err } = await drain(grid.read(cap, all))
    cleanFailure(t, file, { got, err })
    t.is(got.length, 0)
  })
}

test('of any other status no byte of the body is waited for', async t => {
  // T19: the length of the range stands there, and the text that follows is shorter.
  const html = '<html>an exception, and a cap: URI:CHK:…</html>'
  const refused = { status: 500, body: html, headers: { 'content-length': '1048576' } }
  const { grid, node, cap } = await over(t, Buffer.alloc(2 << 20), () => refused, { stallMs: 60_000 })
  const err = await t.throwsAsync(bytesOf(grid.read(cap, all)), { code: 'EAGAIN' })
  t.is(err?.message, 'EAGAIN: read [cap CHK]: the node answered 500')
  await until(() => node.open() === 0)
  t.is(node.open(), 0)
})

for (const [status, code] of [
  [410, 'EAGAIN'],
  [500, 'EAGAIN'],
  [502, 'EAGAIN'],
  [400, 'EINVAL'],
  [403, 'EACCES'],
  [404, 'EAGAIN'],
] as const) {
  test(`reading where the node answers ${status} is ${code}`, async t => {
    const { grid, cap } = await over(t, Buffer.alloc(100), () => ({ status, body: 'no' }))
    await t.throwsAsync(bytesOf(grid.read(cap, all)), { code })
  })
}

test('a name of an encoding in the answer changes nothing: the bytes come as they are', async t => {
  const file = randomBytes(5000)
  const { grid, cap } = await over(t, file, () => ({ lie: { 'Content-Encoding': 'gzip' } }))
  t.deepEqual(await bytesOf(grid.read(cap, all)), file)
})

async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !what(); i++) await sleep(5)
}

test('a slow reader holds up the node, not our memory; leaving the loop ends the request', async t => {
  const file = Buffer.alloc(64 << 20)
  const { grid, node, cap } = await over(t, file)
  for await (const chunk of grid.read(cap, all)) {
    t.true(chunk.length > 0)
    let before = -1
    while (before !== node.sent()) {
      before = node.sent()
      await sleep(100)
    }
    break
  }
  t.true(node.sent() < file.length / 2, `${node.sent()} bytes sent to a reader who took one piece`)
  await until(() => node.open() === 0)
  t.is(node.open(), 0)
})

test('a reader slower than the stall timer still gets every byte', async t => {
  const file = randomBytes(8 << 20)
  const { grid, cap } = await over(t, file, () => null, { stallMs: 100 })
  const parts: Buffer[] = []
  for await (const chunk of grid.read(cap, all)) {
    if (parts.length === 30) await sleep(2500)
    parts.push(Buffer.from(chunk))
  }
  t.deepEqual(Buffer.concat(parts), file)
})

test('aborting ends a read at once, before the first byte and in the middle', async t => {
  const file = Buffer.alloc(1000)
  const hangs: Fault[] = [{ hang: 'before headers' }, { hang: 'in the body', at: 500 }]
  for (const hang of hangs) {
    const { grid, node, cap } = await over(t, file, () => hang, { stallMs: 60_000, firstByteMs: 60_000 })
    const stop = new AbortController()
    const reading = drain(grid.read(cap, all, { signal: stop.signal }))
    await until(() => node.asked.length === 1)
    stop.abort()
    cleanFailure(t, file, await reading)
    await until(() => node.open() === 0)
    t.is(node.open(), 0)
  }
})

test('at most 16 reads are under way at once; one that waits may give up, and the others all end well', async t => {
  const file = randomBytes(2000)
  let most = 0
  let node: FaultyGateway | null = null
  const world = await over(
    t,
    file,
    () => {
      most = Math.max(most, node!.open())
      return { delay: 50 }
    },
    { firstByteMs: 60_000 },
  )
  node = world.node
  const stop = new AbortController()
  const reads = Array.from({ length: 40 }, () => bytesOf(world.grid.read(world.cap, all)))
  const impatient = drain(world.grid.read(world.cap, all, { signal: stop.signal }))
  stop.abort()
  cleanFailure(t, file, await impatient)
  for (const got of await Promise.all(reads)) t.deepEqual(got, file)
  t.true(most <= 16, `${most} connections`)
  t.is(world.node.asked.length, 40)
})

for (const url of [
  'http://example.org:3456/',
  'http://10.0.0.1/',
  'ftp://127.0.0.1/',
  'nonsense',
  '',
  'http://127.0.0.1:3456/uri/URI%3ADIR2%3Asecret',
  'http://user:secret@127.0.0.1/',
]) {
  test(`"${url.slice(0, 26)}…" is refused as a node URL in one line`, t => {
    const err = t.throws(() => gateway(url), { code: 'EINVAL' })
    t.false(/secret|\n/.test(err.message))
  })
}

test('a node may be on this machine, or anywhere by https', async t => {
  for (const url of [
    'http://127.0.0.1:3456',
    'http://localhost:3456/',
    'http://[::1]:3456/',
    'https://example.org/',
  ]) {
    await gateway(url).close()
  }
  t.pass()
})
