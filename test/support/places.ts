// Folders and worlds for the tests of the file system: each test its own.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { Grid } from '../../src/tahoe/grid.ts'
import type { Patience } from '../../src/vfs/ask.ts'
import { Tahoefs, type TahoefsOptions } from '../../src/vfs/tahoefs.ts'
import type { Tempo } from '../../src/vfs/write/tempo.ts'

/** A new folder that goes with the test. */
export async function folder(t: ExecutionContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'tahoe-nfs-test-'))
  t.teardown(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }))
  return dir
}

/** Patience without pauses: a grid that says "not now" three times has failed. */
export const hasty: Patience = { delays: [1, 1], giveUp: 2, memo: 60_000 }

/** A tempo at which a test sees what is published. */
export const quick: Tempo = {
  quiet: 20,
  quietDurable: 5,
  dirtyMax: 200,
  linger: 5,
  lingerRemovals: 10,
  together: 100,
  togetherNew: 200,
  delays: [5, 10, 20],
  tick: 5,
}

/** Nothing is published before it is asked for. */
export const onlyAsked: Tempo = {
  ...quick,
  quiet: 1e6,
  quietDurable: 1e6,
  dirtyMax: 1e6,
  linger: 1e6,
  lingerRemovals: 1e6,
  together: 1e6,
  togetherNew: 1e6,
}

/** A file system over a grid with its state and cache below `dir`; opened again, it finds both again. */
export const openAt = (
  dir: string,
  grid: Grid,
  root: Cap,
  more: Partial<TahoefsOptions> = {},
): Promise<Tahoefs> =>
  Tahoefs.open({
    grid,
    root,
    stateDir: join(dir, 'state'),
    cacheDir: join(dir, 'cache'),
    cacheSize: 64 << 20,
    ttl: 60_000,
    owner: { uid: 1000, gid: 1000 },
    ...more,
  })

/** The same, closed with the test. */
export async function opened(
  t: ExecutionContext,
  grid: Grid,
  root: Cap,
  more: Partial<TahoefsOptions> = {},
): Promise<Tahoefs> {
  const fs = await openAt(await folder(t), grid, root, more)
  t.teardown(() => fs.close())
  return fs
}

/** Lets everything run that waits for nothing but the event loop and this disk. */
export async function settled(until: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 2000; i++) {
    if (await until()) return
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  throw new Error('it never came to pass')
}

export const textOf = async (fs: Tahoefs, id: bigint, offset = 0, count = 1 << 20): Promise<string> =>
  Buffer.concat((await fs.read(id, offset, count)).data).toString()

export const namesIn = async (fs: Tahoefs, dir: bigint, cookie = 0n): Promise<string[]> =>
  [...(await fs.list(dir, cookie))].map(entry => entry.name)

/** Every name below a directory, every target and every byte. */
export async function readAll(fs: Tahoefs, dir: bigint): Promise<void> {
  for (const { name } of await fs.list(dir, 0n)) {
    const { id, kind, size } = await fs.lookup(dir, name)
    if (kind === 'directory') await readAll(fs, id)
    else if (kind === 'symlink') await fs.readlink(id)
    else for (let at = 0; at < size; at += 1 << 17) await fs.read(id, at, 1 << 17)
  }
}
