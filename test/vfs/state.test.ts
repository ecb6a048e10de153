import { spawn } from 'node:child_process'
import { chmod, lstat, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test, { type ExecutionContext } from 'ava'
import type { Op } from '../../src/vfs/state/schema.ts'
import { State } from '../../src/vfs/state/state.ts'
import { folder } from '../support/places.ts'

const secret = 'URI:DIR2:the secret of this test'
const child = join(import.meta.dirname, '../support/state-child.ts')

const note = (key: string, value: bigint): Op => ['setMeta', key, value]
const noted = (state: State, key: string) => state.get('SELECT value FROM meta WHERE key = ?', key)?.['value']

async function open(t: ExecutionContext, dir: string): Promise<State> {
  const state = await State.open(dir, secret)
  t.teardown(() => state.close())
  return state
}

/** Everything below a folder: names, modes and bytes. */
async function picture(dir: string): Promise<string[]> {
  const seen: string[] = []
  for (const name of (await readdir(dir, { recursive: true })).sort()) {
    const path = join(dir, name)
    const { mode } = await lstat(path)
    const bytes = (await lstat(path)).isFile() ? (await readFile(path)).toString('base64') : ''
    seen.push(`${name} ${mode.toString(8)} ${bytes}`)
  }
  return seen
}

/** That opening is refused in one line that names the folder, and changes nothing in `around`. */
async function refused(t: ExecutionContext, around: string, dir: string, code: string, says: RegExp) {
  const before = await picture(around)
  const error = await t.throwsAsync(State.open(dir, secret), { code })
  t.regex(error!.message, says)
  t.false(error!.message.includes('\n'))
  t.false(error!.message.includes('secret'))
  t.deepEqual(await picture(around), before)
}

test('what was committed is there when it is opened again, and its keys are the same', async t => {
  const dir = join(await folder(t), 'deep', 'state')
  const first = await State.open(dir, secret)
  await first.commit([note('x', 1n), note('y', 2n ** 62n)])
  const key = first.key('cache')
  await first.close()
  const second = await open(t, dir)
  t.is(noted(second, 'x'), 1n)
  t.is(noted(second, 'y'), 2n ** 62n)
  t.deepEqual(second.key('cache'), key)
  t.notDeepEqual(second.key('other'), key)
  t.is((await lstat(dir)).mode & 0o777, 0o700)
})

test('a commit is all or nothing, and after one that failed every later one fails', async t => {
  const dir = await folder(t)
  const state = await State.open(join(dir, 's'), secret)
  await state.commit([note('before', 1n)])
  const bad: Op = ['setIntent', 1, 1, null]
  const failing = t.throwsAsync(state.commit([note('with it', 1n), bad]), { code: 'EIO' })
  const queued = t.throwsAsync(state.commit([note('behind it', 1n)]), { code: 'EIO' })
  await failing
  await queued
  await t.throwsAsync(state.commit([note('after', 1n)]), { code: 'EIO' })
  await state.close()
  const again = await open(t, join(dir, 's'))
  t.is(noted(again, 'before'), 1n)
  for (const lost of ['with it', 'behind it', 'after']) t.is(noted(again, lost), undefined)
})

test('of many commits at once the last one holds', async t => {
  const state = await open(t, join(await folder(t), 's'))
  await Promise.all(Array.from({ length: 500 }, (_, i) => state.commit([note('n', BigInt(i))])))
  t.is(noted(state, 'n'), 499n)
})

test('a commit as large as a directory of 200,000 names is one commit', async t => {
  const state = await open(t, join(await folder(t), 's'))
  await state.commit(Array.from({ length: 200_000 }, (_, i) => note('n', BigInt(i))))
  t.is(noted(state, 'n'), 199_999n)
})

test('a commit after closing is refused, and closing twice is closing once', async t => {
  const state = await State.open(join(await folder(t), 's'), secret)
  const last = state.commit([note('x', 1n)])
  await Promise.all([state.close(), state.close()])
  await last
  await t.throwsAsync(state.commit([note('y', 1n)]), { code: 'EIO' })
})

test('after kill -9 everything acknowledged is there, and no half of a commit', async t => {
  const dir = join(await folder(t), 's')
  for (let round = 0; round < 3; round++) {
    const victim = spawn(process.execPath, [child, dir, secret], { stdio: ['ignore', 'pipe', 'inherit'] })
    let acknowledged = 0n
    let heard = 0
    await new Promise<void>(resolve => {
      victim.stdout.on('data', (chunk: Buffer) => {
        const lines = chunk.toString().trim().split('\n')
        acknowledged = BigInt(lines.at(-1)!)
        heard += lines.length
        if (heard >= 40) victim.kill('SIGKILL') // in the middle of the next ones
      })
      victim.on('exit', () => resolve())
    })
    t.true(heard >= 40)
    const state = await State.open(dir, secret)
    const [a, b] = [noted(state, 'a') as bigint, noted(state, 'b') as bigint]
    t.is(a, b)
    t.true(a >= acknowledged)
    await state.close()
  }
})

test('while one process has it, another is refused and told which', async t => {
  const dir = join(await folder(t), 's')
  const holder = spawn(process.execPath, [child, dir, secret, 'hold'], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => holder.kill('SIGKILL'))
  await new Promise(resolve => holder.stdout.once('data', resolve))
  const error = await t.throwsAsync(State.open(dir, secret), { code: 'EACCES' })
  t.regex(error!.message, new RegExp(`in use by process ${holder.pid}\\b`))
  const gone = new Promise(resolve => holder.once('exit', resolve))
  holder.kill('SIGKILL')
  await gone
  await open(t, dir)
})

test('one process cannot have it twice either', async t => {
  const dir = join(await folder(t), 's')
  await open(t, dir)
  const error = await t.throwsAsync(State.open(dir, secret), { code: 'EACCES' })
  t.regex(error!.message, /already served/)
})

test('another root is refused, and nothing changes', async t => {
  const dir = join(await folder(t), 's')
  await (await State.open(dir, 'URI:DIR2:another root')).close()
  await refused(t, dir, dir, 'EACCES', /another root/)
})

test('another version is refused, and nothing changes', async t => {
  const dir = join(await folder(t), 's')
  await (await State.open(dir, secret)).close()
  const db = new DatabaseSync(join(dir, 'state.db'))
  db.exec('PRAGMA user_version = 99')
  db.close()
  await refused(t, dir, dir, 'EINVAL', /version 99.*version 3/)
})

test('a folder with other files in it is refused, and nothing changes', async t => {
  const dir = await folder(t)
  await writeFile(join(dir, 'thesis.txt'), 'mine')
  await refused(t, dir, dir, 'EEXIST', /holds other files/)
})

test('a symlink is refused, also one that leads to a good state, and nothing changes', async t => {
  const dir = await folder(t)
  await (await State.open(join(dir, 's'), secret)).close()
  await symlink('s', join(dir, 'link'))
  await symlink('nowhere', join(dir, 'dangling'))
  await refused(t, dir, join(dir, 'link'), 'ENOTDIR', /not a directory/)
  await refused(t, dir, join(dir, 'dangling'), 'ENOTDIR', /not a directory/)
})

test('a file is refused, also above it, and nothing changes', async t => {
  const dir = await folder(t)
  await writeFile(join(dir, 'file'), 'mine')
  await refused(t, dir, join(dir, 'file'), 'ENOTDIR', /not a directory/)
  await refused(t, dir, join(dir, 'file', 'state'), 'EACCES', /cannot be reached/)
})

test('a folder that others may enter is refused and not repaired', async t => {
  const dir = await folder(t)
  await mkdir(join(dir, 's'))
  for (const mode of [0o755, 0o710, 0o701, 0o770]) {
    await chmod(join(dir, 's'), mode)
    await refused(t, dir, join(dir, 's'), 'EACCES', /open to others.*chmod 700/)
  }
})

test('a state whose files are damaged is refused in one line', async t => {
  const dir = await folder(t)
  for (const file of ['lock', 'state.db']) {
    const state = join(dir, file)
    await (await State.open(state, secret)).close()
    await writeFile(join(state, file), 'this is not a database, but as long as one'.repeat(100))
    await refused(t, state, state, 'EIO', /damaged/)
  }
})
