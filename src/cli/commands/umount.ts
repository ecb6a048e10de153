// `tahoe-nfs umount`: take the mount away, then end its server.

import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { askControl } from '../../control/client.ts'
import { mountAt, mountScript } from '../mounts.ts'
import { type at, running } from '../places.ts'
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
      const mountpoint = resolve(given)
      const server = (await running()).find(each => each.status.mountpoint === mountpoint)
      const mounted = await mountAt(mountpoint)
      if (!mounted && !server)
        throw new Wrong(`${mountpoint} is not mounted, and no server of yours serves it`)
      if (mounted && !mounted.type.startsWith('nfs'))
        throw new Wrong(`${mountpoint} is not an NFS mount (${mounted.type})`)
      if (mounted && !server && !force)
        throw new Wrong(
          `${mountpoint} is mounted, but its server does not run: mount it again with tahoe-nfs mount, or give --force`,
        )
      if (mounted)
        await mountScript('umount', ...(force ? ['--force', ...(linux ? ['--lazy'] : [])] : []), mountpoint)
      if (server) await stop(server)
      console.log(`${mountpoint} is unmounted`)
    })

async function stop({ socket, status }: NonNullable<Awaited<ReturnType<typeof at>>>): Promise<void> {
  await askControl(socket, 'POST', '/stop')
  for (const end = Date.now() + PATIENCE; Date.now() < end; await sleep(50)) {
    try {
      process.kill(status.pid, 0)
    } catch {
      return
    }
  }
  throw new Wrong(`the server (process ${status.pid}) was told to end and has not`)
}
