// What every figure is measured in: a node of its own, servers over it, and a folder for
// both that goes with them. Needs what the tests need: Tahoe (test/support/install-tahoe.sh).

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Cap } from '../src/tahoe/cap.ts'
import { gateway } from '../src/tahoe/gateway/gateway.ts'
import type { Child, Grid } from '../src/tahoe/grid.ts'
import { startTahoe, type TahoeNode } from '../test/support/tahoe-node.ts'
import { Server } from './server.ts'

export const run = promisify(execFile)

/** How much is measured. */
export type Sizes = {
  /** Bytes of the largest file. */
  readonly huge: number
  /** Small sizes and one round, for trying. */
  readonly quick: boolean
}

export class World {
  /** On the file system that everything here is on. */
  readonly dir: string
  readonly node: TahoeNode
  readonly grid: Grid
  readonly #servers = new Set<Server>()
  readonly #ends: (() => Promise<unknown>)[] = []

  private constructor(dir: string, node: TahoeNode) {
    this.dir = dir
    this.node = node
    this.grid = gateway(node.url)
  }

  static async make(): Promise<World> {
    const dir = await mkdtemp(join(tmpdir(), 'tahoe-nfs-bench-'))
    return new World(dir, await startTahoe(join(dir, 'node')))
  }

  /** A server with a new state, over the node itself or what stands before it. */
  async serve(root: Cap, url = this.node.url): Promise<Server> {
    const server = await Server.start(this.dir, `gateway:${url}`, root)
    this.#servers.add(server)
    return server
  }

  /** A server over a new folder of shares. */
  async serveLocal(): Promise<Server> {
    const store = await mkdtemp(join(this.dir, 'store-'))
    const server = await Server.start(this.dir, `local:${store}`, null)
    this.#servers.add(server)
    return server
  }

  /** A server over FUSE, at `dir`, with a new state; of `root` null, the one that the grid has. */
  async mount(grid: string, root: Cap | null, dir: string): Promise<Server> {
    const server = await Server.mount(this.dir, grid, root, dir)
    this.#servers.add(server)
    return server
  }

  /** A new directory on the grid. */
  directory(children: Iterable<readonly [string, Cap]> = []): Promise<Cap> {
    return this.grid.mkdir(new Map([...children].map(([name, cap]) => [name, childOf(cap)])))
  }

  /** Done at the end, before what was there earlier ends. */
  atEnd(deed: () => Promise<unknown>): void {
    this.#ends.push(deed)
  }

  /** Waits until the disk has what was written before: a figure does not pay for the one before it. */
  async settle(): Promise<void> {
    await run('sync', [])
  }

  async end(): Promise<void> {
    for (const server of this.#servers) await server.stop()
    for (const end of this.#ends.reverse()) await end()
    await this.grid.close()
    await this.node.stop()
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5 })
  }
}

export const childOf = (cap: Cap): Child => ({ cap, metadata: {} })

/** Runs a program whose output is thrown away. */
export async function discarded(program: string, ...args: string[]): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${program} ended with ${code}`)
}
