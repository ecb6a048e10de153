// What rests on this disk tells nothing: no name, no cap and no byte of content is found
// in any file of the state and the cache, nor in the name of one.

import { spawn } from 'node:child_process'
import { copyFile, lstat, mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { Cap } from '../../src/tahoe/cap.ts'
import { decode } from '../../src/tahoe/format/base32.ts'
import { folder, onlyAsked, openAt, readAll, settled } from '../support/places.ts'
import { secretTexts, secretWorld } from '../support/secret-world.ts'
import { makeTree, onTahoe, put } from '../support/tahoe.ts'

/** What must not be found: texts as they are, and keys also in their binary form. */
function needles(names: readonly string[], caps: readonly Cap[], contents: readonly Buffer[]): Buffer[] {
  const found: Buffer[] = names.map(name => Buffer.from(name))
  for (const cap of caps) {
    for (const each of [cap, cap.readonly(), cap.verify() ?? cap]) {
      for (const field of each
        .uri()
        .split(':')
        .filter(field => field.length >= 16)) {
        found.push(Buffer.from(field), Buffer.from(field.slice(3, 19)))
        const binary = decode(field)
        if (binary)
          found.push(binary, Buffer.from(binary.toString('hex')), Buffer.from(binary.toString('base64')))
      }
    }
    if (cap.storageIndex) found.push(Buffer.from(cap.storageIndex))
  }
  for (const bytes of contents)
    for (const at of [0, 5, bytes.length >> 1, bytes.length - 16]) found.push(bytes.subarray(at, at + 16))
  return [
    ...found,
    Buffer.from('URI:'),
    Buffer.from('tahoe-nfs": {'),
    Buffer.from('linkmotime'),
    Buffer.from('metadata-of-mine'),
  ]
}

/** That nothing of it is in `dir`; how many blocks, and how many bytes of state and of staging, were searched. */
async function searched(t: ExecutionContext, dir: string, unwanted: readonly Buffer[]) {
  let [blocks, state, staged] = [0, 0, 0]
  for (const path of await readdir(dir, { recursive: true })) {
    for (const needle of unwanted) t.false(path.includes(needle.toString('latin1')), path)
    if (!(await lstat(join(dir, path))).isFile()) continue
    const bytes = await readFile(join(dir, path))
    if (/^cache\/..\//.test(path)) blocks++
    if (path.startsWith('state/state.db')) state += bytes.length
    if (path.startsWith('state/staging/')) staged += bytes.length
    for (const needle of unwanted)
      t.is(bytes.indexOf(needle), -1, `${path} holds ${needle.toString('latin1')}`)
  }
  return { blocks, state, staged }
}

const names = [
  'large-file-name',
  'secret-link-name',
  'inner-directory-name',
  'small-file-name',
  'literal-file-name',
  'mutable-file-name',
  'new-directory-name',
  'new-file-name',
  'kept-file-name',
  'new-link-name',
  'moved-file-name',
]

/** Lets a child read everything, and kills it; what is on the disk then is copied, so that nothing looks after it. */
async function killedReader(
  t: ExecutionContext,
  dir: string,
  url: string | null,
  root: Cap,
  write = false,
): Promise<string> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../support/secrets-child.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const gone = new Promise(resolve => child.once('exit', resolve))
  child.stdin.end(JSON.stringify({ dir, url, root: root.uri(), write }))
  await Promise.race([new Promise(resolve => child.stdout.once('data', resolve)), gone])
  t.is(child.exitCode, null)
  child.kill('SIGKILL')
  await gone
  return dir
}

test('nothing of a tree that was read is found in the state and the cache after closing', async t => {
  const { grid, root, caps } = secretWorld()
  const unwanted = needles(names, caps, Object.values(secretTexts))
  const dir = await folder(t)
  const fs = await openAt(dir, grid, root)
  await readAll(fs, fs.root)
  await fs.close()
  const { blocks, state } = await searched(t, dir, unwanted)
  t.is(blocks, 5) // large has two; small, mutable, target
  t.true(state > 10_000)
})

test('nothing of it is found after kill -9 either, and the next process serves all of it', async t => {
  const { grid, root, caps } = secretWorld()
  const unwanted = needles(names, caps, Object.values(secretTexts))
  const dir = await killedReader(t, await folder(t), null, root)
  const { blocks } = await searched(t, dir, unwanted)
  t.is(blocks, 5)
  const fs = await openAt(dir, grid, root)
  await readAll(fs, fs.root)
  t.is(grid.asked.read, 0)
  await fs.close()
})

test('nothing of what was written and waits is found after kill -9, and the next process has all of it', async t => {
  const { grid, root, caps } = secretWorld()
  const unwanted = needles(names, caps, Object.values(secretTexts))
  const dir = await killedReader(t, await folder(t), null, root, true)
  const { staged } = await searched(t, dir, unwanted)
  t.true(staged > 300_000)
  const fs = await openAt(dir, grid, root, { tempo: onlyAsked })
  const made = await fs.lookup(fs.root, 'new-directory-name')
  for (const name of ['new-file-name', 'kept-file-name']) {
    const file = await fs.lookup(made.id, name)
    t.true(Buffer.concat((await fs.read(file.id, 0, 400_000)).data).equals(secretTexts.written))
  }
  const link = await fs.lookup(made.id, 'new-link-name')
  t.deepEqual(Buffer.from((await fs.readlink(link.id)).target), secretTexts.linked)
  await fs.lookup(fs.root, 'moved-file-name')
  await fs.close()
})

test('a state and a cache carried away are of no use without the root cap', async t => {
  const { grid, root } = secretWorld()
  const dir = await folder(t)
  const fs = await openAt(dir, grid, root)
  await readAll(fs, fs.root)
  await fs.close()
  const stolen = join(dir, 'stolen')
  await mkdir(stolen, { mode: 0o700 })
  for (const file of ['lock', 'state.db', 'pid']) await copyFile(join(dir, 'state', file), join(stolen, file))
  const other = secretWorld().grid.directory()
  await t.throwsAsync(openAt(dir, grid, other, { stateDir: stolen }), { code: 'EACCES' })
  await t.throwsAsync(openAt(dir, grid, root.readonly(), { stateDir: stolen }), { code: 'EACCES' })
  await t.throwsAsync(openAt(join(dir, 'new'), grid, root, { cacheDir: join(dir, 'cache') }), {
    code: 'EACCES',
  })
})

onTahoe(
  test,
  'nothing of what was read from a real node is found, after closing and after kill -9',
  async (t, node) => {
    const { gateway } = await import('../../src/tahoe/gateway/gateway.ts')
    const caps = [await put(node, secretTexts.large), await put(node, secretTexts.small)] as const
    const mutable = await put(node, secretTexts.mutable, '?format=SDMF')
    const inner = await makeTree(node, { 'large-file-name': caps[0] })
    const root = await makeTree(node, {
      'inner-directory-name': inner,
      'small-file-name': caps[1],
      'mutable-file-name': mutable,
      'literal-file-name': secretTexts.literal,
    })
    const unwanted = needles(names, [...caps, mutable, inner, root], Object.values(secretTexts))
    const dir = await folder(t)
    const grid = gateway(node.url)
    t.teardown(() => grid.close())
    const fs = await openAt(dir, grid, root)
    await readAll(fs, fs.root)
    await settled(() => fs.status().cache.bytes > 1_300_000)
    await fs.close()
    t.is((await searched(t, dir, unwanted)).blocks, 4)
    const killed = await killedReader(t, await folder(t), node.url, root)
    t.is((await searched(t, killed, unwanted)).blocks, 4)
  },
)
