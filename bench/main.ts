// The figures of the main job, each beside a peer in the same run: `curl` of the same cap
// from the same node. Needs what the tests need: Tahoe (test/support/install-tahoe.sh),
// nfs-ls and nfs-cat (libnfs-utils), curl. Machines are noisy: read the ratios.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import type { Cap } from '../src/tahoe/cap.ts'
import { gateway } from '../src/tahoe/gateway/gateway.ts'
import type { Source } from '../src/tahoe/grid.ts'
import { startTahoe } from '../test/support/tahoe-node.ts'
import { CountingProxy } from './counting-proxy.ts'
import { NfsFile } from './nfs-file.ts'

const run = promisify(execFile)
const MiB = 2 ** 20

const dir = await mkdtemp(join(tmpdir(), 'tahoe-nfs-bench-'))
const node = await startTahoe(join(dir, 'node'))
const grid = gateway(node.url)
const servers: ChildProcess[] = []

/** Bytes that no two files share, and that take no memory. */
function noise(size: number, seed: number): Source {
  return {
    size,
    async *open() {
      const piece = Buffer.alloc(MiB)
      for (let at = 0; at < size; at += piece.length) {
        for (let i = 0; i < piece.length; i += 4) piece.writeUInt32LE(((at + i + seed) * 2654435761) >>> 0, i)
        yield Buffer.from(piece.subarray(0, Math.min(piece.length, size - at)))
      }
    },
  }
}

const put = (size: number, seed: number): Promise<Cap> => grid.upload(noise(size, seed))
const child = (cap: Cap) => ({ cap, metadata: {} })

type Server = { readonly port: number; readonly pid: number; stop(): Promise<void> }

/** A server with a new state, over `url`. */
async function serve(root: Cap, url: string): Promise<Server> {
  const state = await mkdtemp(join(dir, 'state-'))
  const rootFile = join(state, '..', 'root.cap')
  await writeFile(rootFile, root.uri(), { mode: 0o600 })
  const bin = join(import.meta.dirname, '../bin/tahoe-nfs.js')
  const args = [bin, 'serve', '--grid', `gateway:${url}`, '--root-file', rootFile, '--state', state]
  const server = spawn(process.execPath, [...args, '--log-level', 'warn'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  servers.push(server)
  const [line] = (await once(createInterface({ input: server.stdout! }), 'line')) as [string]
  const port = Number(/:(\d+)/.exec(line)![1])
  const stop = async () => {
    server.kill('SIGTERM')
    await once(server, 'exit')
  }
  return { port, pid: server.pid!, stop }
}

// A path in the root begins with two slashes: libnfs would ask for an empty one otherwise.
const urlOf = ({ port }: Server, path: string) =>
  `nfs://127.0.0.1/${path}?nfsport=${port}&mountport=${port}&version=3`

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await work()
  return (performance.now() - begun) / 1000
}

/** Runs a program whose output is thrown away. */
async function discarded(program: string, ...args: string[]): Promise<void> {
  const process = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  const [code] = await once(process, 'exit')
  if (code !== 0) throw new Error(`${program} ended with ${code}`)
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!
const shown = (values: number[]): string =>
  `${median(values).toFixed(3)} s (${values.map(v => v.toFixed(3)).join(' ')})`

async function listing(): Promise<void> {
  const small = await put(1000, 1)
  const thousand = await grid.mkdir(
    new Map(Array.from({ length: 1000 }, (_, i) => [`file ${i}`, child(small)])),
  )
  const proxy = await CountingProxy.before(node.url)
  const server = await serve(thousand, proxy.url)
  const list = () => run('nfs-ls', [urlOf(server, '')])
  const cold = await seconds(list)
  const requests = proxy.requests
  const warm: number[] = []
  for (let i = 0; i < 5; i++) warm.push(await seconds(list))
  console.log(`ls -l of 1,000 entries: cold ${cold.toFixed(3)} s, warm ${shown(warm)}`)
  console.log(`  requests to the node from start to the first listing's end: ${requests.join(', ')}`)
  console.log(`  requests for the five after it: ${proxy.requests.length - requests.length}`)
  await server.stop()
  await proxy.close()
}

async function reading(): Promise<void> {
  const cap = await put(64 * MiB, 2)
  const root = await grid.mkdir(new Map([['big', child(cap)]]))
  const direct = `${node.url}uri/${encodeURIComponent(cap.uri())}`
  const curl: number[] = []
  const cold: number[] = []
  const warm: number[] = []
  let memory = ''
  for (let i = 0; i < 5; i++) {
    curl.push(await seconds(() => discarded('curl', '-s', '-o', '/dev/null', direct)))
    const server = await serve(root, node.url)
    const cat = () => discarded('nfs-cat', urlOf(server, '/big'))
    cold.push(await seconds(cat))
    warm.push(await seconds(cat))
    memory =
      /VmHWM:\s*(.*)/.exec(await readFile(`/proc/${server.pid}/status`, 'utf8').catch(() => ''))?.[1] ?? '?'
    await server.stop()
  }
  console.log(`64 MiB: curl from the node ${shown(curl)}`)
  console.log(`  nfs-cat cold ${shown(cold)}, ${(median(cold) / median(curl)).toFixed(2)} times curl`)
  console.log(
    `  nfs-cat warm ${shown(warm)}, ${(median(curl) / median(warm)).toFixed(1)} times as fast as curl, ${(64 / 1024 / median(warm)).toFixed(2)} GiB/s`,
  )
  console.log(`  peak memory of the server ${memory}`)
}

async function firstBytes(): Promise<void> {
  const root = await grid.mkdir(new Map([['huge', child(await put(1024 * MiB, 3))]]))
  const server = await serve(root, node.url)
  const file = await NfsFile.open(server.port, 'huge')
  const first = await seconds(() => file.read(0, 4096))
  let at = 0
  const inOrder = (async () => {
    while (at < 128 * MiB) at += await file.read(at, MiB)
  })()
  while (at < 16 * MiB) await new Promise(resolve => setTimeout(resolve, 5))
  const jump = await seconds(() => file.read(700 * MiB, 4096))
  const during = at
  await inOrder
  const memory =
    /VmHWM:\s*(.*)/.exec(await readFile(`/proc/${server.pid}/status`, 'utf8').catch(() => ''))?.[1] ?? '?'
  console.log(`1 GiB, cold: first byte after ${(first * 1000).toFixed(0)} ms`)
  console.log(
    `  a jump into its middle, while it is read in order (at ${(during / MiB).toFixed(0)} MiB): ${(jump * 1000).toFixed(0)} ms`,
  )
  console.log(`  peak memory of the server ${memory}`)
  file.close()
  await server.stop()
}

const parts: Record<string, () => Promise<void>> = { listing, reading, 'first-bytes': firstBytes }
try {
  const wanted = process.argv.slice(2)
  for (const [name, part] of Object.entries(parts))
    if (wanted.length === 0 || wanted.includes(name)) await part()
} finally {
  for (const server of servers) server.kill('SIGKILL')
  await grid.close()
  await node.stop()
  await rm(dir, { recursive: true, force: true })
}
