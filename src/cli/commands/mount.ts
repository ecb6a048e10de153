// `tahoe-nfs mount`: serve, mount, and go to the background. The background process gets
// its settings, and with them the root cap, as a message: arguments can be read by others.

import { fork } from 'node:child_process'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Logger } from 'pino'
import { live } from '../live.ts'
import { LogFile, logger } from '../logging.ts'
import { attach, isOrphan, mountCommand, mountpointOf, quoted, whyNoMount } from '../mountpoint.ts'
import { mountAt, mountScript } from '../mounts.ts'
import { at } from '../places.ts'
import { type Running, start } from '../server.ts'
import { type Options, type Settings, settle, withOptions } from '../settings.ts'
import { untilEnd } from '../signals.ts'
import { FAILED, Wrong } from '../wrong.ts'

type Orders = { readonly settings: Settings; readonly mountpoint: string }
type Report = { readonly done: string } | { readonly failed: string; readonly exitCode: number }

export const mount = (program: Command): Command =>
  withOptions(program.command('mount'))
    .argument('[MOUNTPOINT]', 'an empty directory (default: ~/Tahoe)')
    .description('serve, mount, and go to the background; takes over a mount whose server is gone')
    .option('--foreground', 'stay, and show what is going on')
    .action(async (given: string | undefined, options: Options & { foreground?: true }) => {
      const { settings } = await settle(options)
      const mountpoint = await mountpointOf(given)
      await isOrphan(mountpoint)
      const already = await at(settings.stateDir)
      if (already)
        throw new Wrong(
          `this root is served already, by process ${already.status.pid}, on ${already.status.mountpoint ?? 'no mount point'}`,
        )
      const orders = { settings, mountpoint }
      if (options.foreground) await foreground(orders)
      else console.log(await background(orders))
    })

/** The hidden command that the background process runs. */
export const daemon = (program: Command): Command =>
  program.command('daemon', { hidden: true }).action(() => {
    process.once('message', (orders: Orders) => void obey(orders))
  })

async function foreground({ settings, mountpoint }: Orders): Promise<void> {
  const log = logger(settings.logLevel)
  const running = await start(settings, mountpoint, log)
  try {
    console.log(await mountOrSay(running, mountpoint))
    const stop = live(running)
    await untilEnd(running)
    stop()
  } finally {
    await end(running, mountpoint, log)
  }
}

async function background(orders: Orders): Promise<string> {
  const child = fork(process.argv[1]!, ['daemon'], {
    detached: true,
    serialization: 'advanced',
    cwd: '/',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const report = await new Promise<Report>(resolve => {
    child.once('message', report => resolve(report as Report))
    child.once('error', err =>
      resolve({ failed: `the background process could not be started: ${err.message}`, exitCode: FAILED }),
    )
    child.once('exit', code =>
      resolve({ failed: `the background process ended (${code}) before it served`, exitCode: FAILED }),
    )
    child.send(orders)
  })
  if ('failed' in report) throw new Wrong(report.failed, report.exitCode)
  child.disconnect()
  child.unref()
  return report.done
}

async function obey({ settings, mountpoint }: Orders): Promise<void> {
  let running: Running
  const lines = new LogFile()
  const log = logger(settings.logLevel, lines)
  try {
    running = await start(settings, mountpoint, log)
    await lines.open(join(settings.stateDir, 'log'))
  } catch (err) {
    return fail(err)
  }
  try {
    report({ done: await mountOrSay(running, mountpoint) })
  } catch (err) {
    await running.close()
    return fail(err)
  }
  await untilEnd(running)
  await end(running, mountpoint, log)
  process.exit(0)
}

const report = (said: Report): void => void process.send!(said)

function fail(err: unknown): void {
  const { message, exitCode = FAILED } = err as Wrong
  process.send!({ failed: message, exitCode }, () => process.exit(exitCode))
}

/** Where nothing can be mounted it is served all the same, and the command said. */
async function mountOrSay(running: Running, mountpoint: string): Promise<string> {
  const orphan = await mountAt(mountpoint)
  const why = orphan ? null : await whyNoMount()
  if (why !== null)
    return `serving ${running.host}:${running.port} (read-only); not mounted: ${why}\nmount it with\n  ${mountCommand(running, mountpoint)}`
  const how = await attach(running, mountpoint)
  return `${mountpoint} is ${how} (read-only), served by process ${process.pid} on ${running.host}:${running.port}; end it with: tahoe-nfs umount ${quoted(mountpoint)}`
}

/** Unmounts first: a mount without a server hangs whoever looks at it. */
async function end(running: Running, mountpoint: string, log: Logger): Promise<void> {
  if ((await mountAt(mountpoint))?.port === running.port) {
    await mountScript('umount', mountpoint).catch(async (err: unknown) => {
      log.warn(
        { error: (err as Error).message },
        'it is detached instead; programs that still use it wait until it is mounted again',
      )
      await mountScript('umount', '--lazy', mountpoint).catch((err: unknown) =>
        log.error({ error: (err as Error).message }, 'it could not be detached either'),
      )
    })
  }
  await running.close()
}
