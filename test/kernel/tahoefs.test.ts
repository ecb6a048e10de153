// The kernel's client over a real grid: everything that programs read.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import test from 'ava'
import { sharedTahoe, whyNoTahoe } from '../support/tahoe.ts'
import { fill } from './grid.ts'
import { checkout, treeOf } from './image.ts'
import { judged } from './suite.ts'

await judged(test, 'read', {
  script: 'test/kernel/read.sh',
  memoryMb: 768,
  timeoutMs: 420_000,
  missing: whyNoTahoe(),
  async world(teardown) {
    const node = await sharedTahoe()
    const { root, files, env, change } = await fill(node, { crowd: true })
    const dir = await mkdtemp(join(tmpdir(), 'kernel-'))
    teardown(() => rm(dir, { recursive: true, force: true }))
    await writeFile(join(dir, 'root'), root.uri(), { mode: 0o600 })
    const args = ['serve', '--grid', `gateway:${node.url}`, '--root-file', join(dir, 'root'), '--uid', '0']
    const own = [
      '--state',
      join(dir, 'state'),
      '--listen',
      '127.0.0.1:0',
      '--dir-ttl',
      '2',
      '--log-level',
      'warn',
    ]
    const server = spawn(process.execPath, [join(checkout, 'bin/tahoe-nfs.js'), ...args, ...own], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const closed = once(server, 'close')
    const exit = (): void => void server.kill('SIGKILL')
    process.on('exit', exit)
    teardown(async () => {
      server.kill('SIGTERM')
      await closed
      process.off('exit', exit)
    })
    const [line] = (await Promise.race([
      once(createInterface({ input: server.stdout }), 'line'),
      closed,
    ])) as [unknown]
    const port = /^serving 127\.0\.0\.1:(\d+)/.exec(String(line))?.[1]
    if (port === undefined) throw new Error(`the server did not serve: ${String(line)}`)
    for (const [path, entry] of await treeOf('scripts')) files.set(path, entry)
    return { env: { ...env, PORT: port }, files, on: { 'change the grid': change } }
  },
})
