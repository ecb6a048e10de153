// `tahoe-nfs export`, hidden: the export path to mount now. On macOS it is good once, for
// thirty seconds, so a printed mount command cannot hold it and asks for it instead.

import type { Command } from 'commander'
import { askControl } from '../../control/client.ts'
import { find } from '../find.ts'

export const exportPath = (program: Command): Command =>
  program
    .command('export', { hidden: true })
    .option('--state <DIR>', 'of the server with this state directory')
    .action(async ({ state }: { state?: string }) => {
      const { socket } = await find({ state })
      const { path } = (await askControl(socket, 'POST', '/export')) as { path: string }
      console.log(path)
    })
