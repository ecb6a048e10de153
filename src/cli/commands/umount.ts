// `tahoe-nfs umount`: take the mount away, then end its server. A server whose mount
// point has nothing mounted is ended too: that is all there is to end.

import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { askControl } from '../../control/client.ts'
import { placeOf, quoted } from '../mountpoint.ts'
import { mountAt, mountScript } from '../mounts.ts'
import { type Found, running } from '../places.ts'
import { Wrong } from '../wrong.ts'

const linux = process.platform === 'linux'

/** Milliseconds for a server to end. */
const PATIENCE = 15_000

export const umount = (program: Command): Command =>
  program
    .command('umount')
    .argument('<MOUNTPOINT>')
    .option('--force', 'also when it is busy, or when its server is gone')
    .description('unmount, and end the server')
    .action(async (given: string, { force }: { force?: true }) => {
      const mountpoint = await placeOf(given)
      const mounted = await mountAt(mountpoint)
      const servers = await running()
      // By its port too: who only serves does not know where others mount it.
      const server = servers.find(
        ({ status }) =>
          status.mountpoint === mountpoint ||
          (mounted?.port != null && status.address.endsWith(`:${mounted.port}`)),
      )
      if (!mounted && !server)
        throw new Wrong(`${mountpoint} is not mounted, and no server of yours serves it`)
      if (mounted && !mounted.type.startsWith('nfs'))
        throw new Wrong(
          `${mountpoint} is not an NFS mount (${mounted.type}); unmount it with: umount ${quoted(mountpoint)}`,
        )
      if (mounted && !server && !force)
        throw new Wrong(
          `${mountpoint} is mounted, but its server does not run: mount it again with tahoe-nfs mount, or give --force`,
        )
      if (mounted)
        await mountScript('umount', ...(force ? ['--force', ...(linux ? ['--lazy'] : [])] : []), mountpoint)
      if (server) await stop(server)
      console.log(
        mounted
          ? `${mountpoint} is unmounted${server ? ', and its server has ended' : ''}`
          : `nothing was mounted at ${mountpoint}; its server has ended`,
      )
    })

async function stop({ socket, status }: Found): Promise<void> {
  await askControl(socket, 'POST', '/stop')
  for (const end = Date.now() + PATIENCE; Date.now() < end; await sleep(50))
    if (await isGone(status.pid)) return
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
