// Listing and asking after the grid, against a gateway that misbehaves.

import test, { type ExecutionContext } from 'ava'
import { type Cap, parseCap } from '../../src/tahoe/cap.ts'
import { gateway } from '../../src/tahoe/gateway/gateway.ts'
import { type Asked, type Fault, faultyGateway } from '../support/faulty-gateway.ts'

const print = 'comvbfdzxsfnllbeyu4fqvygbxf22yn6rgfveytj5jvowhrlmq5q'
const dir = parseCap(`URI:DIR2:nhjhekltysg4cqgavc35ngr6ea:${print}`)
const sub = parseCap(`URI:DIR2:6lprjyfuczeczcyrtady4rjwbu:${print}`)
const file = parseCap(`URI:CHK:o7nrxketfcdcxfi6myb64kcar4:${print}:3:10:4096`)

const dirnode = (children: unknown, of: Cap = dir) => [
  'dirnode',
  { children, mutable: true, rw_uri: of.uri(), ro_uri: of.readonly().uri(), verify_uri: of.verify()!.uri() },
]
const filenode = { ro_uri: file.uri(), metadata: { tahoe: { linkmotime: 1.5 }, mine: [1, { two: '2' }] } }

async function over(
  t: ExecutionContext,
  text: string | (() => string),
  fault: (asked: Asked) => Fault | null = () => null,
) {
  const answer = () => ({ status: 200, text: typeof text === 'string' ? text : text() })
  const node = await faultyGateway({ answer, fault })
  const grid = gateway(node.url, { stallMs: 300, firstByteMs: 300 })
  t.teardown(async () => {
    await grid.close()
    await node.close()
  })
  return { node, grid }
}

test('a listing gives each child its strongest cap and its metadata as they are', async t => {
  const text = JSON.stringify(
    dirnode({
      file: ['filenode', filenode],
      sub: ['dirnode', { rw_uri: sub.uri(), ro_uri: sub.readonly().uri(), metadata: {} }],
      seen: ['dirnode', { ro_uri: sub.readonly().uri() }],
      future: ['unknown', { rw_uri: 'URI:FUTURE-W:abc', ro_uri: 'ro.URI:FUTURE-R:abc', metadata: {} }],
      bare: ['unknown', {}],
      damaged: ['filenode', { ro_uri: 'URI:CHK:bogus', metadata: {} }],
    }),
  )
  const { grid, node } = await over(
    t,
    text.replace('"bare"', '"__proto__":["filenode",{"ro_uri":"URI:LIT:me"}],"bare"'),
  )
  const { children, writable } = await grid.list(dir)
  t.true(writable)
  t.is(node.asked[0]!.path, `/uri/${encodeURIComponent(dir.uri())}?t=json`)
  t.deepEqual(children.get('file')!.metadata, filenode.metadata)
  t.is(children.get('file')!.cap.size, 4096)
  t.is(children.get('sub')!.cap.authority, 'write')
  t.is(children.get('seen')!.cap.authority, 'read')
  t.deepEqual(children.get('seen')!.metadata, {})
  t.is(children.get('__proto__')!.cap.kind, 'LIT')
  t.is(children.get('future')!.cap.uri(), 'URI:FUTURE-W:abc')
  t.is(children.get('future')!.cap.readonly().uri(), 'ro.URI:FUTURE-R:abc')
  t.is(children.get('bare')!.cap.kind, 'unknown')
  t.is(children.get('damaged')!.cap.uri(), 'URI:CHK:bogus')
  t.is(children.size, 7)
})

test('numbers that JavaScript cannot hold stay in the metadata as they are written', async t => {
  const long =
    '{"tahoe":{"linkmotime":1795354431.74},"ns":1234567890123456789,"list":[-99999999999999999999]}'
  const text = JSON.stringify(dirnode({ a: ['filenode', { ro_uri: file.uri(), metadata: 'HERE' }] })).replace(
    '"HERE"',
    long,
  )
  const { grid } = await over(t, text)
  t.is(JSON.stringify((await grid.list(dir)).children.get('a')!.metadata), long)
})

