// `tahoe-nfs umount`: take the mount away, let its server publish what waits, and end it. A
// server whose mount point has nothing mounted is ended too: that is all there is to end.

import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { askControl } from '../../control/client.ts'
import { servedAt } from '../find.ts'
import { placeOf, quoted } from '../mountpoint.ts'
import { type Mount, mountAt, mounts } from '../mounts.ts'
import { fateOf, refusal } from '../orphan.ts'
import { at, type Found, running, type Status } from '../places.ts'
import { first, GRACE, publish } from '../publish.ts'
import { withoutCaps } from '../secrets.ts'
import { untilSignal } from '../signals.ts'
import { detach, isFuse, unmount } from '../unmount.ts'
import { clashLines, clashSince, kept } from '../waiting.ts'
import { BACKLOG_KEPT, Wrong } from '../wrong.ts'

/** Milliseconds for a server to end. */
const PATIENCE = 15_000

export const umount = (program: Command): Command =>
  program
    .command('umount')
    .argument('<MOUNTPOINT>')
    .option(
      '--wait',
      `let the server publish all that waits, however long it takes (default: for ${GRACE / 1000} s; the rest is kept for the next start, and the exit code is 3)`,
    )
    .option(
      '--force',
      'also when it is busy, or when its server is gone; what has not reached the server yet is lost',
    )
    .description('unmount, publish what waits, and end the server')
    .action(async (given: string, { force, wait }: { force?: true; wait?: true }) => {
      const began = Date.now()
      const mountpoint = await placeOf(given)
      process.chdir('/') // or this very process may keep it busy
      const mounted = await mountAt(mountpoint)
      const server = servedAt(mountpoint, mounted, await running())
      if (!mounted && !server)
        throw new Wrong(`${mountpoint} is not mounted, and no server of yours serves it`)
      if (mounted) await take(mounted, server, force === true)
      if (server && mounted && isBesides(server.status, mountpoint))
        return console.log(`${mountpoint} is unmounted; its server goes on with ${server.status.mountpoint}`)
      const before = server && (await finish(server, wait === true))
      const last = server && ((await stop(server)) ?? before)
      console.log(
        mounted
          ? `${mountpoint} is unmounted${server ? ', and its server has ended' : ''}`
          : `nothing was mounted at ${mountpoint}; its server has ended`,
      )
      if (!last) return
      for (const clash of clashLines(clashSince(last.conflicts, began))) console.log(clash)
      if (last.pending.files === 0) return
      console.log(kept(last.pending, last.state))
      process.exitCode = BACKLOG_KEPT
    })

/** Unmounts it, if it is ours to unmount; refuses while somebody uses it, and says who. */
async function take(mounted: Mount, server: Found | undefined, force: boolean): Promise<void> {
  const { mountpoint, type } = mounted
  if (!isFuse(mounted) && !type.startsWith('nfs'))
    throw new Wrong(
      `${mountpoint} is no mount of ours (${type}); unmount it with: umount ${quoted(mountpoint)}`,
    )
  if (force) return detach(mounted, { force })
  if (!server && !isFuse(mounted))
    throw new Wrong(
      `${mountpoint} is mounted, but its server does not run: mount it again with tahoe-nfs mount, or give --force`,
    )
  if (!server) {
    const fate = await fateOf(mounted)
    if (fate === 'gone') return detach(mounted)
    throw new Wrong(refusal(mounted, fate))
  }
  const { mountpoint: own, address } = server.status
  const others =
    own === mountpoint
      ? (await mounts()).filter(each => each.port !== null && address?.endsWith(`:${each.port}`))
      : []
  if (isFuse(mounted) && others.length > 0)
    throw new Wrong(
      `its server is also mounted over NFS, on ${others.map(each => each.mountpoint).join(', ')}: unmount that first, or give --force`,
    )
  await unmount(mounted).catch((err: unknown) => {
    if (err instanceof Wrong && /\bin use\b/.test(err.message))
      throw new Wrong(`${err.message}; end what uses it, or give --force`)
    throw err
  })
}

/** Whether what is mounted there is served besides what the server itself has mounted elsewhere. */
const isBesides = ({ frontend, mountpoint }: Status, where: string): boolean =>
  frontend === 'fuse' && mountpoint !== where

/**
 * Has what waits published, for as long as it may take, and gives the last status that is
 * known. What cannot be published is kept, so no failure is one here.
 */
async function finish(server: Found, wait: boolean): Promise<Status> {
  const { status } = (await at(server.status.state).catch(() => null)) ?? server
  if (status.pending.files === 0) return status
  const { signal } = untilSignal()
  console.error(`${first(status.pending, wait ? null : GRACE)}; ^C keeps it for the next start`)
  const patience = wait ? signal : AbortSignal.any([signal, AbortSignal.timeout(GRACE)])
  const after = await publish(server, null, patience).catch((err: unknown) => {
    console.error(withoutCaps(`tahoe-nfs: ${(err as Error).message}`))
  })
  return after ?? status
}

/** Ends the server, and gives its last status; null when it had ended before. */
async function stop({ socket, status }: Found): Promise<Status | null> {
  const last = await askControl(socket, 'POST', '/stop').catch((err: Error) => {
    throw new Wrong(err.message)
  })
  for (const end = Date.now() + PATIENCE; Date.now() < end; await sleep(50))
    if (await isGone(status.pid)) return last as Status | null
  throw new Wrong(
    `the server (process ${status.pid}) was told to end and has not; see its log in ${status.state}`,
  )
}

/** A process that has ended may stay listed, where nobody collects it, as in some containers. */
async function isGone(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (err) {
    return (err as NodeJS.ErrnoException).code === 'ESRCH'
  }
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  return /^[ZX]$/.test(stat.slice(stat.lastIndexOf(')') + 2).charAt(0))
}
