// What is published is what was there: seen from another machine, which knows only the grid.

import { createHash } from 'node:crypto'
import type { ExecutionContext } from 'ava'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { Grid } from '../../src/tahoe/grid.ts'
import type { Tahoefs } from '../../src/vfs/tahoefs.ts'
import type { Vfs } from '../../src/vfs/vfs.ts'
import { folder, openAt } from '../support/places.ts'
import { content, everything } from './walk.ts'

const TOO_LARGE = 2 ** 28

/** Publishes all that waits, and compares with what a new state directory shows of the same grid. */
export async function sameElsewhere(t: ExecutionContext, fs: Tahoefs, grid: Grid, root: Cap): Promise<void> {
  for await (const { attr } of everything(fs)) if (attr.size > TOO_LARGE) return // mostly holes: days of uploading
  await fs.flush(null)
  const other = await openAt(await folder(t), grid, root)
  try {
    const [there, here] = [await lines(other), await lines(fs)]
    t.deepEqual(
      there.filter(line => !here.includes(line)),
      here.filter(line => !there.includes(line)),
    )
    t.is(fs.status().pending.files, 0)
  } finally {
    await other.close()
  }
}

/** Every path, with all of it that another machine should see. */
export async function lines(vfs: Vfs): Promise<string[]> {
  const found: string[] = []
  for await (const { path, attr } of everything(vfs)) {
    const { id, kind, mode, size, mtime } = attr
    if (kind === 'directory') found.push(`${path} directory`)
    else if (kind === 'symlink') found.push(`${path} -> ${Buffer.from((await vfs.readlink(id)).target)}`)
    else {
      const hash = createHash('sha256')
        .update(await content(vfs, id))
        .digest('hex')
      found.push(`${path} file ${mode.toString(8)} ${size} ${mtime} ${hash}`)
    }
  }
  return found.map(line => line.normalize('NFC')).sort() // the form of the grid
}