test('a listing by the read cap is not writable', async t => {
  const reader = dir.readonly()
  const { grid } = await over(
    t,
    JSON.stringify(['dirnode', { children: {}, mutable: true, ro_uri: reader.uri() }]),
  )
  t.false((await grid.list(reader)).writable)
})

const whole = JSON.stringify(dirnode({ a: ['filenode', filenode] }))
const lies: Record<string, string> = {
  nothing: '',
  'half of it': whole.slice(0, whole.length / 2),
  'a web page': '<html><body>welcome</body></html>',
  'another directory': JSON.stringify(dirnode({}, sub)),
  'a file': JSON.stringify(['filenode', filenode]),
  'an unknown': JSON.stringify(['unknown', {}]),
  'no children': JSON.stringify(['dirnode', { ro_uri: dir.readonly().uri() }]),
  'children in a list': JSON.stringify(dirnode([])),
  'a child that is null': JSON.stringify(dirnode({ a: null })),
  'a child that is text': JSON.stringify(dirnode({ a: 'URI:LIT:' })),
  'a cap that is a number': JSON.stringify(dirnode({ a: ['filenode', { ro_uri: 7 }] })),
  'metadata that is a list': JSON.stringify(
    dirnode({ a: ['filenode', { ro_uri: file.uri(), metadata: [] }] }),
  ),
  null: 'null',
}
for (const [title, text] of Object.entries(lies)) {
  test(`a listing that cannot be believed is EAGAIN and never empty: ${title}`, async t => {
    const { grid } = await over(t, text)
    await t.throwsAsync(grid.list(dir), { code: 'EAGAIN' })
  })
}

test('a listing cut short or stalled anywhere is EAGAIN, never a part', async t => {
  t.timeout(60_000)
  const faults = Array.from(
    { length: whole.length },
    (_, at): Fault => (at % 2 ? { short: at } : { reset: at }),
  )
  const stalled: Fault = { hang: 'in the body', at: whole.length - 1 }
  for (const fault of [...faults, stalled]) {
    const { grid } = await over(t, whole, () => fault)
    await t.throwsAsync(grid.list(dir), { code: 'EAGAIN' })
  }
})

test('a listing without a length, in chunks, must have its last chunk', async t => {
  const chunked = (end: string): Fault => ({
    status: 200,
    headers: { 'content-length': '', 'transfer-encoding': 'chunked' },
    body: `${whole.length.toString(16)}\r\n${whole}\r\n${end}`,
  })
  const { grid } = await over(t, whole, ({ number }) => chunked(number === 0 ? '0\r\n\r\n' : ''))
  t.is((await grid.list(dir)).children.size, 1)
  await t.throwsAsync(grid.list(dir), { code: 'EAGAIN' })
})

test('a listing beyond all bounds is EFBIG before it is kept', async t => {
  t.timeout(60_000)
  const { grid, node } = await over(t, '', () => ({ status: 200, body: Buffer.alloc(300 << 20, ' ') }))
  const before = process.memoryUsage().arrayBuffers
  await t.throwsAsync(grid.list(dir), { code: 'EFBIG' })
  t.true(node.sent() >= 256 << 20)
  t.true(process.memoryUsage().arrayBuffers - before < 900 << 20)
})

test('a kept connection that the node closed in between is no error', async t => {
  const { grid, node } = await over(t, whole, ({ number }) => (number === 1 ? { answer: 'lost' } : null))
  await grid.list(dir)
  t.is((await grid.list(dir)).children.size, 1)
  t.is(node.asked.length, 3)
})

