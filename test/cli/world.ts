// A user of the command line: a home of their own, a root cap in a file, a node that
// answers, and the program as a child, whose words and exit code are judged.

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import { parseCap } from '../../src/tahoe/cap.ts'
import { encode } from '../../src/tahoe/format/base32.ts'
import { Turns } from '../../src/tahoe/turns.ts'
import { NfsClient } from '../nfs/conformance/world.ts'
import { type FaultyGateway, faultyGateway } from '../support/faulty-gateway.ts'
import { folder } from '../support/places.ts'
import { RpcClient } from '../support/rpc-client.ts'

export const bin = join(import.meta.dirname, '../../bin/tahoe-nfs.js')

export type Said = { readonly code: number | null; readonly out: string; readonly err: string }

/** A directory cap like no other; nothing is behind it but the stand-in. */
export function inventedCap(seed: string, kind = 'URI:DIR2'): string {
  const sum = createHash('sha256').update(seed).digest()
  return `${kind}:${encode(sum.subarray(0, 16))}:${encode(sum)}`
}

/** ava starts all tests at once; each child takes its share of memory. */
const turns = new Turns(4)

export class User {
  readonly dir: string
  readonly home: string
  readonly env: Record<string, string>
  readonly children: ChildProcess[] = []

  constructor(dir: string) {
    this.dir = dir
    this.home = join(dir, 'h')
    this.env = {
      PATH: process.env['PATH'] ?? '',
      HOME: this.home,
      XDG_STATE_HOME: join(dir, 's'),
      XDG_CACHE_HOME: join(dir, 'c'),
      XDG_DATA_HOME: join(dir, 'd'),
    }
  }

  path(name: string): string {
    return join(this.dir, name)
  }

  /** The program with its arguments, as this user starts it. */
  command(args: readonly string[]): [string, string[]] {
    return [process.execPath, [bin, ...args]]
  }

  start(args: readonly string[], env: Record<string, string> = {}): ChildProcess {
    const [program, rest] = this.command(args)
    const child = spawn(program, rest, {
      cwd: this.home,
      env: { ...this.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    child.stdin!.on('error', () => {})
    this.children.push(child)
    return child
  }

  /** Runs to the end. */
  async run(args: readonly string[], input = '', env: Record<string, string> = {}): Promise<Said> {
    const done = await turns.take('run')
    try {
      return await this.#run(args, input, env)
    } finally {
      done()
    }
  }

  async #run(args: readonly string[], input: string, env: Record<string, string>): Promise<Said> {
    const child = this.start(args, env)
    const texts = ['', '']
    child.stdout!.setEncoding('utf8').on('data', text => (texts[0] += text))
    child.stderr!.setEncoding('utf8').on('data', text => (texts[1] += text))
    child.stdin!.end(input)
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, out: texts[0]!, err: texts[1]! }
  }

  /** Starts `serve` and waits until it says where; what it says besides collects in `said`. */
  async serve(...args: string[]): Promise<Served> {
    return served(this.start(['serve', ...args]))
  }

  /** Every path below its folder, with what kind it is and how large. */
  async everything(): Promise<string[]> {
    const all = await readdir(this.dir, { recursive: true, withFileTypes: true })
    return all.map(each => join(each.parentPath, each.name)).sort()
  }

  async end(): Promise<void> {
    for (const name of await readdir(this.path('s/tahoe-nfs/run')).catch(() => []))
      await kill(Number.parseInt(name, 10), 'SIGTERM')
    for (const child of this.children)
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
  }
}

export type Served = {
  readonly child: ChildProcess
  readonly port: number
  readonly said: { out: string; err: string }
  /** Sends the signal and gives the exit code. */
  end(signal?: NodeJS.Signals): Promise<number | null>
}

async function served(child: ChildProcess): Promise<Served> {
  const said = { out: '', err: '' }
  child.stdout!.setEncoding('utf8').on('data', text => (said.out += text))
  child.stderr!.setEncoding('utf8').on('data', text => (said.err += text))
  const closed = once(child, 'close') as Promise<[number | null]>
  const address = () => /serving \S+?:(\d+)[ ;][\s\S]*\n {2}.*\n/.exec(said.out)
  while (!address() && child.exitCode === null && child.signalCode === null) await sleep(10)
  const port = Number(address()?.[1])
  if (!port) throw new Error(`it does not serve: ${said.out}${said.err}`)
  return {
    child,
    port,
    said,
    async end(signal = 'SIGTERM') {
      child.kill(signal)
      return (await closed)[0]
    },
  }
}

/** Ends a process that is no child of ours, and waits until it is gone. */
export async function kill(pid: number, signal: NodeJS.Signals): Promise<void> {
  try {
    process.kill(pid, signal)
    while (process.kill(pid, 0)) {
      const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
      if (/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))) return // a container may not collect it
      await sleep(10)
    }
  } catch {} // gone
}

