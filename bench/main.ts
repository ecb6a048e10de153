// The figures of the main jobs, each beside a peer in the same run.
//
//   npm run bench -- [reading|writing|native|fuse|PART]... [--huge MIB] [--quick]

import { availableParallelism, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { calls, cold, dbench, git, ls, rates } from './fuse.ts'
import { readers } from './fuse-readers.ts'
import { chk, hugeLocal, names, thousandFiles } from './native.ts'
import { nfsGuest } from './nfs-guest.ts'
import { MiB } from './noise.ts'
import { firstBytes, listing, stream } from './reading.ts'
import { type Sizes, World } from './world.ts'
import { hugeFile, largeFile, latency, oneByte, remove, smallFiles } from './writing.ts'

type Part = (world: World, sizes: Sizes) => Promise<void>

const groups: Record<string, Record<string, Part>> = {
  reading: { listing, stream, 'first-bytes': firstBytes },
  writing: {
    'small-files': smallFiles,
    remove,
    'large-file': largeFile,
    'one-byte': oneByte,
    latency,
    'huge-file': hugeFile,
  },
  native: { chk, names, 'thousand-files': thousandFiles, 'huge-local': hugeLocal },
  fuse: { rates, cold, calls, readers, ls, dbench, git, 'nfs-guest': nfsGuest },
}

const usage = `usage: npm run bench -- [GROUP or PART]... [--huge MIB] [--quick]
${Object.entries(groups)
  .map(([group, parts]) => `  ${group}: ${Object.keys(parts).join(', ')}`)
  .join('\n')}
  --huge: the size of one-byte's, huge-file's and huge-local's file (1024)
  --quick: the group fuse with small sizes, for trying`

/** The parts that the command line asks for, in the order of the table; null when it cannot be understood. */
function asked(): { parts: [string, Part][]; sizes: Sizes } | null {
  const options = {
    huge: { type: 'string', default: '1024' },
    quick: { type: 'boolean', default: false },
    help: { type: 'boolean' },
  } as const
  try {
    const { values, positionals } = parseArgs({ allowPositionals: true, options })
    const all = Object.entries(groups).flatMap(([group, parts]) =>
      Object.entries(parts).map(([name, part]) => ({ group, name, part })),
    )
    const isKnown = (word: string) => all.some(({ group, name }) => word === group || word === name)
    const huge = Number(values.huge) * MiB
    if (values.help || !positionals.every(isKnown) || !Number.isInteger(huge) || huge < MiB) return null
    const parts = all
      .filter(
        ({ group, name }) =>
          positionals.length === 0 || [group, name].some(each => positionals.includes(each)),
      )
      .map(({ name, part }): [string, Part] => [name, part])
    return { parts, sizes: { huge, quick: values.quick } }
  } catch {
    return null
  }
}

const wanted = asked()
if (!wanted) {
  console.error(usage)
  process.exit(2)
}
// With others at work even the ratios are worth little.
console.log(`the machine's load before: ${loadavg()[0]!.toFixed(2)}, processors: ${availableParallelism()}`)
const world = await World.make()
try {
  for (const [, part] of wanted.parts) await part(world, wanted.sizes)
} finally {
  await world.end()
}
