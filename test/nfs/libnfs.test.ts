// libnfs, an NFS client of other people's making, against the server over the file
// system in memory: it lists, reads and writes through its own codecs.

import { execFile, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { ExecutionContext } from 'ava'
import { MemFs } from '../support/memfs.ts'
import { needs } from '../support/needs.ts'
import { serveOn } from './conformance/world.ts'

const run = promisify(execFile)
const found = ['nfs-ls', 'nfs-cat', 'nfs-cp'].every(tool => spawnSync(tool).error === undefined)
const withLibnfs = needs(found, 'nfs-ls, nfs-cat and nfs-cp, in Debian’s libnfs-utils')

// libnfs claims the uid it runs under.
const me = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }

async function served(t: ExecutionContext) {
  const vfs = new MemFs(me)
  const { port, serving, end } = await serveOn(vfs, { owner: me, admit: undefined })
  t.teardown(end)
  const dir = await mkdtemp(join(tmpdir(), 'tahoe-nfs-test-'))
  t.teardown(() => rm(dir, { recursive: true }))
  // It mounts a file's parent; of a file in the root only "//name" gives it a path to mount.
  const url = (path: string) => `nfs://127.0.0.1/${path}?nfsport=${port}&mountport=${port}&version=3`
  return { vfs, serving, dir, url }
}

const big = { encoding: 'buffer' as const, maxBuffer: 2 ** 26 }
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

withLibnfs('nfs-ls lists three thousand names, each once, with their sizes', async t => {
  const { vfs, url } = await served(t)
  const dir = await vfs.mkdir(vfs.root, 'many', {})
  for (let i = 0; i < 3000; i++)
    await vfs.create(dir.attr.id, `file-${i}`, { mode: 'guarded', attrs: { size: i } })
  const { stdout } = await run('nfs-ls', [url('many')])
  const sizes = new Map(
    stdout
      .trim()
      .split('\n')
      .map(line => {
        const [, , , , size, name] = line.trim().split(/\s+/)
        return [name, Number(size)]
      }),
  )
  t.is(stdout.trim().split('\n').length, 3000)
  for (let i = 0; i < 3000; i++) t.is(sizes.get(`file-${i}`), i)
})

withLibnfs('nfs-cp writes a file and nfs-cat reads it, to the last byte', async t => {
  const { vfs, url, dir } = await served(t)
  await vfs.mkdir(vfs.root, 'sub', {})
  for (const [name, size] of [
    ['empty', 0],
    ['one', 1],
    ['odd', 1_048_577],
    ['big', 20_000_003],
  ] as const) {
    const content = randomBytes(size)
    await writeFile(join(dir, name), content)
    for (const path of [`sub/${name}`, `/${name}`]) {
      await run('nfs-cp', [join(dir, name), url(path)])
      const { stdout } = await run('nfs-cat', [url(path)], big)
      t.is(digest(stdout), digest(content), path)
    }
  }
})

withLibnfs('nfs-cp copies from the server to the server', async t => {
  const { url, dir } = await served(t)
  const content = randomBytes(300_000)
  await writeFile(join(dir, 'a'), content)
  await run('nfs-cp', [join(dir, 'a'), url('/a')])
  await run('nfs-cp', [url('/a'), url('/b')])
  t.is(digest((await run('nfs-cat', [url('/b')], big)).stdout), digest(content))
})

withLibnfs('a read-only file system reads, and refuses nfs-cp with EROFS', async t => {
  const { vfs, url, dir } = await served(t)
  await writeFile(join(dir, 'a'), 'x')
  await run('nfs-cp', [join(dir, 'a'), url('/a')])
  vfs.readOnly = true
  t.is((await run('nfs-cat', [url('/a')])).stdout, 'x')
  const err = await t.throwsAsync(run('nfs-cp', [join(dir, 'a'), url('/b')]))
  t.regex(String((err as unknown as { stderr: string }).stderr), /ROFS/)
})
