// By which way a file system is served, and how a mount point comes to be mounted.

import type { Logger } from 'pino'
import { whyNoFuse } from '../fuse/machine.ts'
import type { Vfs } from '../vfs/vfs.ts'
import { quoted, whyNoMount } from './mountpoint.ts'
import { mountAt } from './mounts.ts'
import { type OverFuse, overFuse } from './over-fuse.ts'
import { type OverNfs, overNfs } from './over-nfs.ts'
import type { Settings } from './settings.ts'
import { withoutCode } from './words.ts'
import { Wrong } from './wrong.ts'

export const frontends = ['auto', 'nfs', 'fuse'] as const
export type Frontend = (typeof frontends)[number]

export type Plan = {
  /** Where FUSE is to be mounted, or null. */
  readonly fuse: string | null
  readonly nfs: boolean
  /** Why NFS, where it is served, is not mounted; null when it can be. */
  readonly whyNot: string | null
  /** Whether it is served over NFS, and the command said, where mounting FUSE fails. */
  readonly isAuto: boolean
}

/** NFS alone, which others mount. */
export const serveOnly: Plan = { fuse: null, nfs: true, whyNot: null, isAuto: false }

/** Once it is known that something can be mounted there (`mayMount`). */
export async function planFor(mountpoint: string, { frontend, listen }: Settings): Promise<Plan> {
  const nfs = (whyNot: string | null): Plan => ({ ...serveOnly, whyNot })
  const fuse: Plan = { fuse: mountpoint, nfs: listen !== null, whyNot: null, isAuto: frontend === 'auto' }
  const isTakenOver = (await mountAt(mountpoint)) !== undefined // an NFS mount that waits for its server
  if (frontend === 'fuse') {
    if (isTakenOver)
      throw new Wrong(
        `${mountpoint} is mounted over NFS and waits for its server: take it over with --frontend nfs, or end it with tahoe-nfs umount --force ${quoted(mountpoint)}`,
      )
    const why = await whyNoFuse()
    if (why !== null) throw new Wrong(`FUSE cannot be mounted: ${why}; or serve NFS with --frontend nfs`)
    return fuse
  }
  if (isTakenOver) return nfs(null)
  const whyNoNfs = await whyNoMount()
  if (frontend === 'nfs' || whyNoNfs === null) return nfs(whyNoNfs)
  const why = await whyNoFuse()
  return why === null ? fuse : nfs(neither(whyNoNfs, why))
}

const neither = (overNfs: string | null, overFuse: string): string => `${overNfs}; nor over FUSE: ${overFuse}`

/** What is served, and why it is not mounted where that was wanted. */
export type Frontends = {
  readonly fuse: OverFuse | null
  readonly nfs: OverNfs | null
  readonly whyNot: string | null
}

/** Opens those that are planned; `undo` takes what closes each, and closes them in the other order. */
export async function openFrontends(
  plan: Plan,
  vfs: Vfs,
  settings: Settings,
  { log, undo }: { log: Logger; undo: (() => Promise<unknown>)[] },
): Promise<Frontends> {
  const listen = async () => {
    const nfs = await overNfs(vfs, settings, log)
    undo.push(nfs.close)
    return nfs
  }
  const nfs = plan.nfs ? await listen() : null
  if (plan.fuse === null) return { fuse: null, nfs, whyNot: plan.whyNot }
  try {
    const fuse = await overFuse(vfs, plan.fuse, settings, log)
    undo.push(fuse.close)
    return { fuse, nfs, whyNot: null }
  } catch (err) {
    if (!plan.isAuto) throw err
    const whyNot = neither(await whyNoMount(), withoutCode((err as Error).message))
    return { fuse: null, nfs: nfs ?? (await listen()), whyNot }
  }
}
