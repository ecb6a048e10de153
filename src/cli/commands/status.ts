// `tahoe-nfs status`: what is mounted, cached and waiting.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { find } from '../find.ts'
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
        const found = await find({ mountpoint, state })
        console.log(json ? JSON.stringify(found.status, null, watch ? 0 : 2) : described(found.status))
        if (watch) await sleep(1000)
      } while (watch)
    })

const described = (s: Status): string =>
  [
    `${s.mountpoint ?? '(not mounted)'}  ${s.readOnly ? 'read-only' : 'read-write'}, NFS on ${s.address}, process ${s.pid}`,
    `  grid     ${s.grid.kind} ${s.grid.url}, ${s.grid.reachable ? 'reachable' : `out of reach since ${s.grid.since}: ${s.grid.lastError}`}`,
    `  cache    ${inWords(s.cache.bytes)} of ${inWords(s.cache.limit)}`,
    `  waiting  ${s.pending.files === 0 ? 'nothing' : `${s.pending.files} files, ${inWords(s.pending.bytes)}, the oldest since ${s.pending.oldest}`}`,
    `  calls    ${s.calls}, memory ${inWords(s.memory)}`,
  ].join('\n')
