// Mutable files over many servers, which lose shares, damage them, fill up and go away: what is
// read is right or nothing, and a publish replaces a version or does not touch it.

import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import fc from 'fast-check'
import { FsError } from '../../src/errors.ts'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { MutableFiles } from '../../src/tahoe/native/mutable/mutable.ts'
import { plaintext } from '../support/golden-mutables.ts'
import type { MemoryServer } from '../support/memory-storage.ts'
import { collected, everything, filesOver, plain, serversOf } from '../support/mutable-world.ts'

const out = () => {
  throw new FsError('EAGAIN', 'out of reach')
}
const full = (operation: string) => {
  if (operation === 'readTestWrite' || operation === 'prepare') throw new FsError('ENOSPC', 'full')
}
const well = () => {}

const numbers = (servers: readonly MemoryServer[], cap: Cap): number[] =>
  servers.flatMap(server => [...server.shares(cap.storageIndex!).keys()]).sort((a, b) => a - b)

const read = (files: MutableFiles, cap: Cap) => collected(files.read(cap, everything))

/** A world: so many servers, with prepare or without, and shares. */
const world = fc
  .record({
    kind: fc.constantFrom('SSK' as const, 'MDMF' as const),
    servers: fc.integer({ min: 1, max: 6 }),
    needed: fc.integer({ min: 1, max: 5 }),
    more: fc.integer({ min: 0, max: 6 }),
    prepares: fc.boolean(),
    size: fc.oneof(fc.nat(12), fc.nat(9000), fc.constantFrom(131_071, 131_072, 131_075, 262_150, 400_000)),
  })
  .map(({ needed, more, ...rest }) => ({ ...rest, shares: { needed, happy: 1, total: needed + more } }))

test('any shares that are enough give the content, whatever became of the others; and a change makes all whole', async t => {
  await fc.assert(
    fc.asyncProperty(world, fc.infiniteStream(fc.nat()), async (setting, random) => {
      const next = (below: number) => (random.next().value ?? 0) % below
      const servers = serversOf(setting.servers)
      const { needed, total } = setting.shares
      const over = () => filesOver(setting.prepares ? servers : servers.map(plain), setting.shares)
      const content = plaintext('servers', setting.size)
      const { cap } = await over().create(setting.kind, content)
      const index = cap.storageIndex!
      t.deepEqual(
        numbers(servers, cap),
        Array.from({ length: total }, (_, i) => i),
      )
      const loads = servers.map(server => server.shares(index).size)
      t.true(Math.max(...loads) - Math.min(...loads) <= 1)

      // Each of the shares is lost, damaged anywhere, cut, or not.
      let good = 0
      for (const server of servers)
        for (const [number, bytes] of server.shares(index)) {
          const fate = next(4)
          if (fate === 0) server.shares(index).delete(number)
          else if (fate === 1) bytes[next(bytes.length)]! ^= 1 << next(8)
          else if (fate === 2) server.shares(index).set(number, bytes.subarray(0, next(bytes.length)))
          else good++
        }
      const changed = Buffer.concat([content, Buffer.from('!')])
      try {
        t.is((await read(over(), cap.readonly())).compare(content), 0)
      } catch (err) {
        t.is((err as FsError).code, 'EAGAIN')
        t.true(good < needed, `${good} of ${needed}: ${(err as Error).message}`)
        return
      }
      if (good < needed) return // what was damaged is where nobody looked
      t.is((await over().modify(cap, old => Buffer.concat([old, Buffer.from('!')]))).compare(changed), 0)
      t.is((await read(over(), cap)).compare(changed), 0)
      t.deepEqual(
        [...new Set(numbers(servers, cap))],
        Array.from({ length: total }, (_, i) => i),
      )
    }),
    { numRuns: 60 },
  )
})

test('a damaged block is not used, and its server is told once', async t => {
  const servers = serversOf(3)
  const files = filesOver(servers, { needed: 2, happy: 1, total: 3 })
  for (const kind of ['SSK', 'MDMF'] as const) {
    const content = plaintext(kind, 300_000)
    const { cap } = await files.create(kind, content)
    const bad = servers.find(server => server.shares(cap.storageIndex!).has(0))!
    const share = bad.shares(cap.storageIndex!).get(0)!
    share[100_000]! ^= 1
    const reader = filesOver(servers)
    t.is((await read(reader, cap)).compare(content), 0)
    t.is((await read(reader, cap)).compare(content), 0)
    t.deepEqual(bad.advised, [`${cap.storageIndex} 0: a hash does not match`])
    bad.advised.length = 0
  }
})

test('without enough shares it is "not now", never "gone", and says what is missing', async t => {
  const servers = serversOf(3)
  const files = filesOver(servers, { needed: 2, happy: 1, total: 3 })
  const { cap } = await files.create('SSK', Buffer.from('x'))
  servers[0]!.trouble = out
  t.is((await read(files, cap)).toString(), 'x')
  servers[1]!.trouble = out
  await t.throwsAsync(read(files, cap), {
    code: 'EAGAIN',
    message: /1 shares were found, 2 are needed, 2 servers/,
  })
  for (const server of servers) {
    server.trouble = well
    server.slots.clear()
  }
  await t.throwsAsync(read(files, cap), { code: 'EAGAIN', message: /no share was found/ })
  await t.throwsAsync(files.stat(cap), { code: 'EAGAIN' })
})

