// The frontend and the real kernel: what it keeps, what it is told to let go of, and how it waits.
// The file system in memory is fresh for ever, so that what is seen of others' changes was told.

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  access,
  constants,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { promisify } from 'node:util'
import ava, { type ExecutionContext } from 'ava'
import { FuseWorld, reads, until } from '../support/fuse-world.ts'
import { needs } from '../support/needs.ts'

const run = promisify(execFile)
const isUsable = await access('/dev/fuse', constants.R_OK | constants.W_OK).then(
  () => process.getuid?.() === 0,
  () => false,
)
const test = needs(isUsable, 'root and /dev/fuse')
/** For what is done to the whole kernel: the others come after it. */
const alone = needs(isUsable, 'root and /dev/fuse', ava.serial)
/** The kernel lets go of a file's bytes. */
const dropped = (path: string) => run('dd', [`if=${path}`, 'iflag=nocache', 'count=0'])
const missing = (path: string) =>
  stat(path).then(
    () => false,
    (err: NodeJS.ErrnoException) => err.code === 'ENOENT',
  )

test('what another frontend writes is read at once, though the kernel had the bytes', async t => {
  const world = await FuseWorld.open(t)
  const path = world.path('file')
  await writeFile(path, 'before')
  t.is(await readFile(path, 'utf8'), 'before')
  const { id } = await world.others.lookup(world.root, 'file')
  await world.others.write(id, 0, Buffer.from('behind'), 'unstable')
  await reads(path, 'behind')
  await world.others.write(id, 0, Buffer.from('longer than before'), 'unstable')
  await reads(path, 'longer than before')
  await world.others.setattr(id, { size: 3 })
  await reads(path, 'lon')
})

test('a file that is open is told of what others write to it', async t => {
  const world = await FuseWorld.open(t)
  await writeFile(world.path('file'), 'before')
  const file = await open(world.path('file'))
  t.teardown(() => file.close())
  const first = async () => (await file.read(Buffer.alloc(6), 0, 6, 0)).buffer.toString()
  t.is(await first(), 'before')
  const { id } = await world.others.lookup(world.root, 'file')
  await world.others.write(id, 0, Buffer.from('behind'), 'unstable')
  await until(async () => (await first()) === 'behind', 'the new bytes')
})

test('a name that was missing is kept as missing, and seen when another frontend makes it', async t => {
  const world = await FuseWorld.open(t)
  const path = world.path('later')
  t.true(await missing(path))
  const asked = await world.asked('LOOKUP')
  for (let i = 0; i < 20; i++) t.true(await missing(path))
  t.is(await world.asked('LOOKUP'), asked)
  await world.others.create(world.root, 'later', { mode: 'guarded', attrs: {} })
  await until(async () => !(await missing(path)), 'the name')
})

test('names that another frontend removes, moves and replaces are seen', async t => {
  const world = await FuseWorld.open(t)
  for (const name of ['a', 'b', 'c']) await writeFile(world.path(name), name)
  await world.others.remove(world.root, 'a')
  await until(() => missing(world.path('a')), 'a is gone')
  await world.others.rename(world.root, 'b', world.root, 'c')
  await until(() => missing(world.path('b')), 'b is gone')
  await reads(world.path('c'), 'b')
  t.deepEqual(await readdir(world.dir), ['c'])
  await mkdir(world.path('d'))
  await world.others.rmdir(world.root, 'd')
  await until(() => missing(world.path('d')), 'd is gone')
})

test('attributes that another frontend sets are seen', async t => {
  const world = await FuseWorld.open(t)
  await writeFile(world.path('file'), '', { mode: 0o644 })
  t.is((await stat(world.path('file'))).mode & 0o777, 0o644)
  const { id } = await world.others.lookup(world.root, 'file')
  await world.others.setattr(id, { mode: 0o600 })
  await until(async () => ((await stat(world.path('file'))).mode & 0o777) === 0o600, 'the mode')
})

test('a listing is kept, and forgotten when another frontend makes a name', async t => {
  const world = await FuseWorld.open(t)
  for (let i = 0; i < 300; i++) await writeFile(world.path(`name ${i}`), '')
  const all = async () => (await readdir(world.dir)).length
  t.is(await all(), 300)
  const listed = async () => (await world.asked('READDIRPLUS')) + (await world.asked('READDIR'))
  await all()
  const asked = await listed()
  t.is(await all(), 300)
  t.is(await listed(), asked)
  await world.others.create(world.root, 'one more', { mode: 'guarded', attrs: {} })
  await until(async () => (await all()) === 301, 'the new name')
})

