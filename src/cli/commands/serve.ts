// `tahoe-nfs serve`: serve only, and say how to mount it.

import type { Command } from 'commander'
import { serveOnly } from '../frontends.ts'
import { logger, Stderr } from '../logging.ts'
import { mountCommand } from '../mountpoint.ts'
import { lastWhile } from '../publish.ts'
import { start } from '../server.ts'
import { type Options, settle, withOptions } from '../settings.ts'
import { untilEnd, untilSignal } from '../signals.ts'
import { fromBefore, kept } from '../waiting.ts'
import { BACKLOG_KEPT } from '../wrong.ts'

export const serve = (program: Command): Command =>
  withOptions(program.command('serve'), ['auto', 'nfs'])
    .description('serve only, in the foreground; prints the command that mounts it')
    .action(async (options: Options) => {
      const settings = await settle(options, null)
      const { signal } = untilSignal()
      const stderr = new Stderr()
      const log = logger(settings.logLevel, stderr)
      const running = await start(settings, { plan: serveOnly, mountpoint: null, log, signal })
      stderr.open()
      const status = running.status()
      const { address, readOnly, pending } = status
      for (const line of fromBefore(pending)) console.log(line)
      console.log(`serving ${address}${readOnly ? ' (read-only)' : ''}; mount it with`)
      console.log(`  ${mountCommand(running.nfs!, status, 'MOUNTPOINT')}`)
      const cause = await untilEnd(signal, running.ended)
      const left = cause === 'signal' ? await lastWhile(running) : running.status().pending
      await running.close()
      if (left.files === 0) return
      console.error(kept(left, settings.stateDir))
      process.exitCode = BACKLOG_KEPT
    })
