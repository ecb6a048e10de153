// `tahoe-nfs mount`: serve, mount, and go to the background. The background process gets
// its settings, and with them the root cap, as a message: arguments can be read by others.

import { fork } from 'node:child_process'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Logger } from 'pino'
import { frontends, type Plan, planFor } from '../frontends.ts'
import { live } from '../live.ts'
import { LogFile, logger, Stderr } from '../logging.ts'
import { attach, mayMount, mountCommand, mountpointOf, quoted } from '../mountpoint.ts'
import { lastWhile } from '../publish.ts'
import { type Running, start } from '../server.ts'
import { type Options, type Settings, settle, withOptions } from '../settings.ts'
import { type Cause, untilEnd, untilSignal } from '../signals.ts'
import { served } from '../standing.ts'
import { takeAway } from '../unmount.ts'
import { fromBefore, kept, type Waiting } from '../waiting.ts'
import { BACKLOG_KEPT, FAILED, USED_WRONGLY, Wrong } from '../wrong.ts'

type Orders = { readonly settings: Settings; readonly mountpoint: string; readonly plan: Plan }
type Report = { readonly done: string } | { readonly failed: string; readonly exitCode: number }

export const mount = (program: Command): Command =>
  withOptions(program.command('mount'), frontends)
    .argument('[MOUNTPOINT]', 'an empty directory (default: ~/Tahoe)')
    .description('serve, mount, and go to the background; takes over a mount whose server is gone')
    .option('--foreground', 'stay, and show what is going on')
    .action(async (given: string | undefined, options: Options & { foreground?: true }) => {
      const { mountpoint, undo } = await mountpointOf(given)
      try {
        const settings = await settle(options, mountpoint)
        await mayMount(mountpoint, settings)
        const orders = { settings, mountpoint, plan: await planFor(mountpoint, settings) }
        if (options.foreground) await foreground(orders)
        else console.log(await background(orders))
      } catch (err) {
        await undo()
        throw err
      }
    })

/** The hidden command that the background process runs. */
export const daemon = (program: Command): Command =>
  program.command('daemon', { hidden: true }).action(() => {
    if (!process.send) throw new Wrong('daemon is started by mount', USED_WRONGLY)
    process.once('message', (orders: Orders) => void obey(orders))
  })

async function foreground({ settings, mountpoint, plan }: Orders): Promise<void> {
  process.chdir('/') // it may be the mount point
  const stderr = new Stderr()
  const log = logger(settings.logLevel, stderr)
  const { signal } = untilSignal()
  const running = await start(settings, { plan, mountpoint, log, signal })
  stderr.open()
  let cause: Cause = 'asked'
  try {
    console.log(await mountOrSay(running, mountpoint))
    const stop = live(running)
    cause = await untilEnd(signal, running.ended)
    stop()
  } finally {
    const left = await end(running, mountpoint, log, cause)
    if (left.files > 0) {
      console.error(kept(left, settings.stateDir))
      process.exitCode = BACKLOG_KEPT
    }
    if (running.fuse?.isStuck()) process.exit()
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
    const failed = (failed: string) => resolve({ failed, exitCode: FAILED })
    child.once('message', report => resolve(report as Report))
    child.once('error', err => failed(`the background process could not be started: ${err.message}`))
    child.once('exit', (code, signal) =>
      failed(`the background process ended (${signal ?? code}) before it served; try --foreground`),
    )
    child.send(orders)
  })
  if ('failed' in report) throw new Wrong(report.failed, report.exitCode)
  child.disconnect()
  child.unref()
  return report.done
}

async function obey({ settings, mountpoint, plan }: Orders): Promise<void> {
  const lines = new LogFile()
  const log = logger(settings.logLevel, lines)
  process.on('uncaughtExceptionMonitor', err => log.error({ err }, 'not meant to happen: it ends here'))
  const ending = untilSignal()
  // Who waits for our report is gone: given up with ^C, before there was one.
  const abandoned = () => ending.abort('SIGHUP')
  process.once('disconnect', abandoned)
  let running: Running
  try {
    running = await start(settings, { plan, mountpoint, log, signal: ending.signal })
    lines.open(join(settings.stateDir, 'log'))
  } catch (err) {
    return fail(err)
  }
  try {
    const done = await mountOrSay(running, mountpoint)
    process.off('disconnect', abandoned)
    report({ done }, () => {})
    log.info({ mountpoint }, `serving ${served(running.status())}`)
  } catch (err) {
    await running.close()
    return fail(err)
  }
  const cause = await untilEnd(ending.signal, running.ended)
  log.info({ cause }, 'ending')
  const { files, bytes } = await end(running, mountpoint, log, cause)
  if (files > 0) log.warn({ files, bytes }, 'not everything is on the grid; it is kept for the next start')
  log.info({}, 'ended')
  process.exit(0)
}

function report(said: Report, then: () => void): void {
  if (process.connected) process.send!(said, then)
  else then()
}

function fail(err: unknown): void {
  const exitCode = err instanceof Wrong ? err.exitCode : FAILED
  const failed = err instanceof Wrong ? err.message : `not meant to happen: ${(err as Error).stack}`
  report({ failed, exitCode }, () => process.exit(exitCode))
}

/** Where nothing can be mounted it is served all the same, and the command said. */
async function mountOrSay(running: Running, mountpoint: string): Promise<string> {
  const status = running.status()
  const { nfs, fuse, whyNot } = running
  const lines = [...running.warnings, ...fromBefore(status.pending)]
  const ended = `end it with: tahoe-nfs umount ${quoted(mountpoint)}`
  const by = `served by process ${process.pid} ${served(status)}; ${ended}`
  if (fuse) {
    lines.push(`${mountpoint} is mounted${mode(status.readOnly)}, ${by}`)
    if (nfs) lines.push('mount it elsewhere over NFS with', `  ${mountCommand(nfs, status, 'MOUNTPOINT')}`)
  } else if (whyNot === null) {
    const attached = await attach(nfs!, status.readOnly, mountpoint)
    if (attached.warning !== '') lines.push(attached.warning)
    lines.push(`${mountpoint} is ${attached.how}${mode(attached.readOnly)}, ${by}`)
  } else {
    lines.push(
      `serving ${status.address}${mode(status.readOnly)} by process ${process.pid}, not mounted: ${whyNot}`,
      'mount it with',
      `  ${mountCommand(nfs!, status, mountpoint)}`,
      ended,
    )
  }
  return lines.join('\n')
}

const mode = (readOnly: boolean): string => (readOnly ? ' (read-only)' : '')

/**
 * Unmounts first: a mount without a server hangs or fails whoever looks at it. Then what waits is
 * published, as far as that goes; what is left is kept. Who asked for the end has waited already.
 */
async function end(running: Running, mountpoint: string, log: Logger, cause: Cause): Promise<Waiting> {
  await takeAway(running, mountpoint, log)
  const left = cause === 'asked' ? running.status().pending : await lastWhile(running)
  await running.close()
  return left
}
