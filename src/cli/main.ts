// The command line.

import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { FsError } from '../errors.ts'
import { check } from './commands/check.ts'
import { doctor } from './commands/doctor.ts'
import { exportPath } from './commands/export.ts'
import { flush } from './commands/flush.ts'
import { daemon, mount } from './commands/mount.ts'
import { serve } from './commands/serve.ts'
import { status } from './commands/status.ts'
import { umount } from './commands/umount.ts'
import { withoutCaps } from './secrets.ts'
import { FAILED, USED_WRONGLY, Wrong } from './wrong.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

process.umask(0o077) // what we make is ours alone
process.stdout.on('error', (err: NodeJS.ErrnoException) => {
  if (err.code === 'EPIPE') process.exit(0) // `status --watch | head`: whoever read has read enough
  if (err.code === 'EIO') return // the terminal has gone; what is mounted must still be unmounted
  throw err
})

const program = new Command('tahoe-nfs')
  .description('A Tahoe-LAFS grid as an ordinary folder')
  .version(version)
  .exitOverride()
  .configureOutput({
    writeErr: text =>
      process.stderr.write(withoutCaps(text.replace(/^error: /, 'tahoe-nfs: ').replace(/\n\(/, ' ('))),
  })
  .addHelpText(
    'after',
    `
Exit codes: 0 done, 1 failed, 2 used wrongly, 3 done, but what waits for the grid is kept for the next start. check: 1 also when something is wrong that was not mended.
Limitations of this version: the grid is folders on this machine, or a running Tahoe-LAFS node; a file that is mutable on the grid can be written to up to 64 MiB.`,
  )
for (const add of [mount, umount, serve, status, flush, check, doctor, exportPath, daemon]) add(program)

try {
  await program.parseAsync()
} catch (err) {
  process.exitCode = complain(err)
}

/** One line for what a user can mend; a stack for what only we can. */
function complain(err: unknown): number {
  if (err instanceof CommanderError) return err.exitCode === 0 ? 0 : USED_WRONGLY
  if (err instanceof Wrong || err instanceof FsError) {
    const message = err instanceof FsError ? err.message.replace(/^\w+: /, '') : err.message
    console.error(withoutCaps(`tahoe-nfs: ${message.replaceAll('\n', ' ')}`))
    return err instanceof Wrong ? err.exitCode : FAILED
  }
  if ((err as NodeJS.ErrnoException).syscall === 'uv_cwd') {
    console.error('tahoe-nfs: the folder in which this was called is gone; call it in another')
    return FAILED
  }
  console.error(withoutCaps(`tahoe-nfs: not meant to happen: ${err instanceof Error ? err.stack : err}`))
  return FAILED
}
