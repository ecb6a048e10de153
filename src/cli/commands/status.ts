// `tahoe-nfs status`: what is mounted, cached and waiting.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { find } from '../find.ts'
import { mountAt } from '../mounts.ts'
import type { Status } from '../places.ts'
import { amount, clashLines, itemLines } from '../waiting.ts'
import { inWords, printable, whileInWords, withoutCode } from '../words.ts'

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
        console.log(
          json ? JSON.stringify(status, null, watch ? 0 : 2) : described(status, await isMounted(status)),
        )
        if (watch) await sleep(1000)
      } while (watch)
    })

const isMounted = async ({ mountpoint }: Status): Promise<boolean> =>
  mountpoint !== null && (await mountAt(mountpoint)) !== undefined

/** `NFS on 127.0.0.1:761`, `FUSE`, or both. */
const frontends = ({ frontend, address }: Status): string =>
  [...(frontend === 'fuse' ? ['FUSE'] : []), ...(address === null ? [] : [`NFS on ${address}`])].join(' and ')

export function described(s: Status, mounted: boolean, now = Date.now()): string {
  const { mountpoint, grid, cache, pending } = s
  const lasting = (at: string): string => `for ${whileInWords(now - Date.parse(at))}`
  const reach = grid.reachable
    ? 'reachable'
    : `out of reach ${lasting(grid.since)}: ${withoutCode(grid.lastError)}`
  const where = mountpoint === null ? 'no mount point' : mounted ? mountpoint : `${mountpoint} (not mounted)`
  return [
    `${where}: ${s.readOnly ? 'read-only' : 'read-write'}, ${frontends(s)}, process ${s.pid}`,
    `  grid     ${grid.kind} ${grid.name}, ${reach}`,
    `  cache    ${inWords(cache.bytes)} of ${inWords(cache.limit)}`,
    `  waiting  ${pending.oldest === null ? 'nothing' : `${amount(pending)}, the oldest ${lasting(pending.oldest)}`}`,
    ...itemLines(pending, now).map(item => `           ${item}`),
    `  calls    ${s.calls}, memory ${inWords(s.memory)}`,
    `  state    ${s.state}`,
    ...clashLines(s.conflicts).map(clash => `  conflict ${clash}`),
    ...s.errors.map(error => `  error    ${printable(withoutCode(error))}`),
  ].join('\n')
}
