// `tahoe-nfs status`: what is mounted, cached and waiting.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { find } from '../find.ts'
import { mountAt } from '../mounts.ts'
import type { Status } from '../places.ts'
import { inWords } from '../words.ts'

type StatusOptions = { json?: true; watch?: true; state?: string }

export const status = (program: Command): Command =>
  program
    .command('status')
    .argument('[MOUNTPOINT]')
    .option('--json', 'as JSON, for programs')
    .option('--watch', 'again every second')
    .option('--state <DIR>', 'of the server with this state directory')
    .description('what is mounted, cached and waiting')
    .action(async (mountpoint: string | undefined, { json, watch, state }: StatusOptions) => {
      do {
        const { status } = await find({ mountpoint, state })
        if (watch && !json) console.clear() // only on a terminal
        console.log(json ? JSON.stringify(status, null, watch ? 0 : 2) : await described(status))
        if (watch) await sleep(1000)
      } while (watch)
    })

async function described(s: Status): Promise<string> {
  const { mountpoint, grid, cache, pending } = s
  const mounted = mountpoint !== null && (await mountAt(mountpoint)) !== undefined
  const where = mountpoint === null ? 'no mount point' : mounted ? mountpoint : `${mountpoint} (not mounted)`
  return [
    `${where}: ${s.readOnly ? 'read-only' : 'read-write'}, NFS on ${s.address}, process ${s.pid}`,
    `  grid     ${grid.kind} ${grid.url}, ${grid.reachable ? 'reachable' : `out of reach since ${grid.since}: ${grid.lastError}`}`,
    `  cache    ${inWords(cache.bytes)} of ${inWords(cache.limit)}`,
    `  waiting  ${pending.files === 0 ? 'nothing' : `${pending.files} files, ${inWords(pending.bytes)}, the oldest since ${pending.oldest}`}`,
    `  calls    ${s.calls}, memory ${inWords(s.memory)}`,
    `  state    ${s.state}`,
    ...s.errors.map(error => `  error    ${error}`),
  ].join('\n')
}
