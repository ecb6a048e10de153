// What waits for the grid and what two sides changed at once, in the words that people read.

import test from 'ava'
import { described } from '../../src/cli/commands/status.ts'
import type { Status } from '../../src/cli/places.ts'
import {
  amount,
  type Clash,
  clashLines,
  clashOf,
  clashSince,
  type Item,
  itemLines,
  itemsBelow,
  kept,
  toGo,
  type Waiting,
  waitingOf,
} from '../../src/cli/waiting.ts'

const now = Date.parse('2026-03-04T05:06:07.000Z')
const at = (seconds: number): string => new Date(now + seconds * 1000).toISOString()
const cap = 'URI:DIR2:abcdefghijklmnopqrstuvwxyz:234567abcdefghijklmnopqrstuvwxyz'

const item = (path: string, more: Partial<Item> = {}): Item => ({
  path,
  state: 'waiting',
  bytes: 1536,
  sent: 0,
  since: at(-7),
  error: null,
  retryAt: null,
  ...more,
})

const waiting = (items: Item[], files = items.length): Waiting => ({
  files,
  bytes: items.reduce((sum, { bytes }) => sum + bytes, 0),
  oldest: items[0]?.since ?? null,
  items,
})

test('what waits is told as JSON has it: ISO times, and no cap in an error', t => {
  const told = waitingOf({
    files: 2,
    bytes: 3,
    oldest: now - 1000,
    items: [
      {
        path: '/a',
        state: 'uploading',
        bytes: 3,
        sent: 1,
        since: now - 1000,
        error: `EIO: ${cap} is odd`,
        retryAt: now + 5,
      },
      { path: '/b', state: 'removing', bytes: 0, sent: 0, since: now, error: null, retryAt: null },
    ],
  })
  t.deepEqual(told, {
    files: 2,
    bytes: 3,
    oldest: '2026-03-04T05:06:06.000Z',
    items: [
      {
        path: '/a',
        state: 'uploading',
        bytes: 3,
        sent: 1,
        since: '2026-03-04T05:06:06.000Z',
        error: 'EIO: [cap] is odd',
        retryAt: '2026-03-04T05:06:07.005Z',
      },
      {
        path: '/b',
        state: 'removing',
        bytes: 0,
        sent: 0,
        since: '2026-03-04T05:06:07.000Z',
        error: null,
        retryAt: null,
      },
    ],
  })
  t.deepEqual(waitingOf({ files: 0, bytes: 0, oldest: null, items: [] }), waiting([]))
})

test('an item is its path, how far it is, since when, and what keeps it', t => {
  const lines = (more: Partial<Item>) => itemLines(waiting([item('/letters/a.txt', more)]), now)
  t.deepEqual(lines({}), ['/letters/a.txt: waiting, 1.5 KiB, for 7 s'])
  t.deepEqual(lines({ state: 'uploading', sent: 1000 }), [
    '/letters/a.txt: uploading, 1.5 KiB (65% sent), for 7 s',
  ])
  t.deepEqual(lines({ state: 'uploading', bytes: 0 }), [
    '/letters/a.txt: uploading, 0 B (100% sent), for 7 s',
  ])
  const error = 'EAGAIN: upload 1536 bytes: nothing listens at the node URL'
  t.deepEqual(lines({ error, retryAt: at(60), since: at(-200) }), [
    '/letters/a.txt: waiting, 1.5 KiB, for 3 min; upload 1536 bytes: nothing listens at the node URL; tried again in 60 s',
  ])
  t.regex(lines({ error, retryAt: at(-1) })[0]!, /node URL; tried again now$/)
})

test('a name alone has no bytes to tell of', t => {
  for (const state of ['waiting', 'linking', 'removing'] as const)
    t.deepEqual(itemLines(waiting([item('/a', { state, bytes: 0 })]), now), [`/a: ${state}, for 7 s`])
})

test('a name that would take the terminal over, or a line of its own, does not', t => {
  const [line] = itemLines(waiting([item('/x\n\u001b[2Jy')]), now)
  t.is(line, '/x\\x0a\\x1b[2Jy: waiting, 1.5 KiB, for 7 s')
})

test('ten items are shown, and how many there are besides, of those that nobody named too', t => {
  const many = Array.from({ length: 12 }, (_, i) => item(`/${i}`))
  const lines = itemLines(waiting(many, 150), now)
  t.is(lines.length, 11)
  t.is(lines.at(-1), 'and 140 more')
  t.is(itemLines(waiting(many.slice(0, 10)), now).length, 10)
})

test('at or below a path are the path itself and what is in it, not what begins alike', t => {
  const all = waiting(['/a', '/a/b', '/ab', '/c/a'].map(path => item(path)))
  const below = (path: string | null) => itemsBelow(all, path).map(({ path }) => path)
  t.deepEqual(below('/a'), ['/a', '/a/b'])
  t.deepEqual(below('/c'), ['/c/a'])
  t.deepEqual(below('/x'), [])
  t.deepEqual(below(null), ['/a', '/a/b', '/ab', '/c/a'])
})

