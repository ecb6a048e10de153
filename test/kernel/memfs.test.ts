// The kernel's client over the in-memory file system: everything that programs do to a folder.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import test from 'ava'
import { checkout, treeOf } from './image.ts'
import { judged } from './suite.ts'

/** The server in a process of its own, on a port of its own choice. */
async function served(teardown: (end: () => Promise<void>) => void): Promise<string> {
  const server = spawn(process.execPath, [join(checkout, 'test/support/serve-memfs.ts'), '0'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const closed = once(server, 'close')
  teardown(async () => {
    server.kill('SIGTERM')
    await closed
  })
  const lines = createInterface({ input: server.stdout })
  const [line] = (await Promise.race([once(lines, 'line'), closed])) as [unknown]
  if (typeof line !== 'string') throw new Error('the server ended before it listened')
  return String((JSON.parse(line) as { port: number }).port)
}

await judged(test, 'read-write', {
  scripts: ['readwrite', 'emptied', 'ended'].map(name => `test/kernel/${name}.sh`),
  memoryMb: 768,
  timeoutMs: 300_000,
  async world(teardown) {
    return { env: { PORT: await served(teardown) }, files: await treeOf('scripts') }
  },
})
