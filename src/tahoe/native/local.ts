// A grid in folders of this machine, each laid out as a Tahoe node's: shares below `storage`, and
// below `private` of the first what the client keeps to itself. Without a network, and without Python.

import { access, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { codeOf, FsError } from '../../errors.ts'
import { type Log, silent } from '../../log.ts'
import type { Cap } from '../cap.ts'
import { decode, encode } from '../format/base32.ts'
import type { Grid } from '../grid.ts'
import { AbsentServer } from '../storage/absent.ts'
import { LocalServer } from '../storage/local.ts'
import type { StorageServer } from '../storage/server.ts'
import type { ShareNumbers } from './immutable/push.ts'
import { recover } from './mutable/recover.ts'
import { type NativeGrid, native } from './native.ts'
import { Private } from './private.ts'
import { Secrets } from './secrets.ts'

export type LocalOptions = {
  /** One or several; the first has what the client keeps to itself. */
  readonly dirs: readonly string[]
  readonly shares: ShareNumbers
  readonly log?: Log
}

/**
 * How files are made over so many folders unless somebody says otherwise: each is whole in one,
 * and over several any one of them may be lost.
 */
export const usualShares = (folders: number): ShareNumbers => ({
  needed: Math.max(1, folders - 1),
  happy: folders,
  total: folders,
})

/**
 * Opens the folders, and makes those that are new. A folder that was part of this grid and is empty
 * now is on a disk that is not there: it is done without, and nothing is put in its place. EACCES
 * while another process has one of them open.
 */
export async function openLocal({ dirs, shares, log = silent }: LocalOptions): Promise<NativeGrid> {
  const paths = dirs.map(dir => resolve(dir))
  if (new Set(paths).size < paths.length) throw new FsError('EINVAL', 'one folder is named twice')
  const home = new Private(paths[0]!)
  const known = await members(home)
  if (known.size === 0) await mustBeNew(paths)
  const servers: StorageServer[] = []
  try {
    for (const path of paths) servers.push(await member(path, known.get(path), log))
    const ids = new Map([...known, ...paths.map((path, i) => [path, servers[i]!.id] as const)])
    if (ids.size > known.size) await home.write('folders', written(ids))
    const folders = servers.filter(server => server instanceof LocalServer)
    const { committed, aborted } = await recover(folders)
    if (committed + aborted > 0) log.info({ committed, aborted }, 'changes that were cut off have been ended')
    const secrets = new Secrets(await home.secret('convergence'), await home.secret('secret'))
    return native({ servers, secrets, shares, log })
  } catch (err) {
    for (const server of servers) await server.close()
    throw err
  }
}

/** EINVAL where another folder is of a grid that the first knows nothing of: one would begin beside it. */
async function mustBeNew([first, ...others]: readonly string[]): Promise<void> {
  const isEmpty = !(await isThere(join(first!, 'my_nodeid')))
  for (const other of others) {
    if (isEmpty && (await isThere(join(other, 'my_nodeid'))))
      throw new FsError('EINVAL', `${first} is empty, and ${other} is not: is its disk not mounted?`)
    if (await isThere(join(other, 'private', 'folders')))
      throw new FsError('EINVAL', `${other} is the first folder of a grid: name it before ${first}`)
  }
}

/** The folders of this grid, by path, with the ids that they have. */
async function members(home: Private): Promise<Map<string, Buffer>> {
  const known = new Map<string, Buffer>()
  for (const line of ((await home.read('folders')) ?? '').split('\n')) {
    const [, id, path] = /^([a-z2-7]{32}) (\/.*)$/.exec(line) ?? []
    if (id !== undefined) known.set(path!, decode(id)!)
  }
  return known
}

const written = (ids: ReadonlyMap<string, Buffer>): string =>
  [...ids].map(([path, id]) => `${encode(id)} ${path}\n`).join('')

async function member(path: string, id: Buffer | undefined, log: Log): Promise<StorageServer> {
  const absent = (why: string) => {
    log.warn({ folder: path }, why)
    return new AbsentServer(id!, path, why)
  }
  if (id && !(await isThere(join(path, 'my_nodeid')))) return absent('it is empty: is its disk not mounted?')
  await mustNotRun(path)
  try {
    return await LocalServer.open({ dir: path, name: path, ...(id ? { id } : {}) })
  } catch (err) {
    if (id && codeOf(err) === 'EIO') return absent((err as Error).message)
    throw err
  }
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** EACCES where a Tahoe node has the folder: it says so by the process it notes. */
async function mustNotRun(path: string): Promise<void> {
  const text = await readFile(join(path, 'running.process'), 'utf8').catch(() => '')
  const pid = Number(/^\d{1,10}/.exec(text)?.[0])
  if (pid > 0 && isAlive(pid))
    throw new FsError('EACCES', `${path} is a Tahoe node that runs: give --grid gateway:URL instead`)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (err) {
    return (err as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** A new root directory of such a grid, under the alias `tahoe:` in the first folder, as Tahoe's own tools keep it. */
export async function makeRoot(grid: Grid, dir: string): Promise<Cap> {
  const home = new Private(resolve(dir))
  const aliases = (await home.read('aliases')) ?? ''
  const root = await grid.mkdir()
  const before = aliases === '' || aliases.endsWith('\n') ? aliases : `${aliases}\n`
  await home.write('aliases', `${before}tahoe: ${root.uri()}\n`)
  return root
}
