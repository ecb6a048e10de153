// The peer that mounts remote files: sshfs, over the SFTP frontend of a real Tahoe node.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cap } from '../src/tahoe/cap.ts'
import { gateway } from '../src/tahoe/gateway/gateway.ts'
import { startTahoe, type TahoeNode } from '../test/support/tahoe-node.ts'
import { run } from './world.ts'

/** Milliseconds that a mount takes at most. */
const PATIENCE = 30_000

/** A node whose SFTP frontend shows one directory, `root`, to one user. */
export type SftpNode = {
  readonly node: TahoeNode
  readonly root: Cap
  /** Another directory, which SFTP does not show. */
  readonly beside: Cap
  readonly port: number
  /** The private key of its user. */
  readonly key: string
}

const USER = 'bench'

/** The accounts name a directory, which only a node makes: so it starts twice. */
export async function startSftpNode(dir: string): Promise<SftpNode> {
  const nodeDir = join(dir, 'sftp-node')
  const first = await startTahoe(nodeDir)
  const grid = gateway(first.url)
  const [root, beside] = [await grid.mkdir(), await grid.mkdir()]
  await grid.close()
  await first.stop()
  const port = await freePort()
  const key = join(dir, 'user')
  const host = join(dir, 'host')
  for (const [file, type] of [
    [key, 'ed25519'],
    [host, 'rsa'],
  ] as const)
    await run('ssh-keygen', ['-q', '-t', type, '-m', 'PEM', '-N', '', '-C', '', '-f', file])
  const accounts = join(nodeDir, 'private/accounts')
  const publicKey = (await readFile(`${key}.pub`, 'utf8')).trim()
  await writeFile(accounts, `${USER} ${publicKey} ${root.uri()}\n`, { mode: 0o600 })
  const settings = [
    '[sftpd]',
    'enabled = true',
    `port = tcp:${port}:interface=127.0.0.1`,
    `host_pubkey_file = ${host}.pub`,
    `host_privkey_file = ${host}`,
    `accounts.file = ${accounts}`,
  ]
  await appendFile(join(nodeDir, 'tahoe.cfg'), `\n${settings.join('\n')}\n`)
  return { node: await startTahoe(nodeDir), root, beside, port, key }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** The node's directory at `dir`, mounted by sshfs as its manual says, without options of its own for speed. */
export class Sshfs {
  readonly dir: string
  readonly #key: string
  readonly #process: ChildProcess

  private constructor(dir: string, key: string, process: ChildProcess) {
    this.dir = dir
    this.#key = key
    this.#process = process
  }

  static async mount({ port, key }: SftpNode, dir: string): Promise<Sshfs> {
    await mkdir(dir, { recursive: true })
    const before = (await stat(dir)).dev
    const options = {
      port,
      IdentityFile: key,
      StrictHostKeyChecking: 'no', // it has just been made
      UserKnownHostsFile: '/dev/null',
      LogLevel: 'ERROR',
    }
    const given = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
    const sshfs = ['sshfs', '-f', ...given, `${USER}@127.0.0.1:/`, dir]
    const child = spawn('setpriv', ['--pdeathsig', 'TERM', ...sshfs], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    for (const end = Date.now() + PATIENCE; (await stat(dir)).dev === before; await sleep(20)) {
      if (child.exitCode !== null) throw new Error(`sshfs ended with ${child.exitCode}: ${said}`)
      if (Date.now() > end) throw new Error('sshfs does not mount')
    }
    return new Sshfs(dir, key, child)
  }

  /** sshfs, and the ssh that it speaks through, which is nobody's child: both are given the key. */
  async pids(): Promise<number[]> {
    const all = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
    const isOurs = async (pid: string) =>
      (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes(this.#key)
    const found = await Promise.all(all.map(isOurs))
    return all.filter((_, i) => found[i]).map(Number)
  }

  async unmount(): Promise<void> {
    const { exitCode, signalCode } = this.#process
    if (exitCode !== null || signalCode !== null) return // it has ended, and unmounted before
    const gone = once(this.#process, 'exit')
    await run('fusermount3', ['-u', '-z', this.dir])
    await gone
  }
}
