// Where things are kept, and which servers run: each leaves a note beside the states.

import { createHmac } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, statfs, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { askControl } from '../control/client.ts'
import type { Cap } from '../tahoe/cap.ts'
import { callerHome, ownHome, sudoUid } from './caller.ts'
import type { Clash, Waiting } from './waiting.ts'
import { Wrong } from './wrong.ts'

const home = (variable: string, fallback: string): string => {
  const set = process.env[variable]
  return set?.startsWith('/') ? set : join(ownHome(), fallback)
}

const LOCAL_STATE = '.local/state'

const stateHome = () => join(home('XDG_STATE_HOME', LOCAL_STATE), 'tahoe-nfs')
const cacheHome = () => join(home('XDG_CACHE_HOME', '.cache'), 'tahoe-nfs')

/** One root, one name, that does not tell which. */
const nameOf = (root: Cap): string =>
  createHmac('sha256', 'tahoe-nfs/place/v1').update(root.uri()).digest('hex').slice(0, 32)

export const defaultState = (root: Cap): string => join(stateHome(), nameOf(root))
export const defaultCache = (root: Cap): string => join(cacheHome(), nameOf(root))

/** Where it is noted which folders held a store. */
export const storesFile = (): string => join(stateHome(), 'stores')

/** What servers leave behind of themselves wherever their states are. */
export const commonPlace = (): string => stateHome()

/** The grid of whoever has none: a folder. */
export const defaultStore = (): string => join(home('XDG_DATA_HOME', '.local/share'), 'tahoe-nfs')

/** A tenth of the file system that `dir` is, or will be, on; at most 10 GiB. */
export async function defaultCacheSize(dir: string): Promise<number> {
  for (let at = dir; ; at = dirname(at)) {
    const found = await statfs(at).catch(() => null)
    if (found) return Math.min(10 * 2 ** 30, Math.floor((found.blocks * found.bsize) / 10))
    if (at === dirname(at)) return 2 ** 30
  }
}

/** What a running server notes of itself. */
export type Note = { readonly pid: number; readonly stateDir: string; readonly mountpoint: string | null }

export const controlSocket = (stateDir: string): string => join(stateDir, 'control.sock')

const notesDir = () => join(stateHome(), 'run')

/** Notes that this process serves; the function it gives takes the note away. */
export async function leaveNote(note: Note): Promise<() => Promise<void>> {
  const file = join(notesDir(), `${note.pid}.json`)
  await mkdir(notesDir(), { recursive: true, mode: 0o700 })
  await writeFile(`${file}.new`, JSON.stringify(note), { mode: 0o600 })
  await rename(`${file}.new`, file)
  return () => rm(file, { force: true })
}

/** A server that runs, and what it says of itself. */
export type Found = { readonly socket: string; readonly status: Status }

/** What `status` shows; `--json` prints it as it is. */
export type Status = {
  readonly pid: number
  /** By which it is, or was to be, mounted. */
  readonly frontend: 'nfs' | 'fuse'
  /** Where it is, or was to be, mounted. */
  readonly mountpoint: string | null
  /** Where NFS is served, if it is. */
  readonly address: string | null
  readonly grid: {
    readonly kind: 'gateway' | 'local'
    /** The node's URL, or the folders. */
    readonly name: string
    readonly reachable: boolean
    readonly since: string
    readonly lastError: string
  }
  readonly state: string
  readonly readOnly: boolean
  readonly cache: { readonly bytes: number; readonly limit: number }
  /** What the grid does not have yet. */
  readonly pending: Waiting
  /** What was changed here and on the grid at once. */
  readonly conflicts: readonly Clash[]
  readonly errors: readonly string[]
  readonly calls: number
  readonly memory: number
}

/** The servers that run, of this user, and under sudo of who called it. */
export async function running(): Promise<Found[]> {
  const own = await noted(notesDir(), true)
  if (sudoUid() === null) return own
  // Nothing is removed there: it is another's folder, which may lead anywhere.
  const callers = await noted(join(callerHome(), LOCAL_STATE, 'tahoe-nfs/run'), false)
  return [...own, ...callers.filter(each => !own.some(other => other.socket === each.socket))]
}

/** The servers that left their notes in `dir`; the notes of those that are gone are removed if `tidy`. */
async function noted(dir: string, tidy: boolean): Promise<Found[]> {
  const found: Found[] = []
  for (const name of await readdir(dir).catch(() => [])) {
    if (!/^\d+\.json$/.test(name)) continue
    const file = join(dir, name)
    const text = await readFile(file, 'utf8').catch(() => null)
    if (text === null) continue
    const server = await at(stateDirIn(text)).catch(() => 'silent' as const)
    if (server === 'silent') continue // it is there, and does not answer: its note stays
    // By its process too: the state of one that was killed may have another server by now.
    if (server && name === `${server.status.pid}.json`) found.push(server)
    else if (tidy) await rm(file, { force: true })
  }
  return found
}

function stateDirIn(text: string): string {
  try {
    const { stateDir } = JSON.parse(text) as Note
    return typeof stateDir === 'string' ? stateDir : ''
  } catch {
    return ''
  }
}

/** The server of one state directory, or null when none runs. */
export async function at(stateDir: string): Promise<Found | null> {
  if (stateDir === '') return null
  const socket = controlSocket(stateDir)
  const status = (await askControl(socket, 'GET', '/status').catch((err: Error) => {
    throw new Wrong(err.message)
  })) as Status | null
  return status && { socket, status }
}
