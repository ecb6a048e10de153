// A process that opens a file system, reads all of it, says so, and waits to be killed.
// What it needs comes on its standard input: caps are never in argv.

import { parseCap } from '../../src/tahoe/cap.ts'
import { gateway } from '../../src/tahoe/gateway/gateway.ts'
import { openAt, readAll } from './places.ts'
import { secretWorld } from './secret-world.ts'

let given = ''
for await (const chunk of process.stdin) given += chunk
const { dir, url, root } = JSON.parse(given) as { dir: string; url: string | null; root: string }
const grid = url === null ? secretWorld().grid : gateway(url)
const fs = await openAt(dir, grid, parseCap(root))
await readAll(fs, fs.root)
await new Promise(resolve => setTimeout(resolve, 200)) // blocks go to the disk behind the read
process.stdout.write('read\n')
setInterval(() => {}, 1000)
