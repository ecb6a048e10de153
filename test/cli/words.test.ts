// What the command line reads and prints, by itself.

import { mkdtempSync, readFileSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { homeIn } from '../../src/cli/caller.ts'
import { locate } from '../../src/cli/find.ts'
import { LogFile, logger, plainly } from '../../src/cli/logging.ts'
import { quoted } from '../../src/cli/mountpoint.ts'
import { mountOf, parseMountList, parseNfsstat } from '../../src/cli/mounts.ts'
import { withoutCaps } from '../../src/cli/secrets.ts'
import { address, bytes, seconds } from '../../src/cli/settings.ts'
import { inUse } from '../../src/cli/using.ts'
import { inWords, printable, whileInWords, withoutCode } from '../../src/cli/words.ts'
import { parseMountLines } from '../../src/fuse/mountinfo.ts'

test('mountinfo: paths with octal escapes, optional tags, of NFS mounts from this machine the port and the path, of FUSE mounts the user', t => {
  const text = [
    '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw',
    '97 22 0:50 / /mnt/my\\040photos\\134x\\011y rw,nosuid shared:7 master:2 - nfs 127.0.0.1:/ rw,vers=3,hard,nolock,proto=tcp,port=761,timeo=600,mountaddr=127.0.0.1,mountport=761,addr=127.0.0.1',
    '98 22 0:51 / /far ro - nfs 192.0.2.7:/x rw,vers=3,port=761,addr=192.0.2.7',
    '99 22 0:52 / /v6 rw - nfs [::1]:/a\\040b/c ro,vers=3,proto=tcp6,port=700,addr=::1',
    '100 22 0:53 / /four rw - nfs4 127.0.0.1:/ rw,vers=4.2,addr=127.0.0.1',
    '101 22 0:54 / /fuse rw,nosuid,nodev - fuse.tahoe-nfs tahoe-nfs rw,user_id=1000,group_id=100,default_permissions',
    'not a line of it',
    '',
  ].join('\n')
  const plain = { port: null, path: '/', readOnly: false, user: null }
  t.deepEqual(parseMountLines(text).map(mountOf), [
    { ...plain, mountpoint: '/', type: 'ext4', number: '8:1' },
    { ...plain, mountpoint: '/mnt/my photos\\x\ty', type: 'nfs', port: 761, number: '0:50' },
    { ...plain, mountpoint: '/far', type: 'nfs', readOnly: true, number: '0:51' },
    { ...plain, mountpoint: '/v6', type: 'nfs', port: 700, path: '/a b/c', readOnly: true, number: '0:52' },
    { ...plain, mountpoint: '/four', type: 'nfs4', number: '0:53' },
    { ...plain, mountpoint: '/fuse', type: 'fuse.tahoe-nfs', user: { uid: 1000, gid: 100 }, number: '0:54' },
  ])
})

test('macOS: `mount` tells what is mounted, and `nfsstat -m` from which port of this machine', t => {
  const stats = [
    '/Volumes/eve/Tahoe from 127.0.0.1:/tahoe-0123',
    '  -- Original mount options:',
    '     General mount flags: 0x18 nodev,nosuid',
    '     NFS parameters: vers=3,tcp,port=50123,mountport=50123,hard',
    '/Volumes/office from nas.example:/export',
    '     NFS parameters: vers=3,tcp,port=2049',
  ].join('\n')
  t.deepEqual([...parseNfsstat(stats)], [['/Volumes/eve/Tahoe', 50123]])
  const list = [
    '/dev/disk1s1 on / (apfs, local, read-only, journaled)',
    '127.0.0.1:/tahoe-0123 on /Volumes/eve/Tahoe (nfs, nodev, nosuid, mounted by eve)',
    'nas.example:/export on /Volumes/office (nfs)',
  ].join('\n')
  const plain = { port: null, path: '/', readOnly: false, user: null, number: null }
  t.deepEqual(parseMountList(list, parseNfsstat(stats)), [
    { ...plain, mountpoint: '/', type: 'apfs', readOnly: true },
    { ...plain, mountpoint: '/Volumes/eve/Tahoe', type: 'nfs', port: 50123 },
    { ...plain, mountpoint: '/Volumes/office', type: 'nfs' },
  ])
})

test('who uses a mount is named, some of many, and that not all may be looked at is said', t => {
  const nobody = { by: [], hidden: 0, below: [] }
  const by = Array.from({ length: 11 }, (_, i) => ({ pid: 100 + i, name: 'vim' }))
  t.is(
    inUse({
      ...nobody,
      by: [
        { pid: 1234, name: 'vim' },
        { pid: 99, name: 'bash' },
      ],
    }),
    'in use by vim (1234), bash (99)',
  )
  t.regex(inUse({ ...nobody, by }), /^in use by (vim \(\d+\), ){8}3 more$/)
  t.is(inUse({ ...nobody, below: ['/mnt/x'] }), 'in use by what is mounted on /mnt/x')
  t.is(inUse({ ...nobody, hidden: 1 }), 'in use (1 process of others may not be looked at)')
  t.is(
    inUse({ by: [{ pid: 7, name: 'cp' }], hidden: 40, below: [] }),
    'in use by cp (7) (40 processes of others may not be looked at)',
  )
})

test('sizes are powers of 1024, with or without their unit spelt out', t => {
  t.is(bytes('0'), 0)
  t.is(bytes('500M'), 500 * 2 ** 20)
  t.is(bytes('1.5g'), 1.5 * 2 ** 30)
  t.is(bytes('10GiB'), 10 * 2 ** 30)
  t.is(bytes('4 kb'), 4096)
  for (const bad of ['', 'M', '-1', '1X', '1e9', '0x10', 'NaN', '99999999T'])
    t.throws(() => bytes(bad), { message: /give a size, as 500M or 10G/ }, bad)
})

test('seconds are a plain number', t => {
  t.is(seconds('20'), 20)
  t.is(seconds('0.5s'), 0.5)
  for (const bad of ['', 's', '-1', 'Infinity', '1e3', '0x10']) t.throws(() => seconds(bad), undefined, bad)
})

test('an address is a port of loopback', t => {
  t.deepEqual(address('2049'), { host: '127.0.0.1', port: 2049 })
  t.deepEqual(address('localhost:0'), { host: '127.0.0.1', port: 0 })
  t.deepEqual(address('127.0.0.1:2049'), { host: '127.0.0.1', port: 2049 })
  t.deepEqual(address('[::1]:2049'), { host: '::1', port: 2049 })
  for (const far of ['0.0.0.0:1', '[::]:1', '192.0.2.1:2049', 'example.org:2049', '127.0.0.2:1'])
    t.throws(() => address(far), { message: /only 127\.0\.0\.1 and ::1/ }, far)
  for (const bad of ['', ':', '127.0.0.1', '65536', 'localhost:-1', 'a b:1'])
    t.throws(() => address(bad), { message: /give HOST:PORT/ }, bad)
})

test('what a shell would take apart is quoted', t => {
  t.is(quoted('/mnt/a-b_c.d'), '/mnt/a-b_c.d')
  t.is(quoted('/mnt/my photos'), "'/mnt/my photos'")
  t.is(quoted("it's"), "'it'\\''s'")
  t.is(quoted('$(x)'), "'$(x)'")
  t.is(quoted(''), "''")
})

test('no text keeps its caps, as they are or in a URL, and what only names their kind stays', t => {
  const key = 'abcdefghijklmnopqrstuvwxyz:234567abcdefghijklmnopqrstuvwxyz'
  t.is(withoutCaps(`the root URI:DIR2:${key}: bad`), 'the root [cap]: bad')
  t.is(withoutCaps(`"ro.URI:NEW:${key}"`), '"[cap]"')
  t.is(withoutCaps(`/cwd/URI:DIR2-RO:${key}/x`), '/cwd/[cap]')
  t.is(withoutCaps('http://127.0.0.1:1/uri/URI%3ADIR2%3Aabc%3Adef?t=json'), 'http://127.0.0.1:1/uri/[cap]')
  t.is(withoutCaps('a directory is needed (URI:DIR2…)'), 'a directory is needed (URI:DIR2…)')
})

test('numbers of bytes as people say them', t => {
  t.deepEqual([0, 1023, 1536, 150 * 2 ** 20, 10 * 2 ** 30].map(inWords), [
    '0 B',
    '1023 B',
    '1.5 KiB',
    '150 MiB',
    '10.0 GiB',
  ])
})

test('a while in its largest whole unit, and never less than nothing', t => {
  const [minute, hour, day] = [60_000, 3_600_000, 86_400_000]
  t.deepEqual(
    [-5, 499, 119_400, 2 * minute, 2 * hour - 1000, 2 * hour, 2 * day - 1000, 2 * day, 400 * day].map(
      whileInWords,
    ),
    ['0 s', '0 s', '119 s', '2 min', '119 min', '2 h', '47 h', '2 days', '400 days'],
  )
})

test('a text of others stays in its line, and commands no terminal', t => {
  t.is(
    printable('a\nb\u001b[2Jc\u009bd\u202ee\u2066f\u2028'),
    'a\\x0ab\\x1b[2Jc\\x9bd\\x202ee\\x2066f\\x2028',
  )
  t.is(printable('żółw – 龜 🐢'), 'żółw – 龜 🐢')
})

test('an error is told without its code', t => {
  t.is(
    withoutCode('EAGAIN: upload 7 bytes: the node does not answer'),
    'upload 7 bytes: the node does not answer',
  )
  t.is(withoutCode('ENOTHING at all'), 'ENOTHING at all')
  t.is(withoutCode('EVE: hello'), 'hello')
})

test('a path is located in the mount it is in, links on the way followed, and nothing in the mount touched', async t => {
  const links: Record<string, string> = {
    '/srv/eve/t': '../../mnt/tahoe',
    '/mnt/old': '/mnt/tahoe',
    '/a': 'b',
    '/b': '/a',
  }
  const looked: string[] = []
  const link = async (path: string): Promise<string> => {
    looked.push(path)
    if (links[path] === undefined) throw new Error('EINVAL')
    return links[path]
  }
  const points = new Set(['/mnt/tahoe', '/mnt/tahoe2'])
  const found = (path: string) => locate(path, points, link)
  t.deepEqual(await found('/mnt/tahoe'), { mountpoint: '/mnt/tahoe', path: '/' })
  t.deepEqual(await found('/mnt/tahoe/'), { mountpoint: '/mnt/tahoe', path: '/' })
  t.deepEqual(await found('/mnt/tahoe/a/../b/c'), { mountpoint: '/mnt/tahoe', path: '/b/c' })
  t.deepEqual(await found('/srv/eve/t/letters'), { mountpoint: '/mnt/tahoe', path: '/letters' })
  t.deepEqual(await found('/mnt/old/letters'), { mountpoint: '/mnt/tahoe', path: '/letters' })
  t.deepEqual(await found('/mnt/tahoe2/x'), { mountpoint: '/mnt/tahoe2', path: '/x' })
  for (const path of ['/', '/mnt', '/mnt/tahoe3', '/srv/eve/u']) t.is(await found(path), null, path)
  t.false(looked.some(path => points.has(path) || /tahoe2?\//.test(path)))
  await t.throwsAsync(found('/a/x'), { message: /links lead in a circle/ })
})

test('the home of who called through sudo is looked up by uid', t => {
  const passwd = 'root:x:0:0:root:/root:/bin/sh\neve:x:1000:1000:Eve,,,:/srv/eve:/bin/sh\nbad:x:1001\n'
  t.is(homeIn(passwd, 1000), '/srv/eve')
  t.is(homeIn(passwd, 100), null)
  t.is(homeIn(passwd, 1001), null)
})

test('a log file begins when it is opened, holds no caps, and begins anew when it is too large', t => {
  const dir = mkdtempSync(join(tmpdir(), 'tahoe-nfs-test-'))
  const file = new LogFile(2000)
  const log = logger('info', file)
  log.warn({ cap: 'URI:DIR2:abcdef:ghi' }, 'before')
  log.debug('not at this level')
  file.open(join(dir, 'log'))
  const text = () => readFileSync(join(dir, 'log'), 'utf8')
  t.regex(text(), /"cap":"\[cap\]","msg":"before"\}\n$/)
  t.is(statSync(join(dir, 'log')).mode & 0o777, 0o600)
  for (let i = 0; i < 100; i++) log.info({ i }, 'again')
  t.true(statSync(join(dir, 'log')).size < 2500)
  t.true(text().endsWith('"i":99,"msg":"again"}\n'))
})

test('a log line for a person is its time, its level, what happened, and the rest', t => {
  const line = '{"level":40,"time":"2026-01-02T03:04:05.678Z","error":"x","msg":"the grid does not answer"}\n'
  t.is(plainly(line), '03:04:05 warning: the grid does not answer {"error":"x"}\n')
  t.is(plainly('{"level":30,"time":"2026-01-02T03:04:05.678Z","msg":"ended"}\n'), '03:04:05 info: ended\n')
})
