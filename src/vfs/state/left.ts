// Whether something waits in a state that nobody has open. That can be seen without its key.

import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** True also where nobody can tell; false where there is no state. */
export async function waitsIn(stateDir: string): Promise<boolean> {
  const file = join(stateDir, 'state.db')
  const there = await access(file).then(
    () => true,
    (err: NodeJS.ErrnoException) => err.code !== 'ENOENT' && err.code !== 'ENOTDIR',
  )
  if (!there) return false
  try {
    const db = new DatabaseSync(file, { readOnly: true })
    try {
      const row = db
        .prepare('SELECT EXISTS (SELECT 1 FROM intent) OR EXISTS (SELECT 1 FROM local) AS waits')
        .get()
      return row?.['waits'] !== 0
    } finally {
      db.close()
    }
  } catch {
    return true
  }
}