test('an error tells no secret of the cap', async t => {
  const files = filesOver(serversOf(1))
  const { cap } = await files.create('SSK', Buffer.from('x'))
  const [, , key, fingerprint] = cap.uri().split(':')
  const empty = filesOver(serversOf(1))
  for (const work of [() => empty.stat(cap), () => empty.modify(cap, () => null)]) {
    const { message } = await t.throwsAsync(work())
    t.false(message.includes(key!) || message.includes(fingerprint!))
  }
})

test('a later version of which too little is there is noticed: it is replaced, or waited for', async t => {
  const servers = serversOf(4)
  const files = filesOver(servers, { needed: 2, happy: 1, total: 4 })
  const { cap } = await files.create('SSK', Buffer.from('one'))
  const index = cap.storageIndex!
  const old = servers.map(server => new Map(server.shares(index)))
  await files.modify(cap, () => Buffer.from('two'))
  // Only one share of it came through.
  for (const i of [1, 2, 3]) servers[i]!.slots.get(index)!.shares = new Map(old[i]!)
  servers[3]!.trouble = out
  const reader = filesOver(servers)
  await t.throwsAsync(read(reader, cap), { code: 'EAGAIN', message: /of a later version/ })
  servers[3]!.trouble = well
  t.is((await read(reader, cap)).toString(), 'one')
  await reader.modify(cap, old => Buffer.concat([old, Buffer.from(' three')]))
  t.is((await read(files, cap)).toString(), 'one three')
  const { version } = await files.stat(cap)
  t.regex(version, /^3-/)
})

for (const prepares of [true, false])
  test(`shares of a full server go to the others; without room nothing changes${prepares ? ' (prepared)' : ''}`, async t => {
    const servers = serversOf(4)
    const over = () => filesOver(prepares ? servers : servers.map(plain), { needed: 2, happy: 1, total: 4 })
    const files = over()
    const { cap } = await files.create('SSK', Buffer.from('one'))
    servers[2]!.trouble = full
    await files.modify(cap, () => Buffer.from('two'))
    t.is((await read(over(), cap)).toString(), 'two')
    t.is(servers[2]!.shares(cap.storageIndex!).size, 1)
    for (const server of servers) server.trouble = full
    await t.throwsAsync(
      files.modify(cap, () => Buffer.from('three')),
      { code: 'ENOSPC' },
    )
    t.is((await read(over(), cap)).toString(), 'two')
    for (const server of servers) server.trouble = well
    await files.modify(cap, old => Buffer.concat([old, Buffer.from(' four')]))
    t.is((await read(over(), cap)).toString(), 'two four')
  })

test('a version is not acknowledged while the one before could be read from servers out of reach', async t => {
  const servers = serversOf(4)
  const files = filesOver(servers, { needed: 2, happy: 1, total: 4 })
  const { cap } = await files.create('SSK', Buffer.from('one'))
  servers[0]!.trouble = out
  await files.modify(cap, () => Buffer.from('two'))
  t.is(new Set(numbers(servers.slice(1), cap)).size, 4)
  servers[1]!.trouble = out
  servers[2]!.trouble = out
  await t.throwsAsync(
    files.modify(cap, () => Buffer.from('three')),
    { code: 'EAGAIN' },
  )
  for (const server of servers) server.trouble = well
  t.is((await read(files, cap)).toString(), 'two')
})

/** Adds a word, unless it is there: a change may be done on its own result. */
const adding = (word: string) => (old: Buffer) =>
  ` ${old} `.includes(` ${word} `) ? null : Buffer.from(old.length === 0 ? word : `${old} ${word}`)

for (const prepares of [true, false])
  test(`two writers at once lose nothing that was acknowledged${prepares ? ' (prepared)' : ''}`, async t => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 0, max: 3 }),
        fc.boolean(),
        fc.infiniteStream(fc.nat(99)),
        async (count, needed, more, troubled, random) => {
          const servers = serversOf(count)
          const over = () =>
            filesOver(prepares ? servers : servers.map(plain), { needed, happy: 1, total: needed + more })
          const writers = [over(), over()]
          const { cap } = await writers[0]!.create('SSK', Buffer.alloc(0))
          for (const server of servers)
            server.trouble = async operation => {
              const dice = random.next().value ?? 0
              if (dice < 30) await sleep(dice / 10)
              if (troubled && dice > 96 && operation !== 'abort' && operation !== 'commit') out()
            }
          const acknowledged: string[] = []
          await Promise.all(
            writers.map(async (writer, w) => {
              for (let i = 0; i < 4; i++)
                await Promise.all(
                  ['a', 'b'].map(async c => {
                    try {
                      await writer.modify(cap, adding(`${w}${i}${c}`))
                      acknowledged.push(`${w}${i}${c}`)
                    } catch (err) {
                      t.is((err as FsError).code, 'EAGAIN', String((err as Error).stack))
                    }
                  }),
                )
            }),
          )
          for (const server of servers) server.trouble = well
          // Where each has destroyed what the other did, one of them goes on once all servers answer.
          await Promise.any(writers.map(writer => writer.modify(cap, adding('end'))))
          acknowledged.push('end')
          const words = (await read(over(), cap)).toString().split(' ')
          t.is(new Set(words).size, words.length)
          for (const word of acknowledged)
            t.true(words.includes(word), `${word} of ${acknowledged} in ${words}`)
          if (!troubled) t.true(acknowledged.length > 0)
        },
      ),
      { numRuns: 25 },
    )
  })

