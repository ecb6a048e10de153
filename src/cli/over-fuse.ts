// The file system over FUSE: mounted here, by this process, which never looks at its own mount.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { mountFuse, unmountFuse, unmounting } from '../fuse/mount.ts'
import { serveFuse } from '../fuse/server.ts'
import { guard } from '../fuse/sudden.ts'
import type { Vfs } from '../vfs/vfs.ts'
import { mountAt } from './mounts.ts'
import { callsIn } from './over-nfs.ts'
import type { Settings } from './settings.ts'
import { Wrong } from './wrong.ts'

export type OverFuse = {
  /** MAJOR:MINOR of what is mounted. */
  readonly number: string
  calls(): number
  /** Resolves when the kernel has let go of it: somebody unmounted it. */
  readonly closed: Promise<void>
  /** Whether a thread that nothing can end keeps this process from ending by itself. */
  isStuck(): boolean
  /** Whoever still uses it gets an error from then on. */
  close(): Promise<void>
}

/** Milliseconds in which the kernel lets go of what it unmounts, when nobody uses it. */
const LETTING_GO = 500

/** Milliseconds in which calls that are at work when it ends are to be done. */
const ANSWERING = 3_000

export async function overFuse(
  vfs: Vfs,
  mountpoint: string,
  { owner }: Pick<Settings, 'owner'>,
  log: Logger,
): Promise<OverFuse> {
  const between = await mountAt(mountpoint)
  if (between) throw new Wrong(`${mountpoint} has become a mount point meanwhile (${between.type})`)
  const detach = await unmounting(mountpoint, true)
  const { device, number } = await mountFuse({ mountpoint, owner, readOnly: vfs.readOnly })
  const serving = serveFuse(device, { vfs, owner, log })
  const alarm = guard({ device, detach, serving })
  let isStuck = false
  let isOver = false
  const over = serving.closed.then(() => {
    isOver = true
    if (!isStuck) alarm.release()
  })
  return {
    number,
    closed: over,
    calls: () => callsIn(serving.stats().calls),
    isStuck: () => isStuck,
    async close() {
      if ((await mountAt(mountpoint))?.number === number)
        await unmountFuse(mountpoint, { lazy: true }).catch((err: unknown) =>
          log.error({ error: (err as Error).message }, 'it could not be unmounted'),
        )
      alarm.detached()
      await Promise.race([over, sleep(LETTING_GO, undefined, { ref: false })])
      if (isOver) return
      isStuck = serving.stats().reader === 'threads'
      serving.abort()
      await Promise.race([over, sleep(ANSWERING, undefined, { ref: false })])
      if (!isOver) log.error({}, 'calls are still at work, and are given up')
    },
  }
}