test("the kernel's own changes are not told back to it: bytes that were written are not read again", async t => {
  const world = await FuseWorld.open(t)
  const content = Buffer.alloc(3 << 20, 'x')
  await writeFile(world.path('file'), content)
  t.true((await readFile(world.path('file'))).equals(content))
  const asked = await world.asked('READ')
  const file = await open(world.path('file'), 'r+')
  for (let i = 0; i < 10; i++) await file.write(Buffer.from('y'), 0, 1, i * 4096)
  await file.close()
  const again = await readFile(world.path('file'))
  for (let i = 0; i < 10; i++) content.write('y', i * 4096)
  t.true(again.equals(content))
  t.is(await world.asked('READ'), asked)
})

test('attributes of a listing are not asked for again one by one', async t => {
  const world = await FuseWorld.open(t)
  for (let i = 0; i < 500; i++)
    await world.others.create(world.root, `name ${i}`, { mode: 'guarded', attrs: {} })
  const { stdout } = await run('ls', ['-l', world.dir])
  t.is(stdout.split('\n').length, 502)
  t.true((await world.asked('LOOKUP')) + (await world.asked('GETATTR')) < 20)
})

test('a name that can be spelt in two ways is asked for each time, and is removed in either', async t => {
  const world = await FuseWorld.open(t)
  const [nfc, nfd] = ['caf\u00e9', 'cafe\u0301']
  await writeFile(world.path(nfc), 'x')
  t.is(await readFile(world.path(nfd), 'utf8'), 'x')
  await unlink(world.path(nfd))
  t.true(await missing(world.path(nfc)))
  t.true(await missing(world.path(nfd)))
  await writeFile(world.path(nfd), 'y')
  t.is(await readFile(world.path(nfc), 'utf8'), 'y')
})

test('a read that waits is ended by a signal, and the file system hears of it', async t => {
  const world = await FuseWorld.open(t)
  await writeFile(world.path('file'), 'content')
  await world.hold('read')
  const dd = spawn('dd', [`if=${world.path('file')}`, 'iflag=direct', 'of=/dev/null'], { stdio: 'ignore' })
  await world.waiting(1)
  dd.kill('SIGINT')
  await once(dd, 'exit')
  await until(async () => (await world.stats()).calls['READ']?.['EINTR'] === 1, 'it is interrupted')
  await world.letGo('read')
  t.is(await readFile(world.path('file'), 'utf8'), 'content')
})

test('a program that waits in a read is ended by a signal that ends it', async t => {
  const world = await FuseWorld.open(t)
  await writeFile(world.path('file'), 'content')
  await dropped(world.path('file'))
  await world.hold('read')
  const cat = spawn('cat', [world.path('file')], { stdio: 'ignore' })
  await world.waiting(1)
  cat.kill('SIGINT')
  const [, signal] = await once(cat, 'exit')
  t.is(signal, 'SIGINT')
  await world.letGo('read')
})

test('whoever waits for one file holds up no other', async t => {
  const world = await FuseWorld.open(t)
  await writeFile(world.path('slow'), 'slow')
  await writeFile(world.path('quick'), 'quick')
  await dropped(world.path('slow'))
  await world.hold('read')
  const slow = readFile(world.path('slow'), 'utf8')
  await world.waiting(1)
  t.deepEqual(await readdir(world.dir), ['quick', 'slow'])
  await writeFile(world.path('other'), 'other')
  t.is((await stat(world.path('quick'))).size, 5)
  await world.letGo('read')
  t.is(await slow, 'slow')
})

test('a file that is removed while it is open goes when it is closed', async t => {
  const world = await FuseWorld.open(t)
  const file = await open(world.path('file'), 'w+')
  await file.write('first ')
  await unlink(world.path('file'))
  await file.write('second')
  await file.truncate(9)
  t.is((await file.stat()).nlink, 0)
  t.is((await file.read(Buffer.alloc(20), 0, 20, 0)).bytesRead, 9)
  t.is((await world.stats()).open, 1)
  await file.close()
  await until(async () => (await world.stats()).open === 0, 'it is closed')
})

