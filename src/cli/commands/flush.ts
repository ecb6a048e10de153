// `tahoe-nfs flush`: publish now, and on request wait until it is done.

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { find, findPath } from '../find.ts'
import type { Found } from '../places.ts'
import { publish } from '../publish.ts'
import { untilSignal } from '../signals.ts'
import { amount, clashLines, clashSince, itemLines, itemsBelow, type Waiting } from '../waiting.ts'
import { printable } from '../words.ts'
import { BACKLOG_KEPT } from '../wrong.ts'

type FlushOptions = { wait?: true; state?: string }

export const flush = (program: Command): Command =>
  program
    .command('flush')
    .argument('[PATH]', 'only what is at or below it: a path in the mount, or with --state from the root')
    .option('--wait', 'until all that waits now is on the grid; ^C ends only the wait, with exit code 3')
    .option('--state <DIR>', 'of the server with this state directory')
    .description('publish now what waits for the grid')
    .action(async (given: string | undefined, { wait, state }: FlushOptions) => {
      const { server, path } = await whatIsMeant(given, state)
      const began = Date.now()
      const where = path === null ? '' : ` at ${printable(path)}`
      if (!wait) {
        const { pending } = (await publish(server, path))!
        if (pending.files === 0) return console.log('nothing waits')
        console.log(`publishing what waits${where}; in all ${amount(pending)}`)
        return tell(pending, path)
      }
      const after = await publish(server, path, untilSignal().signal)
      if (after) {
        const idle = server.status.pending.files === 0
        console.log(idle ? 'nothing waits' : `what waited${where} is on the grid`)
        for (const clash of clashLines(clashSince(after.conflicts, began))) console.log(clash)
        return
      }
      const { pending } = (await find({ state: server.status.state })).status
      console.log(`not waited for any longer; it goes on, in all ${amount(pending)}`)
      tell(pending, path)
      process.exitCode = BACKLOG_KEPT
    })

/** Only those that wait at the path; when it is all of them, also how many are not told of. */
function tell(pending: Waiting, path: string | null): void {
  const items = itemsBelow(pending, path)
  const files = path === null ? pending.files : items.length
  for (const line of itemLines({ items, files }, Date.now())) console.log(`  ${line}`)
}

async function whatIsMeant(
  given: string | undefined,
  state: string | undefined,
): Promise<{ server: Found; path: string | null }> {
  if (given === undefined) return { server: await find({ state }), path: null }
  const { server, path } =
    state === undefined ? await findPath(given) : { server: await find({ state }), path: resolve('/', given) }
  return { server, path: path === '/' ? null : path }
}