for (const [status, body, code] of [
  [410, '{"error": "UnrecoverableFileError: the directory cannot be retrieved"}', 'EAGAIN'],
  [500, '<html>Traceback</html>', 'EAGAIN'],
  [503, '', 'EAGAIN'],
  [404, '<html>nginx</html>', 'EAGAIN'],
  [404, '<p>No such child: x</p>', 'ENOENT'],
  [403, 'allmydata.interfaces.FileProhibited: no', 'EACCES'],
  [302, '', 'EAGAIN'],
] as const) {
  test(`listing where the node answers ${status} ${body.slice(0, 20)} is ${code}`, async t => {
    const { grid } = await over(t, '', () => ({ status, body }))
    await t.throwsAsync(grid.list(dir), { code })
  })
}

test('what is not a directory is ENOTDIR without asking; a verify cap is EACCES', async t => {
  const { grid, node } = await over(t, whole)
  await t.throwsAsync(grid.list(file), { code: 'ENOTDIR' })
  await t.throwsAsync(grid.list(parseCap('URI:FUTURE:x')), { code: 'ENOTDIR' })
  await t.throwsAsync(grid.list(dir.verify()!), { code: 'EACCES' })
  t.is(node.asked.length, 0)
})

test('what cannot write is EROFS without asking', async t => {
  const { grid, node } = await over(t, whole)
  await t.throwsAsync(grid.edit(dir.readonly(), []), { code: 'EROFS' })
  await t.throwsAsync(grid.edit(parseCap('URI:DIR2-LIT:'), []), { code: 'EROFS' })
  await t.throwsAsync(grid.edit(file, []), { code: 'ENOTDIR' })
  const source = { size: 0, async *open() {} }
  await t.throwsAsync(grid.overwrite(file, source, { expected: '' }), { code: 'EROFS' })
  const ssk = parseCap(dir.uri().replace('DIR2', 'SSK'))
  await t.throwsAsync(grid.overwrite(ssk.readonly(), source, { expected: '' }), { code: 'EROFS' })
  await t.throwsAsync(grid.stat(file), { code: 'EINVAL' })
  t.is(node.asked.length, 0)
})

test('edits that cannot be sent are EINVAL before anything is', async t => {
  const { grid, node } = await over(t, whole)
  const child = { cap: file, metadata: {} }
  const set = (name: string, cap = file) =>
    ({ op: 'set', name, child: { ...child, cap }, expect: null }) as const
  const impossible = [
    [set('\ud800')],
    [set('e\u0301'), set('\u00e9')], // one name in NFC
    [set('a', file.verify()!)],
    [set('a', parseCap('URI:FUTURE:x'))], // the node wants what stood beside it
  ]
  for (const edits of impossible) await t.throwsAsync(grid.edit(dir, edits), { code: 'EINVAL' })
  t.is(node.asked.length, 0)
})

const servers = (...all: [string, number | null][]) =>
  JSON.stringify({
    servers: all.map(([connection_status, available_space]) => ({ connection_status, available_space })),
  })

test('health counts connected servers in the words of both protocols', async t => {
  const mixed = servers(
    ['Connected to tcp:x via tcp', 1],
    ['connected', 1],
    ['Trying to connect', null],
    ['Disconnected', 1],
  )
  const { grid } = await over(t, mixed)
  t.deepEqual(await grid.health(), { reachable: true, detail: '2 of 4 storage servers connected' })
  const none = await over(t, servers(['Trying to connect', null]))
  t.deepEqual(await none.grid.health(), { reachable: false, detail: '0 of 1 storage servers connected' })
})

test('health says in a line what is wrong with a node that does not answer, or is none', async t => {
  const { grid, node } = await over(t, '<html></html>')
  t.deepEqual(await grid.health(), { reachable: false, detail: 'the answer is not JSON, or not all of it' })
  await node.close()
  t.deepEqual(await grid.health(), { reachable: false, detail: 'nothing listens at the node URL' })
})

test('usage is what connected servers have free, after encoding; null when none says', async t => {
  const { grid } = await over(t, servers(['connected', 1000], ['Connected', 2000], ['Disconnected', 5000]))
  t.deepEqual(await grid.usage(), { total: 900, free: 900 })
  const silent = await over(t, servers(['connected', null]))
  t.is(await silent.grid.usage(), null)
})
