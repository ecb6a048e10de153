// A real Tahoe-LAFS node: storage server, client and gateway in one process, no
// introducer. It lives as long as we hold its standard input, so it cannot outlive us.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

export const tahoe = join(import.meta.dirname, '../../build/tahoe/bin/tahoe')

export type TahoeNode = {
  /** The gateway, `http://127.0.0.1:PORT/`. */
  readonly url: string
  /** The node directory, as `--node-directory` takes it. */
  readonly dir: string
  /** Where the share files lie, as `storage/xx/SI/N`. */
  readonly storage: string
  readonly pid: number
  stop(): Promise<void>
}

/** Why no Tahoe node can be started here, or null. */
export const whyNoTahoe = (): string | null =>
  existsSync(tahoe) ? null : 'there is no Tahoe-LAFS here: run test/support/install-tahoe.sh'

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}

/** Polls until `look` finds something, or the process is gone, or a minute has passed. */
async function until<T>(child: ChildProcess, what: string, look: () => Promise<T | null>): Promise<T> {
  for (let i = 0; i < 600; i++) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`tahoe ended before ${what}`)
    const found = await look().catch(() => null)
    if (found !== null) return found
    await sleep(100)
  }
  child.kill('SIGKILL')
  throw new Error(`tahoe took more than a minute until ${what}`)
}

async function run(dir: string): Promise<{ child: ChildProcess; url: string }> {
  await rm(join(dir, 'node.url'), { force: true })
  // Without --allow-stdin-close it exits when its standard input ends, which is when we end.
  const child = spawn(tahoe, ['run', dir], { stdio: ['pipe', 'ignore', 'ignore'] })
  child.stdin!.on('error', () => {}) // it may be gone before us
  const url = await until(child, 'its web port was open', async () => {
    const text = (await readFile(join(dir, 'node.url'), 'utf8')).trim()
    return (await fetch(text + '?t=json')).ok ? text : null
  })
  return { child, url }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGTERM')
  const slow = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await gone
  clearTimeout(slow)
}

/** Creates the node directory when it is not there, starts the node, and waits for its storage. */
export async function startTahoe(dir: string): Promise<TahoeNode> {
  if (!existsSync(join(dir, 'private/servers.yaml'))) await create(dir)
  const { child, url } = await run(dir)
  await until(child, 'its storage was connected', async () => {
    const status = (await (await fetch(url + '?t=json')).json()) as {
      servers: { connection_status: string }[]
    }
    return status.servers.some(s => /^connected/i.test(s.connection_status)) || null
  })
  return { url, dir, storage: join(dir, 'storage/shares'), pid: child.pid!, stop: () => end(child) }
}

async function create(dir: string): Promise<void> {
  const port = await freePort()
  const listen = ['--port', `tcp:${port}:interface=127.0.0.1`, '--location', `tcp:127.0.0.1:${port}`]
  const web = ['--webport', 'tcp:0:interface=127.0.0.1']
  const shares = ['--shares-needed=1', '--shares-happy=1', '--shares-total=1']
  await mkdir(join(dir, '..'), { recursive: true })
  await promisify(execFile)(tahoe, ['create-node', ...listen, ...web, ...shares, '--nickname=test', dir])
  const cfg = join(dir, 'tahoe.cfg')
  const text = await readFile(cfg, 'utf8')
  // A small disk is no reason to fail here.
  await writeFile(cfg, text.replace(/^reserved_space = .*$/m, 'reserved_space = 10M'))

  // The first start makes the keys that the list of servers must name.
  const { child } = await run(dir)
  const server = await until(child, 'its keys were made', async () => {
    const furl = (await readFile(join(dir, 'private/storage.furl'), 'utf8')).trim()
    const key = (await readFile(join(dir, 'node.pubkey'), 'utf8')).trim().replace(/^pub-/, '')
    return furl !== '' && key !== '' ? { furl, key } : null
  })
  await end(child)
  const ann = `    ann:\n      nickname: test\n      anonymous-storage-FURL: ${server.furl}\n`
  await writeFile(join(dir, 'private/servers.yaml'), `storage:\n  ${server.key}:\n${ann}`)
}

/** The share files of a storage index, as paths; none when nothing is stored. */
export async function shareFiles(storage: string, storageIndex: string): Promise<string[]> {
  const dir = join(storage, storageIndex.slice(0, 2), storageIndex)
  const names = await readdir(dir).catch(() => [])
  return names.map(name => join(dir, name))
}
