// A FUSE mount whose server is gone. Whoever looks at it gets an error until it is cleared away;
// nothing can take it over, as NFS can, for the device went with the process.

import { type Liveness, liveness } from '../fuse/alive.ts'
import { sudoUid } from './caller.ts'
import { quoted } from './mountpoint.ts'
import { type Mount, mountAt } from './mounts.ts'
import { running } from './places.ts'
import { detach, isFuse } from './unmount.ts'
import { Wrong } from './wrong.ts'

/** Only of a mount of one's own, or under sudo of whoever called it, can be known what became of its server. */
export async function fateOf({ mountpoint, user }: Mount): Promise<Liveness | 'unknown'> {
  const isOwn = user !== null && (user.uid === process.getuid?.() || user.uid === sudoUid())
  return isOwn ? liveness(mountpoint, user) : 'unknown'
}

/** Clears away what servers that are gone have left at a mount point, and refuses what is not that. */
export async function clearOrphans(mountpoint: string): Promise<void> {
  for (;;) {
    const mounted = await mountAt(mountpoint)
    if (!mounted || !isFuse(mounted)) return
    const server = (await running()).find(each => each.status.mountpoint === mountpoint)
    if (server)
      throw new Wrong(
        `${mountpoint} is served by process ${server.status.pid} already; end it with tahoe-nfs umount ${quoted(mountpoint)}, or name another`,
      )
    const fate = await fateOf(mounted)
    if (fate !== 'gone') throw new Wrong(`${refusal(mounted, fate)}, or name another mount point`)
    await detach(mounted)
  }
}

/** Why it is left alone, and what to do. */
export function refusal({ mountpoint, user }: Mount, fate: Exclude<Liveness, 'gone'> | 'unknown'): string {
  const force = `tahoe-nfs umount --force ${quoted(mountpoint)}`
  if (fate === 'unknown') return `${mountpoint} was mounted by user ${user?.uid}: let them end it`
  if (fate === 'silent')
    return `the server of ${mountpoint} does not answer: end its process, or detach it with ${force}`
  return `${mountpoint} is mounted already, and its server, which is not known here, answers: end its process, or detach it with ${force}`
}
