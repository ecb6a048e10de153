// The MOUNT version 3 program (RFC 1813 appendix I): a path becomes a handle. Any
// directory below the root can be mounted. Where connections cannot be judged (macOS),
// the path begins with a token that is good for one MNT.

import type { Log } from '../log.ts'
import type { Attr, Call, Vfs } from '../vfs/vfs.ts'
import { fhandle } from './fhandle.ts'
import type { MountTokens } from './mount-tokens.ts'
import { soughtName } from './names.ts'
import { type Procedure, type Program, plain, type RpcCall } from './program.ts'
import { AUTH_SYS } from './rpc.ts'
import { statusOf } from './status.ts'
import { array, ascii, type Codec, enumeration, list, nothing, opaque, struct, uint32 } from './xdr.ts'

export const MOUNT_PROGRAM = 100005
export const MOUNT_V3 = 3

const MNTPATHLEN = 1024
const MNTNAMLEN = 255

export const mountstats = {
  MNT3_OK: 0,
  MNT3ERR_PERM: 1,
  MNT3ERR_NOENT: 2,
  MNT3ERR_IO: 5,
  MNT3ERR_ACCES: 13,
  MNT3ERR_NOTDIR: 20,
  MNT3ERR_INVAL: 22,
  MNT3ERR_NAMETOOLONG: 63,
  MNT3ERR_NOTSUPP: 10004,
  MNT3ERR_SERVERFAULT: 10006,
} as const
export type MountStatus = keyof typeof mountstats
export const mountstat3 = enumeration(mountstats)

/** As long as the record: a path above MNTPATHLEN has a status of its own. */
const dirpath = opaque(65_536)
export const mountres3_ok = struct({ fhandle: opaque(64), auth_flavors: array(uint32, 16) })

export const mountlist = list(
  struct({ ml_hostname: ascii(MNTNAMLEN), ml_directory: ascii(MNTPATHLEN) }),
  1024,
)
const groups = list(ascii(MNTNAMLEN), 1024)
export const exports = list(struct({ ex_dir: ascii(MNTPATHLEN), ex_groups: groups }), 1024)

type Mnt = { status: MountStatus; ok: { fhandle: Uint8Array; auth_flavors: readonly number[] } | null }

const mountres3: Codec<Mnt> = {
  read: r => {
    const status = mountstat3.read(r)
    return { status, ok: status === 'MNT3_OK' ? mountres3_ok.read(r) : null }
  },
  write: (w, { status, ok }) => {
    mountstat3.write(w, status)
    if (ok !== null) mountres3_ok.write(w, ok)
  },
}

export type MountOptions = { vfs: Vfs; log: Log; tokens?: MountTokens | undefined }

type Mounted = { readonly peer: string; readonly directory: string }
/** What DUMP remembers at most; it serves `showmount`, and nothing depends on it. */
const mountsKept = 64

export function mount3({ vfs, log, tokens }: MountOptions): Program {
  const mounted: Mounted[] = []

  function note(peer: string, directory: string): void {
    forget(peer, directory)
    mounted.push({ peer, directory })
    if (mounted.length > mountsKept) mounted.shift()
  }

  function forget(peer: string, directory?: string): void {
    for (let i = mounted.length - 1; i >= 0; i--) {
      const each = mounted[i]!
      if (each.peer === peer && (directory === undefined || each.directory === directory))
        mounted.splice(i, 1)
    }
  }

  async function mnt(path: Uint8Array, call: RpcCall): Promise<Mnt> {
    if (path.length > MNTPATHLEN) return refused('MNT3ERR_NAMETOOLONG')
    const steps = split(path)
    const token = tokens ? tokens.take(steps.shift()) : null
    if (tokens && token === null) {
      log.warn({ peer: call.peer }, 'a mount without a good token was refused')
      return refused('MNT3ERR_ACCES')
    }
    try {
      const attr = await walk(vfs, steps, call)
      if (attr.kind !== 'directory') throw notDirectory
      note(call.peer, shown(steps))
      token?.spend()
      return { status: 'MNT3_OK', ok: { fhandle: fhandle(attr), auth_flavors: [AUTH_SYS] } }
    } catch (err) {
      token?.giveBack()
      const status = err === notDirectory ? 'MNT3ERR_NOTDIR' : mountStatusOf(err)
      log.debug({ peer: call.peer, directory: shown(steps), status }, 'mount')
      return refused(status)
    }
  }

  /** The path as it was listed: its token is gone from it. */
  const listed = (path: Uint8Array): string => shown(tokens ? split(path).slice(1) : split(path))

  const procedures: Procedure[] = [
    plain({ name: 'NULL', args: nothing, res: nothing, handle: () => undefined }),
    plain({ name: 'MNT', args: dirpath, res: mountres3, handle: mnt }),
    plain({
      name: 'DUMP',
      args: nothing,
      res: mountlist,
      handle: () => mounted.map(({ peer, directory }) => ({ ml_hostname: peer, ml_directory: directory })),
    }),
    plain({
      name: 'UMNT',
      args: dirpath,
      res: nothing,
      handle: (path, { peer }) => {
        if (path.length > MNTPATHLEN) return
        forget(peer, listed(path))
        if (tokens) forget(peer, shown(split(path))) // as DUMP told it
      },
    }),
    plain({ name: 'UMNTALL', args: nothing, res: nothing, handle: (_, { peer }) => forget(peer) }),
    plain({ name: 'EXPORT', args: nothing, res: exports, handle: () => [{ ex_dir: '/', ex_groups: [] }] }),
  ]
  return { name: 'MOUNT', prog: MOUNT_PROGRAM, vers: MOUNT_V3, procedures }
}

const notDirectory = new Error('not a directory')

const refused = (status: MountStatus): Mnt => ({ status, ok: null })

const slash = 0x2f

/** The path's components; empty ones and '.' lead nowhere. */
function split(path: Uint8Array): Uint8Array[] {
  const steps: Uint8Array[] = []
  let from = 0
  for (let at = 0; at <= path.length; at++) {
    if (at < path.length && path[at] !== slash) continue
    const step = path.subarray(from, at)
    if (step.length > 0 && !(step.length === 1 && step[0] === 0x2e)) steps.push(step)
    from = at + 1
  }
  return steps
}

/** The bytes again, as the `ascii` codec writes them. */
const shown = (steps: readonly Uint8Array[]): string =>
  `/${steps.map(step => Buffer.from(step).toString('latin1')).join('/')}`

/** By lookup alone: '..' of the root is the root, and nothing here is a path. */
async function walk(vfs: Vfs, steps: readonly Uint8Array[], { signal }: Call): Promise<Attr> {
  let attr = vfs.known(vfs.root)
  for (const step of steps) attr = await vfs.lookup(attr.id, soughtName(step, vfs.nameMax), { signal })
  return attr
}

function mountStatusOf(err: unknown): MountStatus {
  const status = `MNT3ERR_${statusOf(err).slice('NFS3ERR_'.length)}`
  if (Object.hasOwn(mountstats, status)) return status as MountStatus
  return 'MNT3ERR_SERVERFAULT' // of which JUKEBOX is one: MOUNT knows no "not now"
}