test('changes that wait together are one publish; each sees what the one before made, and one that fails stops no other', async t => {
  const [server] = serversOf(1)
  const files = filesOver([server!])
  const { cap } = await files.create('SSK', Buffer.alloc(0))
  server!.calls = []
  const results = await Promise.allSettled([
    files.modify(cap, adding('a')),
    files.modify(cap, () => {
      throw new FsError('EEXIST', 'no')
    }),
    files.modify(cap, async old => adding('b')(old)),
    files.modify(cap, () => null),
  ])
  t.deepEqual(
    results.map(result => (result.status === 'fulfilled' ? result.value.toString() : result.reason.code)),
    ['a b', 'EEXIST', 'a b', 'a b'],
  )
  t.deepEqual(server!.calls, ['readTestWrite']) // the content was known, the test tells that it is still so
  server!.calls = []
  const gone = new AbortController()
  const first = files.modify(cap, async old => {
    gone.abort()
    return adding('c')(old)
  })
  await sleep(0)
  const second = files.modify(cap, adding('d'), { signal: gone.signal })
  await t.throwsAsync(second, { code: 'EAGAIN' })
  t.is((await first).toString(), 'a b c')
  t.is((await read(files, cap)).toString(), 'a b c')
})

test('to do nothing is decided by what is there, not by what is remembered', async t => {
  const servers = serversOf(1)
  const [one, two] = [filesOver(servers), filesOver(servers)]
  const { cap } = await one.create('SSK', Buffer.from('a'))
  await two.modify(cap, () => Buffer.from('b'))
  t.is((await one.modify(cap, adding('a'))).toString(), 'b a')
  await two.modify(cap, () => Buffer.from('c'))
  t.is((await one.modify(cap, () => null)).toString(), 'c')
})

for (const prepares of [true, false])
  test(`who reads while a version comes in place sees the old or the new, never neither${prepares ? ' (prepared)' : ''}`, async t => {
    const servers = serversOf(3)
    const over = () => filesOver(prepares ? servers : servers.map(plain), { needed: 3, happy: 1, total: 3 })
    const writer = over()
    const { cap } = await writer.create('SSK', Buffer.from('0'))
    for (const server of servers)
      server.trouble = async operation => {
        if (operation === 'commit' || operation === 'readTestWrite') await sleep(Math.random() * 10)
      }
    let done = false
    const reading = (async () => {
      const reader = over()
      for (let last = 0; !done; ) {
        const now = Number(await read(reader, cap))
        t.true(now >= last)
        last = now
        await sleep(1)
      }
    })()
    for (let i = 1; i <= 15; i++) await writer.modify(cap, () => Buffer.from(String(i)))
    done = true
    await t.notThrowsAsync(reading)
  })

test('folders hold the new beside the old also while another server is away, which cannot', async t => {
  const [away, ...here] = serversOf(4)
  away!.trouble = out
  const over = () => filesOver([plain(away!), ...here], { needed: 3, happy: 1, total: 4 })
  const files = over()
  const { cap } = await files.create('SSK', Buffer.from('one'))
  for (const writer of [files, over()]) {
    for (const server of here) server.calls = []
    await writer.modify(cap, old => Buffer.concat([old, Buffer.from('!')]))
    for (const { calls } of here) {
      t.false(calls.includes('readTestWrite'))
      t.deepEqual(calls.slice(-2), ['prepare', 'commit'])
    }
  }
  t.is((await read(over(), cap)).toString(), 'one!!')
})

test('what a folder had prepared and did not take is committed before the next change', async t => {
  const servers = serversOf(3)
  const files = filesOver(servers, { needed: 3, happy: 1, total: 3 })
  const { cap } = await files.create('SSK', Buffer.from('a'))
  servers[1]!.trouble = operation => {
    if (operation === 'commit') throw new FsError('EIO', 'the disk failed')
  }
  await t.throwsAsync(files.modify(cap, adding('b')), { code: 'EAGAIN' })
  await t.throwsAsync(files.modify(cap, adding('c')), { code: 'EAGAIN' })
  servers[1]!.trouble = well
  t.is((await files.modify(cap, adding('c'))).toString(), 'a b c')
  t.is((await read(filesOver(servers), cap)).toString(), 'a b c')
})
