// A process that opens a file system, reads all of it, may leave something that waits, says so,
// and waits to be killed.
// What it needs comes on its standard input: caps are never in argv.

import { parseCap } from '../../src/tahoe/cap.ts'
import { gateway } from '../../src/tahoe/gateway/gateway.ts'
import { onlyAsked, openAt, readAll } from './places.ts'
import { secretTexts, secretWorld } from './secret-world.ts'

let given = ''
for await (const chunk of process.stdin) given += chunk
const { dir, url, root, write } = JSON.parse(given) as {
  dir: string
  url: string | null
  root: string
  write: boolean
}
const grid = url === null ? secretWorld().grid : gateway(url)
const fs = await openAt(dir, grid, parseCap(root), { tempo: onlyAsked })
await readAll(fs, fs.root)
if (write) {
  const made = await fs.mkdir(fs.root, 'new-directory-name', {}, { once: 'a-key' })
  const file = await fs.create(made.attr.id, 'new-file-name', { mode: 'guarded', attrs: {} })
  await fs.write(file.attr.id, 0, secretTexts.written, 'stable')
  const kept = await fs.create(made.attr.id, 'kept-file-name', { mode: 'guarded', attrs: {} })
  await fs.write(kept.attr.id, 0, secretTexts.written, 'kept')
  await fs.symlink(made.attr.id, 'new-link-name', secretTexts.linked, {})
  await fs.rename(fs.root, 'small-file-name.txt', fs.root, 'moved-file-name')
  await fs.remove(fs.root, 'literal-file-name')
}
await new Promise(resolve => setTimeout(resolve, 200)) // blocks go to the disk behind the read
process.stdout.write('read\n')
setInterval(() => {}, 1000)
