// Which grid is meant: a Tahoe-LAFS node's gateway, or folders of this machine.

import { access, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { FsError } from '../errors.ts'
import { type Log, silent } from '../log.ts'
import { gateway } from '../tahoe/gateway/gateway.ts'
import type { Grid } from '../tahoe/grid.ts'
import type { ShareNumbers } from '../tahoe/native/immutable/push.ts'
import { makeRoot, openLocal, usualShares } from '../tahoe/native/local.ts'
import type { NativeGrid } from '../tahoe/native/native.ts'
import { defaultStore } from './places.ts'
import { mustBeNew, remember } from './stores.ts'
import { withoutCode } from './words.ts'
import { reason, USED_WRONGLY, Wrong } from './wrong.ts'

export type GridChoice =
  | { readonly kind: 'gateway'; readonly url: string }
  | { readonly kind: 'local'; readonly dirs: readonly string[]; readonly shares: ShareNumbers }

export type GridOptions = {
  readonly grid?: string | undefined
  readonly shares?: string | undefined
  readonly nodeDirectory: string
}

/**
 * The grid that the options name. Without any: the folder of an earlier start without any, else
 * the node whose directory is there, else a new folder.
 */
export async function gridOf({ grid, shares, nodeDirectory }: GridOptions): Promise<GridChoice> {
  const [, kind, given] = /^(\w+)(?::(.+))?$/.exec(grid ?? (await usual(nodeDirectory))) ?? []
  if (kind === 'local') {
    const names = given === undefined ? [defaultStore()] : given.split(',')
    if (names.includes('')) throw new Wrong(`--grid ${grid}: a folder has no name`, USED_WRONGLY)
    const dirs = names.map(dir => resolve(dir))
    return { kind, dirs, shares: sharesOf(shares, dirs.length) }
  }
  if (kind !== 'gateway')
    throw new Wrong(
      `--grid ${grid}: give local, local:DIR, local:DIR1,DIR2… (folders here), or gateway[:URL] (a running Tahoe-LAFS node)`,
      USED_WRONGLY,
    )
  if (shares !== undefined)
    throw new Wrong('--shares is for --grid local; a node has its own in tahoe.cfg', USED_WRONGLY)
  return { kind, url: given ?? (await nodeUrl(nodeDirectory)) }
}

async function usual(nodeDirectory: string): Promise<'local' | 'gateway'> {
  if (await isThere(aliasesIn(defaultStore()))) return 'local'
  return (await isThere(join(nodeDirectory, 'node.url'))) ? 'gateway' : 'local'
}

const aliasesIn = (dir: string): string => join(dir, 'private', 'aliases')

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

async function nodeUrl(nodeDirectory: string): Promise<string> {
  const file = join(nodeDirectory, 'node.url')
  const found = await readFile(file, 'utf8').catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT' || err.code === 'ENOTDIR')
      throw new Wrong(`--grid gateway: there is no ${file}; give gateway:URL, or --node-directory`)
    throw new Wrong(`${file} cannot be read: ${reason(err)}; give --grid gateway:URL`)
  })
  return found.trim()
}

/** `K/H/N`: shares needed, folders they must be spread over, and shares made. */
function sharesOf(text: string | undefined, folders: number): ShareNumbers {
  if (text === undefined) return usualShares(folders)
  const [, needed, happy, total] = (/^(\d{1,3})\/(\d{1,3})\/(\d{1,3})$/.exec(text) ?? []).map(Number)
  const fits =
    needed !== undefined &&
    needed >= 1 &&
    happy! >= 1 &&
    needed <= total! &&
    happy! <= Math.min(total!, folders) &&
    total! <= 255
  if (!fits)
    throw new Wrong(
      `--shares ${text}: give K/H/N, as 3/4/5: any K of N shares are enough, on at least H folders; K and H at most N, H at most ${folders} as there ${folders === 1 ? 'is 1 folder' : `are ${folders} folders`}, N at most 255`,
      USED_WRONGLY,
    )
  return { needed, happy: happy!, total: total! }
}

/** Where the aliases of the grid's owner are: a folder has them itself. */
export const aliasDirectory = (choice: GridChoice, nodeDirectory: string): string =>
  choice.kind === 'local' ? choice.dirs[0]! : nodeDirectory

/** What a person calls it. */
export const gridName = (choice: GridChoice): string =>
  choice.kind === 'gateway' ? choice.url : choice.dirs.join(', ')

export const isNative = (grid: Grid): grid is NativeGrid => 'collect' in grid

export async function openGrid(choice: GridChoice, log: Log): Promise<Grid> {
  if (choice.kind === 'gateway') return gateway(choice.url, { log })
  try {
    return await openLocal({ ...choice, log })
  } catch (err) {
    throw err instanceof FsError ? new Wrong(withoutCode(err.message)) : err
  }
}

/** A folder without a root directory gets one, and its owner hears of it. */
export async function makeIfNew(choice: GridChoice, log: Log = silent): Promise<void> {
  if (choice.kind !== 'local' || (await isThere(aliasesIn(choice.dirs[0]!)))) return
  const [dir] = choice.dirs as [string]
  await mustBeNew(dir)
  const grid = await openGrid(choice, log)
  await makeRoot(grid, dir).finally(() => grid.close())
  await remember(dir)
  console.error(
    `tahoe-nfs: a new store in ${gridName(choice)}; keep a copy of ${join(dir, 'private')} elsewhere: without it nobody can read what is stored`,
  )
}
