// A folder of share files for a test, on a real disk or on one that fails as the test wants it.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { disk, type ShareDisk } from '../../src/tahoe/storage/disk.ts'
import { LocalServer, type LocalServerOptions } from '../../src/tahoe/storage/local.ts'
import { folder } from './places.ts'

export type World = { dir: string; server: LocalServer; path(index: string, share: number): string }

export async function opened(
  t: ExecutionContext,
  more: Partial<LocalServerOptions> = {},
  inside?: string,
): Promise<World> {
  const dir = inside ?? (await folder(t))
  const server = await LocalServer.open({ dir, ...more })
  t.teardown(() => server.close())
  const path = (index: string, share: number) =>
    join(dir, 'storage', 'shares', index.slice(0, 2), index, String(share))
  return { dir, server, path }
}

/** The names of all files below a folder. */
export const files = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter(each => each.isFile())
    .map(each => join(each.parentPath, each.name).slice(dir.length + 1))
    .sort()

/** This disk, with some of its calls replaced, and those of its files heard before. */
export const but = (
  more: Partial<ShareDisk>,
  onWrite?: (path: string) => void,
  onSync?: () => void,
): ShareDisk => ({
  ...disk,
  async open(path, how) {
    const file = await disk.open(path, how)
    return {
      size: () => file.size(),
      read: (into, position) => file.read(into, position),
      truncate: size => file.truncate(size),
      close: () => file.close(),
      async write(parts, position) {
        onWrite?.(path)
        await file.write(parts, position)
      },
      async sync() {
        onSync?.()
        await file.sync()
      },
    }
  },
  ...more,
})

export const fails = (code: string) => {
  throw Object.assign(new Error(`${code}: as the test wants it`), { code })
}
