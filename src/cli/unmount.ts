// Taking a mount away, over NFS or FUSE, and saying who keeps it.

import type { Logger } from 'pino'
import { FUSE_TYPE, unmountFuse } from '../fuse/mount.ts'
import { type Mount, mountAt, mountScript } from './mounts.ts'
import type { Running } from './server.ts'
import { inUse, usersOf } from './using.ts'
import { withoutCode } from './words.ts'
import { Wrong } from './wrong.ts'

const isLinux = process.platform === 'linux'

export const isFuse = ({ type }: Mount): boolean => type === FUSE_TYPE

/** Throws while somebody uses it, and says who. */
export async function unmount(mounted: Mount): Promise<void> {
  const { mountpoint } = mounted
  if (isFuse(mounted)) {
    if (await unmountFuse(mountpoint).catch(inWords)) return
  } else {
    const failed = await mountScript('umount', mountpoint).then(
      () => null,
      (err: Error) => err,
    )
    if (failed === null) return
    if (!isLinux || !/\bbusy\b/i.test(failed.message)) throw failed
  }
  throw new Wrong(`${mountpoint} is ${inUse(await usersOf(mountpoint))}`)
}

/** Out of sight now, whoever uses it, and gone when nobody does any more. With `force` calls that wait are given up. */
export async function detach(mounted: Mount, { force = false } = {}): Promise<void> {
  const { mountpoint } = mounted
  if (isFuse(mounted)) await unmountFuse(mountpoint, { lazy: true }).catch(inWords)
  else
    await mountScript(
      'umount',
      ...(force ? ['--force'] : []),
      ...(isLinux || !force ? ['--lazy'] : []),
      mountpoint,
    )
}

const inWords = (err: Error): never => {
  throw new Wrong(withoutCode(err.message))
}

/** Takes away what a server has mounted, at its end: a mount without a server hangs or fails whoever looks at it. */
export async function takeAway(running: Running, mountpoint: string, log: Logger): Promise<void> {
  const mounted = await mountAt(mountpoint)
  if (!mounted || !isOf(running, mounted)) return
  try {
    await unmount(mounted)
  } catch (err) {
    const then = isFuse(mounted)
      ? 'programs that still use it get an error once the server is gone'
      : 'programs that still use it wait until it is mounted again'
    log.warn({ error: (err as Error).message }, `it is detached instead; ${then}`)
    await detach(mounted).catch((err: unknown) =>
      log.error(
        { error: (err as Error).message },
        'it could not be detached either: it stays mounted, and waits for a server until it is unmounted with --force',
      ),
    )
  }
}

const isOf = ({ nfs, fuse }: Running, { port, number }: Mount): boolean =>
  (nfs !== null && port === nfs.port) || (fuse !== null && number === fuse.number)
