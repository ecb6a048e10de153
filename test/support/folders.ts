// Grids of folders on this machine's disk, for tests that store and lose real shares.

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { LocalServer } from '../../src/tahoe/storage/local.ts'

export class Folders {
  readonly dir: string
  servers: readonly LocalServer[]

  private constructor(dir: string, servers: readonly LocalServer[]) {
    this.dir = dir
    this.servers = servers
  }

  static async open(t: ExecutionContext, count: number): Promise<Folders> {
    const dir = await mkdtemp(join(tmpdir(), 'tahoe-folders-'))
    const folders = new Folders(dir, await opened(dir, count))
    t.teardown(async () => {
      await folders.close()
      await rm(dir, { recursive: true, force: true })
    })
    return folders
  }

  async close(): Promise<void> {
    for (const server of this.servers) await server.close()
  }

  /** As another process would find them. */
  async reopen(): Promise<void> {
    await this.close()
    this.servers = await opened(this.dir, this.servers.length)
  }

  /** The share files there are, all of them or those of one index. */
  async shares(index = ''): Promise<string[]> {
    const files: string[] = []
    for (const i of this.servers.keys()) {
      const shares = join(this.dir, String(i), 'storage', 'shares')
      for (const file of await readdir(shares, { recursive: true, withFileTypes: true }))
        if (file.isFile() && file.parentPath.includes(index)) files.push(join(file.parentPath, file.name))
    }
    return files.sort()
  }

  async lose(file: string): Promise<void> {
    await rm(file)
  }

  /** Changes one byte of a share file, at a fraction of its length. */
  async damage(file: string, where: number): Promise<void> {
    const bytes = await readFile(file)
    bytes[Math.floor(where * bytes.length)]! ^= 0x55
    await writeFile(file, bytes)
  }
}

async function opened(dir: string, count: number): Promise<LocalServer[]> {
  const servers: LocalServer[] = []
  for (let i = 0; i < count; i++) servers.push(await LocalServer.open({ dir: join(dir, String(i)) }))
  return servers
}