export type World = { user: User; node: FaultyGateway; root: string; grid: string[] }

/** A node with one directory, which answers to every cap; it stores nothing. */
export async function standIn(t: ExecutionContext): Promise<FaultyGateway> {
  const directory = (uri: string) => [
    'dirnode',
    { mutable: true, rw_uri: uri, ro_uri: parseCap(uri).readonly().uri(), children: { note: LITERAL } },
  ]
  const node = await faultyGateway({
    answer: ({ path }) => {
      const json = (value: unknown) => ({ status: 200, text: JSON.stringify(value) })
      if (path === '/?t=json')
        return json({ servers: [{ connection_status: 'connected', available_space: 1e9 }] })
      const uri = /^\/uri\/([^?/]+)/.exec(path)?.[1]
      return uri === undefined
        ? { status: 500, text: 'it stores nothing' }
        : json(directory(decodeURIComponent(uri)))
    },
  })
  t.teardown(() => node.close())
  return node
}

/** A file of one byte. */
const LITERAL = ['filenode', { ro_uri: 'URI:LIT:te', mutable: false, size: 1, metadata: {} }]

export async function user(t: ExecutionContext): Promise<User> {
  const someone = new User(await folder(t))
  t.teardown(() => someone.end())
  await mkdir(someone.home)
  await mkdir(someone.path('mnt'))
  return someone
}

/** A user, a node, and the root cap in a file: `grid` are the options that name both. */
export async function world(t: ExecutionContext): Promise<World> {
  const someone = await user(t)
  const node = await standIn(t)
  const root = inventedCap(t.title)
  await writeFile(someone.path('root'), `${root}\n`, { mode: 0o600 })
  return {
    user: someone,
    node,
    root,
    grid: ['--grid', `gateway:${node.url}`, '--root-file', someone.path('root')],
  }
}

/** A client that claims to be the one who runs the tests. */
export async function client(t: ExecutionContext, port: number): Promise<NfsClient> {
  const cred = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
  const rpc = await RpcClient.connect(port, { cred })
  t.teardown(() => rpc.close())
  return new NfsClient(rpc)
}

/** Files in the root of what is served, durable when it returns. */
export async function putAll(
  t: ExecutionContext,
  { port }: Served,
  files: Record<string, Uint8Array>,
): Promise<void> {
  const nfs = await client(t, port)
  for (const [name, bytes] of Object.entries(files)) {
    const file = await nfs.create(await nfs.root(), name)
    for (let at = 0; at < bytes.length; at += 1 << 17)
      await nfs.write(file, at, bytes.subarray(at, at + (1 << 17)), 'FILE_SYNC')
  }
}

/** All of a file in the root. */
export async function get(t: ExecutionContext, { port }: Served, name: string): Promise<Buffer> {
  const nfs = await client(t, port)
  const file = await nfs.lookup(await nfs.root(), name)
  const parts: Buffer[] = []
  for (let part: Buffer; (part = await nfs.read(file, parts.length << 17, 1 << 17)).length > 0; )
    parts.push(part)
  return Buffer.concat(parts)
}

/** What must hold of every refusal: its exit code, one line, no stack, no cap. */
export function refused(t: ExecutionContext, said: Said, code: number, like: RegExp): void {
  t.is(said.code, code, said.err)
  t.is(said.out, '')
  t.regex(said.err, /^tahoe-nfs: [^\n]+\n$/)
  t.regex(said.err, like)
  t.notRegex(said.err, /URI:[A-Z0-9-]+:[a-z2-7]{10}|\bat .*\.[jt]s:\d+/)
}
