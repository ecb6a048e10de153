// `tahoe-nfs mount`: serve, mount, and go to the background. The background process gets
// its settings, and with them the root cap, as a message: arguments can be read by others.

import { fork } from 'node:child_process'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Logger } from 'pino'
import { live } from '../live.ts'
import { LogFile, logger, Stderr } from '../logging.ts'
import { attach, mayMount, mountCommand, mountpointOf, quoted, whyNoMount } from '../mountpoint.ts'
import { mountAt, mountScript } from '../mounts.ts'
import { lastWhile } from '../publish.ts'
import { type Running, start } from '../server.ts'
import { type Options, type Settings, settle, withOptions } from '../settings.ts'
import { untilEnd, untilSignal } from '../signals.ts'
import { fromBefore, kept, type Waiting } from '../waiting.ts'
import { BACKLOG_KEPT, FAILED, USED_WRONGLY, Wrong } from '../wrong.ts'

type Orders = { readonly settings: Settings; readonly mountpoint: string }
type Report = { readonly done: string } | { readonly failed: string; readonly exitCode: number }

export const mount = (program: Command): Command =>
  withOptions(program.command('mount'))
    .argument('[MOUNTPOINT]', 'an empty directory (default: ~/Tahoe)')
    .description('serve, mount, and go to the background; takes over a mount whose server is gone')
    .option('--foreground', 'stay, and show what is going on')
    .action(async (given: string | undefined, options: Options & { foreground?: true }) => {
      const settings = await settle(options)
      const { mountpoint, undo } = await mountpointOf(given)
      try {
        await mayMount(mountpoint, settings)
        if (options.foreground) await foreground({ settings, mountpoint })
        else console.log(await background({ settings, mountpoint }))
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

async function foreground({ settings, mountpoint }: Orders): Promise<void> {
  const stderr = new Stderr()
  const log = logger(settings.logLevel, stderr)
  const { signal } = untilSignal()
  const running = await start(settings, { mountpoint, log, signal })
  stderr.open()
  try {
    console.log(await mountOrSay(running, mountpoint))
    const stop = live(running)
    await untilEnd(signal, running.stopped)
    stop()
  } finally {
    const left = await end(running, mountpoint, log, signal)
    if (left.files > 0) {
      console.error(kept(left, settings.stateDir))
      process.exitCode = BACKLOG_KEPT
    }
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

async function obey({ settings, mountpoint }: Orders): Promise<void> {
  const lines = new LogFile()
  const log = logger(settings.logLevel, lines)
  process.on('uncaughtExceptionMonitor', err => log.error({ err }, 'not meant to happen: it ends here'))
  const ending = untilSignal()
  // Who waits for our report is gone: given up with ^C, before there was one.
  const abandoned = () => ending.abort('SIGHUP')
  process.once('disconnect', abandoned)
  let running: Running
  try {
    running = await start(settings, { mountpoint, log, signal: ending.signal })
    lines.open(join(settings.stateDir, 'log'))
  } catch (err) {
    return fail(err)
  }
  try {
    const done = await mountOrSay(running, mountpoint)
    process.off('disconnect', abandoned)
    report({ done }, () => {})
    log.info({ port: running.port }, 'serving')
  } catch (err) {
    await running.close()
    return fail(err)
  }
  await untilEnd(ending.signal, running.stopped)
  const { files, bytes } = await end(running, mountpoint, log, ending.signal)
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
  const { address, readOnly, pending } = running.status()
  const lines = [...running.warnings, ...fromBefore(pending)]
  const orphan = await mountAt(mountpoint)
  const why = orphan ? null : await whyNoMount()
  const ended = `end it with: tahoe-nfs umount ${quoted(mountpoint)}`
  if (why === null) {
    const attached = await attach(running, mountpoint)
    if (attached.warning !== '') lines.push(attached.warning)
    lines.push(
      `${mountpoint} is ${attached.how}${mode(attached.readOnly)}, served by process ${process.pid} on ${address}; ${ended}`,
    )
  } else {
    lines.push(
      `serving ${address}${mode(readOnly)} by process ${process.pid}, not mounted: ${why}`,
      'mount it with',
      `  ${mountCommand(running, mountpoint)}`,
      ended,
    )
  }
  return lines.join('\n')
}

const mode = (readOnly: boolean): string => (readOnly ? ' (read-only)' : '')

/**
 * Unmounts first: a mount without a server hangs whoever looks at it. Then what waits is
 * published, as far as that goes; what is left is kept. Who asked for the end has waited already.
 */
async function end(running: Running, mountpoint: string, log: Logger, signal: AbortSignal): Promise<Waiting> {
  if ((await mountAt(mountpoint))?.port === running.port) {
    await mountScript('umount', mountpoint).catch(async (err: unknown) => {
      log.warn(
        { error: (err as Error).message },
        'it is detached instead; programs that still use it wait until it is mounted again',
      )
      await mountScript('umount', '--lazy', mountpoint).catch((err: unknown) =>
        log.error(
          { error: (err as Error).message },
          'it could not be detached either: it stays mounted, and waits for a server until it is unmounted with --force',
        ),
      )
    })
  }
  const left = signal.aborted ? await lastWhile(running) : running.status().pending
  await running.close()
  return left
}