test('how much it is, what is still to be sent, and what is left at the end', t => {
  t.is(amount({ files: 1, bytes: 0 }), '1 change, 0 B')
  t.is(amount({ files: 3, bytes: 2 ** 20 }), '3 changes, 1.0 MiB')
  const two = waiting([item('/a', { sent: 1024 }), item('/b', { error: 'EIO: no\nroom' })])
  t.is(toGo(two), '2 changes, 2.0 KiB to go; /b: no\\x0aroom')
  t.is(toGo(waiting([item('/a', { bytes: 0, sent: 99 })])), '1 change, 0 B to go')
  t.is(
    kept(two, '/s/tahoe-nfs/0'),
    'not on the grid yet: 2 changes, 3.0 KiB; it is kept in /s/tahoe-nfs/0, and goes on when this root is served from there again',
  )
})

const clash = (path: string, copy: string | null, seconds = 0): Clash => ({
  path,
  copy,
  at: at(seconds),
  what: 'was changed here and on the grid',
})

test('a conflict is the name, the copy if there is one, what happened, and when', t => {
  t.deepEqual(clashLines([clash('/a', '/a (conflict)'), clash('/b\r', null)]), [
    '/a and /a (conflict): was changed here and on the grid (2026-03-04 05:06 UTC)',
    '/b\\x0d: was changed here and on the grid (2026-03-04 05:06 UTC)',
  ])
  t.deepEqual(clashOf({ path: '/a', copy: null, at: now, what: `of ${cap} two` }), {
    path: '/a',
    copy: null,
    at: '2026-03-04T05:06:07.000Z',
    what: 'of [cap] two',
  })
})

test('of many conflicts the newest ten are shown, and of a while only its own', t => {
  const many = Array.from({ length: 13 }, (_, i) => clash(`/${i}`, null, i))
  const lines = clashLines(many)
  t.regex(lines[0]!, /^\/3: /)
  t.is(lines.length, 11)
  t.is(lines.at(-1), 'and 3 older ones')
  t.deepEqual(
    clashSince(many, now + 11_000).map(({ path }) => path),
    ['/11', '/12'],
  )
})

const status: Status = {
  pid: 7,
  frontend: 'nfs',
  mountpoint: '/mnt/tahoe',
  address: '127.0.0.1:761',
  grid: { kind: 'gateway', name: 'http://127.0.0.1:3456/', reachable: true, since: at(-60), lastError: '' },
  state: '/s/tahoe-nfs/0',
  readOnly: false,
  cache: { bytes: 2 ** 20, limit: 2 ** 30 },
  pending: waiting([]),
  conflicts: [],
  errors: [],
  calls: 12,
  memory: 100 * 2 ** 20,
}

test('status in words, when all is well', t => {
  t.is(
    described(status, true, now),
    [
      '/mnt/tahoe: read-write, NFS on 127.0.0.1:761, process 7',
      '  grid     gateway http://127.0.0.1:3456/, reachable',
      '  cache    1.0 MiB of 1.0 GiB',
      '  waiting  nothing',
      '  calls    12, memory 100 MiB',
      '  state    /s/tahoe-nfs/0',
    ].join('\n'),
  )
  t.regex(described({ ...status, readOnly: true }, false, now), /^\/mnt\/tahoe \(not mounted\): read-only, /)
  t.regex(described({ ...status, mountpoint: null }, false, now), /^no mount point: read-write, /)
})

test('status in words, when nothing is', t => {
  const lastError = 'EAGAIN: list a directory: nothing listens at the node URL'
  const said = described(
    {
      ...status,
      grid: { ...status.grid, reachable: false, since: at(-180), lastError },
      pending: waiting([item('/a', { error: lastError, retryAt: at(4) }), item('/b', { state: 'open' })], 3),
      conflicts: [clash('/x', '/x (conflict)')],
      errors: [lastError, 'EIO: two\nlines'],
    },
    true,
    now,
  )
  t.is(
    said,
    [
      '/mnt/tahoe: read-write, NFS on 127.0.0.1:761, process 7',
      '  grid     gateway http://127.0.0.1:3456/, out of reach for 3 min: list a directory: nothing listens at the node URL',
      '  cache    1.0 MiB of 1.0 GiB',
      '  waiting  3 changes, 3.0 KiB, the oldest for 7 s',
      '           /a: waiting, 1.5 KiB, for 7 s; list a directory: nothing listens at the node URL; tried again in 4 s',
      '           /b: open, 1.5 KiB, for 7 s',
      '           and 1 more',
      '  calls    12, memory 100 MiB',
      '  state    /s/tahoe-nfs/0',
      '  conflict /x and /x (conflict): was changed here and on the grid (2026-03-04 05:06 UTC)',
      '  error    list a directory: nothing listens at the node URL',
      '  error    two\\x0alines',
    ].join('\n'),
  )
})
