// Keeps the one Tahoe node of an ava run: a process of its own, started by the first
// test file that asks, and gone with ava. (ava's shared workers would be the place,
// but it has them only for tests in threads, and ours run in processes.)
//
//   node tahoe-keeper.ts DIR PID   a node in DIR for as long as PID lives
//
// DIR/url.json appears when the node is ready, or DIR/failed.txt.

import { readdirSync, rmSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { startTahoe } from './tahoe-node.ts'

const [dir, owner] = [process.argv[2]!, Number(process.argv[3])]

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Nobody can tidy up after a process that was killed but its successors. */
function sweep(): void {
  for (const name of readdirSync(dirname(dir))) {
    const pid = /^tahoe-run-(\d+)-/.exec(name)?.[1]
    if (pid === undefined || alive(Number(pid)) || name === basename(dir)) continue
    rmSync(join(dirname(dir), name), { recursive: true, force: true })
  }
}

/** Under its name it is whole. */
async function publish(name: string, text: string): Promise<void> {
  await writeFile(join(dir, name + '.new'), text)
  await rename(join(dir, name + '.new'), join(dir, name))
}

sweep()
try {
  const node = await startTahoe(join(dir, 'node'))
  const { url, storage, pid } = node
  await publish('url.json', JSON.stringify({ url, dir: node.dir, storage, pid }))
  const timer = setInterval(async () => {
    if (alive(owner)) return
    clearInterval(timer)
    await node.stop()
    rmSync(dir, { recursive: true, force: true })
  }, 500)
} catch (err) {
  await publish('failed.txt', String(err))
}
