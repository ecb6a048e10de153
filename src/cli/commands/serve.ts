// `tahoe-nfs serve`: serve only, and say how to mount it.

import type { Command } from 'commander'
import { logger, Stderr } from '../logging.ts'
import { mountCommand } from '../mountpoint.ts'
import { start } from '../server.ts'
import { type Options, settle, withOptions } from '../settings.ts'
import { untilEnd, untilSignal } from '../signals.ts'

export const serve = (program: Command): Command =>
  withOptions(program.command('serve'))
    .description('serve only, in the foreground; prints the command that mounts it')
    .action(async (options: Options) => {
      const settings = await settle(options)
      const { signal } = untilSignal()
      const stderr = new Stderr()
      const log = logger(settings.logLevel, stderr)
      const running = await start(settings, { mountpoint: null, log, signal })
      stderr.open()
      console.log(`serving ${running.status().address} (read-only); mount it with`)
      console.log(`  ${mountCommand(running, 'MOUNTPOINT')}`)
      await untilEnd(signal, running.stopped)
      await running.close()
    })
