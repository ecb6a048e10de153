// What a first start makes on disk, so that one that fails can take it back: an empty
// state would only be in the way of the next attempt.

import { access, readdir, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'

export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** Looks at `dir` before it is used. The function it gives makes it again what it was, if there was nothing in it. */
export async function beforeMaking(dir: string): Promise<() => Promise<void>> {
  const missing: string[] = []
  for (let at = dir; at !== dirname(at) && !(await exists(at)); at = dirname(at)) missing.push(at)
  const empty = missing.length > 0 || (await readdir(dir).catch(() => ['unknown'])).length === 0
  return async () => {
    if (!empty) return
    for (const name of await readdir(dir).catch(() => []))
      await rm(join(dir, name), { recursive: true, force: true })
    // Only while they are empty: somebody else may have put something there meanwhile.
    for (const each of missing) await rmdir(each).catch(() => {})
  }
}
