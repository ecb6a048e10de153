// The mounts of this machine, read from where the kernel lists them: a mount whose server
// is gone must not be touched, or whoever touches it hangs. Mounting NFS itself is the script's.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type MountLine, mountLines } from '../fuse/mountinfo.ts'
import { Wrong } from './wrong.ts'

const run = promisify(execFile)

export const script = join(import.meta.dirname, '../../scripts/mount-nfs.sh')

export type Mount = {
  readonly mountpoint: string
  readonly type: string
  /** The port of this machine that an NFS mount points at; null for all others. */
  readonly port: number | null
  /** What of the served tree is mounted there: `/`, or a directory below it. */
  readonly path: string
  readonly readOnly: boolean
  /** Who mounted it over FUSE; null for all others. */
  readonly user: { readonly uid: number; readonly gid: number } | null
  /** MAJOR:MINOR, which no other mount has while this one lives; null where the system does not tell. */
  readonly number: string | null
}

export async function mounts(): Promise<Mount[]> {
  if (process.platform === 'linux') return (await mountLines()).map(mountOf)
  const [{ stdout }, ports] = await Promise.all([
    run('mount', []),
    run('nfsstat', ['-m'], { timeout: 5_000 }).then(
      ({ stdout }) => parseNfsstat(stdout),
      () => new Map<string, number>(), // where it is missing, ports are not known
    ),
  ])
  return parseMountList(stdout, ports)
}

/** NFS names the path in its source, and FUSE the user in its options. */
export function mountOf({ mountpoint, number, type, source, flags, options }: MountLine): Mount {
  const named = (name: string) => options.find(each => each.startsWith(`${name}=`))?.slice(name.length + 1)
  const isHere = /^(127\.[\d.]+|::1)$/.test(named('addr') ?? '')
  const port = type.startsWith('nfs') && isHere ? named('port') : undefined
  const isFuse = type.startsWith('fuse')
  return {
    mountpoint,
    type,
    port: port === undefined ? null : Number(port),
    path: port === undefined ? '/' : (/:(\/.*)$/.exec(source)?.[1] ?? '/'),
    readOnly: [...flags, ...options].includes('ro'),
    user: isFuse ? { uid: Number(named('user_id')), gid: Number(named('group_id')) } : null,
    number,
  }
}

/** The list that `mount` prints on macOS: SOURCE on MOUNTPOINT (TYPE, options…) */
export const parseMountList = (text: string, ports: ReadonlyMap<string, number>): Mount[] =>
  text.split('\n').flatMap(line => {
    const [, mountpoint, type, flags = ''] = /^.*? on (\/.*) \((\w+)([^()]*)\)$/.exec(line) ?? []
    if (!mountpoint || !type) return []
    const port = type === 'nfs' ? (ports.get(mountpoint) ?? null) : null
    // The path is a token there, which stands for the whole tree.
    const readOnly = flags.split(', ').includes('read-only')
    return [{ mountpoint, type, port, path: '/', readOnly, user: null, number: null }]
  })

/** The ports that macOS's `nfsstat -m` tells: MOUNTPOINT from HOST:EXPORT, and below it the options. */
export function parseNfsstat(text: string): Map<string, number> {
  const ports = new Map<string, number>()
  let mountpoint: string | null = null
  for (const line of text.split('\n')) {
    const head = /^(\/.*) from (\S+):\/\S*$/.exec(line)
    if (head) mountpoint = /^(127\.[\d.]+|localhost|\[?::1\]?)$/.test(head[2]!) ? head[1]! : null
    const port = /NFS parameters:.*?[ ,]port=(\d+)/.exec(line)?.[1]
    if (mountpoint !== null && port !== undefined) ports.set(mountpoint, Number(port))
  }
  return ports
}

/** What is mounted at `path`, on top of what else may be. */
export const mountAt = async (path: string): Promise<Mount | undefined> =>
  (await mounts()).findLast(each => each.mountpoint === path)

/** Runs the script, and gives what it warns of. Its one line of complaint becomes ours. */
export async function mountScript(...args: string[]): Promise<string> {
  try {
    const { stderr } = await run('sh', [script, ...args], { env: { ...process.env, LC_ALL: 'C' } }) // its words are read
    return said(stderr)
  } catch (err) {
    const { stderr = '', message } = err as { stderr?: string; message: string }
    throw new Wrong(said(stderr) || message)
  }
}

const said = (stderr: string): string => stderr.trim().replace(/^mount-nfs\.sh: /, '')
