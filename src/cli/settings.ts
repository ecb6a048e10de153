// What the options mean, settled before anything is touched.

import { join, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { mustBeApart, restIsApart } from './apart.ts'
import { callerHome } from './caller.ts'
import type { Frontend } from './frontends.ts'
import { aliasDirectory, type GridChoice, gridOf, makeIfNew } from './grid.ts'
import { defaultCache, defaultCacheSize, defaultState } from './places.ts'
import type { Address } from './port.ts'
import { readRoot } from './root.ts'
import { USED_WRONGLY, Wrong } from './wrong.ts'

/** The options of `serve` and `mount`, as commander gives them. */
export type Options = {
  grid?: string
  shares?: string
  nodeDirectory: string
  root?: string
  rootFile?: string
  frontend: Frontend
  listen?: string
  state?: string
  cache: 'off' | 'load-once' | 'timed'
  cacheDir?: string
  cacheSize?: string
  dirTtl: string
  readOnly?: true
  fsync: 'local' | 'grid'
  uid?: string
  gid?: string
  logLevel: string
}

/** Everything a server needs to know. It goes to the background process as a message, never as arguments. */
export type Settings = {
  readonly grid: GridChoice
  /** The text of the root cap. */
  readonly root: string
  readonly stateDir: string
  readonly cacheDir: string
  readonly cacheSize: number
  /** Milliseconds; Infinity for `--cache load-once`. */
  readonly ttl: number
  readonly frontend: Frontend
  readonly listen: Address | null
  readonly owner: { readonly uid: number; readonly gid: number }
  /** Whether changes are refused, whatever the root cap allows. */
  readonly readOnly: boolean
  /** What an fsync waits for. */
  readonly fsync: 'local' | 'grid'
  /** Whether the export path is a token: where the system does not tell whose connection it is. */
  readonly tokens: boolean
  readonly logLevel: string
}

/** Where Tahoe-LAFS keeps the node of who called. */
export const defaultNode = (): string => join(callerHome(), '.tahoe')

/** Those that say which grid is meant, and what of it. */
export const withGrid = (command: Command): Command =>
  command
    .option(
      '--grid <GRID>',
      'local[:DIR[,DIR…]], folders here; or gateway[:URL], a Tahoe-LAFS node (default: the node whose node.url is in the node directory; without one, and ever after, a folder in $XDG_DATA_HOME/tahoe-nfs)',
    )
    .option(
      '--shares <K/H/N>',
      'of new files in folders: any K of N shares are enough, spread over at least H folders (default: whole in one folder; over several, any one may be lost)',
    )
    .option('--node-directory <DIR>', 'where node.url and private/aliases are', defaultNode())
    .option('--root <ALIAS>', 'the directory to serve, an alias in the node directory (default: tahoe)')
    .option('--root-file <FILE>', 'the same, its cap in a file; - for standard input')

/** `frontends` are those that the command knows. */
export const withOptions = (command: Command, frontends: readonly Frontend[]): Command =>
  withGrid(command)
    .addOption(
      new Option(
        '--frontend <KIND>',
        frontends.includes('fuse')
          ? 'how it is mounted. auto: over NFS where the kernel has a client and you may mount it, else over FUSE'
          : 'how it is served',
      )
        .choices(frontends)
        .default('auto'),
    )
    .option(
      '--listen <HOST:PORT>',
      'where NFS listens, on loopback (default: a free port, kept for this root; with FUSE none)',
    )
    .option(
      '--state <DIR>',
      'ids, names, listings and what waits for the grid, encrypted (default: in $XDG_STATE_HOME/tahoe-nfs)',
    )
    .addOption(
      new Option(
        '--cache <POLICY>',
        'timed: directories are fresh for --dir-ttl; load-once: read once; off: nothing that is read is kept',
      )
        .choices(['off', 'load-once', 'timed'])
        .default('timed'),
    )
    .option('--cache-dir <DIR>', 'file content, encrypted (default: in $XDG_CACHE_HOME/tahoe-nfs)')
    .option(
      '--cache-size <SIZE>',
      'bytes of file content to keep, as 500M or 10G (default: a tenth of the disk, at most 10G)',
    )
    .option('--dir-ttl <SECONDS>', 'how long a listing is fresh', '20')
    .option('--read-only', 'refuse changes, also where the root cap allows them')
    .addOption(
      new Option(
        '--fsync <WHERE>',
        'when fsync returns. local: once it is durable here; grid: once it is on the grid',
      )
        .choices(['local', 'grid'])
        .default('local'),
    )
    .option('--uid <UID>', 'whose files they are (default: yours; under sudo, the one who called it)')
    .option('--gid <GID>', 'their group')
    .addOption(
      new Option('--log-level <LEVEL>', 'debug prints every call')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )

/** `mountpoint`: nothing that the server needs may lie below it. */
export async function settle(options: Options, mountpoint: string | null): Promise<Settings> {
  await restIsApart(mountpoint)
  const grid = await gridOf(options)
  if (grid.kind === 'local') for (const dir of grid.dirs) await mustBeApart(mountpoint, 'the store', dir)
  const listen = options.listen === undefined ? null : address(options.listen)
  const owner = ownerOf(options)
  const ttl =
    options.cache === 'off' ? 0 : options.cache === 'load-once' ? Infinity : seconds(options.dirTtl) * 1000
  const wantedSize = options.cacheSize === undefined ? null : bytes(options.cacheSize)
  if (options.rootFile === undefined && options.root === undefined) await makeIfNew(grid)
  const root = await readRoot({ ...options, nodeDirectory: aliasDirectory(grid, options.nodeDirectory) })
  const stateDir = resolve(options.state ?? defaultState(root))
  const cacheDir = resolve(
    options.cacheDir ?? (options.state === undefined ? defaultCache(root) : join(stateDir, 'cache')),
  )
  await mustBeApart(mountpoint, 'the state directory', stateDir)
  await mustBeApart(mountpoint, 'the cache directory', cacheDir)
  const cacheSize = options.cache === 'off' ? 0 : (wantedSize ?? (await defaultCacheSize(cacheDir)))
  return {
    grid,
    root: root.uri(),
    stateDir,
    cacheDir,
    cacheSize,
    ttl,
    frontend: options.frontend,
    listen,
    owner,
    readOnly: options.readOnly === true,
    fsync: options.fsync,
    tokens: process.platform !== 'linux',
    logLevel: options.logLevel,
  }
}

export function address(text: string): Address {
  const [, host, port] = /^(?:\[?([0-9a-z.:-]+?)\]?:)?(\d{1,5})$/i.exec(text) ?? []
  if (port === undefined || Number(port) > 65_535)
    throw new Wrong(`--listen ${text}: give HOST:PORT, as 127.0.0.1:2049`, USED_WRONGLY)
  const name = host === undefined || host === 'localhost' ? '127.0.0.1' : host
  if (name !== '127.0.0.1' && name !== '::1')
    throw new Wrong(
      `--listen ${text}: only 127.0.0.1 and ::1 are served, for whoever reaches the port is trusted`,
      USED_WRONGLY,
    )
  return { host: name, port: Number(port) }
}

function ownerOf(options: Options): { uid: number; gid: number } {
  const pick = (given: string | undefined, sudo: string | undefined, own: number, what: string) => {
    const text = given ?? (own === 0 ? sudo : undefined)
    if (text === undefined) return own
    if (!/^\d{1,10}$/.test(text) || Number(text) >= 2 ** 32 - 1)
      throw new Wrong(`${what} ${text}: give a number`, USED_WRONGLY)
    return Number(text)
  }
  return {
    uid: pick(options.uid, process.env['SUDO_UID'], process.getuid?.() ?? 0, '--uid'),
    gid: pick(options.gid, process.env['SUDO_GID'], process.getgid?.() ?? 0, '--gid'),
  }
}

export function seconds(text: string): number {
  const [, number] = /^(\d{1,9}(?:\.\d+)?)\s*s?$/.exec(text) ?? []
  if (number === undefined) throw new Wrong(`--dir-ttl ${text}: give seconds, as 20`, USED_WRONGLY)
  return Number(number)
}

/** Powers of 1024, whatever they are called. */
const units: Record<string, number> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 }

export function bytes(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text) ?? []
  const size = Math.floor(Number(number) * units[unit?.toLowerCase() ?? '']!)
  if (!Number.isSafeInteger(size))
    throw new Wrong(`--cache-size ${text}: give a size, as 500M or 10G`, USED_WRONGLY)
  return size
}