alone('what the kernel forgets is held no longer', async t => {
  const world = await FuseWorld.open(t)
  for (let i = 0; i < 200; i++) await writeFile(world.path(`name ${i}`), '')
  t.true((await world.stats()).held >= 200)
  await run('sh', ['-c', 'echo 2 >/proc/sys/vm/drop_caches'])
  await until(async () => (await world.stats()).held < 20, 'it has forgotten')
})

test('a symlink is followed, also after another frontend made it lead elsewhere', async t => {
  const world = await FuseWorld.open(t)
  await symlink('a', world.path('link'))
  t.is(await readlink(world.path('link')), 'a')
  await world.others.remove(world.root, 'link')
  await world.others.symlink(world.root, 'link', Buffer.from('b'), {})
  await until(async () => (await readlink(world.path('link')).catch(() => '')) === 'b', 'the other target')
})

test('what has no place on the grid is refused as the kernel expects it', async t => {
  const world = await FuseWorld.open(t)
  const path = world.path('file')
  await writeFile(path, 'content')
  const unsupported = { message: /not supported/ }
  await t.throwsAsync(run('fallocate', ['-l', '1M', path]), unsupported)
  await t.throwsAsync(run('mkfifo', [world.path('pipe')]), unsupported)
  await t.throwsAsync(run('setfattr', ['-n', 'user.some', '-v', 'value', path]), unsupported)
  await t.throwsAsync(run('getfattr', ['-n', 'user.some', path]), unsupported)
  await run('cp', ['--sparse=auto', '--reflink=auto', path, world.path('copy')])
  t.is(await readFile(world.path('copy'), 'utf8'), 'content')
})

test('it is not unmounted while somebody uses it, and served until then', async t => {
  const world = await FuseWorld.open(t)
  await writeFile(world.path('file'), 'content')
  const file = await open(world.path('file'))
  await t.throwsAsync(run('umount', [world.dir]), { message: /busy/ })
  await run('umount', ['-l', world.dir])
  t.is((await file.read(Buffer.alloc(7), 0, 7, 0)).bytesRead, 7)
  await file.close()
  await world.gone
  t.pass()
})

test('after an end from this side whoever uses it hears that there is no connection', async t => {
  const world = await FuseWorld.open(t)
  await writeFile(world.path('file'), 'content')
  const file = await open(world.path('file'))
  await world.abort()
  await world.gone
  await t.throwsAsync(stat(world.path('file')), { code: 'ENOTCONN' })
  await file.close()
})

test('an end comes about while somebody waits for the file system, and a notice for him', async t => {
  const world = await FuseWorld.open(t)
  await mkdir(world.path('dir'))
  await world.hold('lookup')
  const waits = stat(world.path('dir', 'name'))
  await world.waiting(1)
  const { id } = await world.others.lookup(world.root, 'dir')
  await world.others.create(id, 'other', { mode: 'guarded', attrs: {} })
  await world.abort()
  await t.throwsAsync(waits)
  await world.gone
})

for (const reader of ['epoll', 'threads'] as const)
  test(`files, names and bytes come and go by the reader ${reader}`, async t => {
    const world = await FuseWorld.open(t, reader)
    t.is((await world.stats()).reader, reader)
    await bytesAndNames(t, world)
  })

async function bytesAndNames(t: ExecutionContext, world: FuseWorld): Promise<void> {
  const content = Buffer.alloc(5_000_001)
  for (let i = 0; i < content.length; i += 4)
    content.writeUInt32LE(i, i <= content.length - 4 ? i : content.length - 4)
  await Promise.all([1, 2, 3, 4].map(i => writeFile(world.path(`file ${i}`), content.subarray(i))))
  for (const i of [1, 2, 3, 4]) await dropped(world.path(`file ${i}`))
  for (const i of [1, 2, 3, 4]) t.true((await readFile(world.path(`file ${i}`))).equals(content.subarray(i)))
  await mkdir(world.path('a'))
  await rename(world.path('file 1'), world.path('a', 'moved'))
  t.deepEqual((await readdir(world.dir)).sort(), ['a', 'file 2', 'file 3', 'file 4'])
  await t.throwsAsync(rm(world.path('nothing')), { code: 'ENOENT' })
  await rm(world.path('a'), { recursive: true })
  t.true(await missing(world.path('a')))
}
