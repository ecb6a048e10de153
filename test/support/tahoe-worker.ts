// The one Tahoe node of an ava run: it lives in ava's own process, is started when
// the first test file asks for it, and ends with that process.

import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { SharedWorker } from 'ava/plugin'
import { startTahoe, type TahoeNode } from './tahoe-node.ts'

const build = join(import.meta.dirname, '../../build')
const own = join(build, `tahoe-run-${process.pid}`)

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Nobody can tidy up after a process that was killed but its successors. */
function sweep(): void {
  mkdirSync(build, { recursive: true })
  for (const name of readdirSync(build)) {
    const pid = /^tahoe-run-(\d+)$/.exec(name)?.[1]
    if (pid !== undefined && !alive(Number(pid))) rmSync(join(build, name), { recursive: true, force: true })
  }
}

let node: Promise<TahoeNode> | null = null

function started(): Promise<TahoeNode> {
  node ??= (async () => {
    sweep()
    return await startTahoe(own)
  })()
  return node
}

const factory: SharedWorker.Factory = async ({ negotiateProtocol }) => {
  const protocol = negotiateProtocol(['ava-4']).ready()
  for await (const message of protocol.subscribe()) {
    void started().then(
      ({ url, dir, storage, pid }) => message.reply({ url, dir, storage, pid }),
      (err: unknown) => message.reply({ failed: String(err) }),
    )
  }
}

export default factory
