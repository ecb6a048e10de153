// The running server a command means: the one at a mount point, of a state directory, or
// the only one there is.

import { resolve } from 'node:path'
import { placeOf } from './mountpoint.ts'
import { at, type Found, running } from './places.ts'
import { Wrong } from './wrong.ts'

export async function find(options: {
  mountpoint?: string | undefined
  state?: string | undefined
}): Promise<Found> {
  if (options.state !== undefined) {
    const found = await at(resolve(options.state))
    if (!found) throw new Wrong(`no server runs with the state directory ${resolve(options.state)}`)
    return found
  }
  const all = await running()
  if (options.mountpoint !== undefined) {
    const wanted = await placeOf(options.mountpoint)
    const found = all.find(each => each.status.mountpoint === wanted)
    if (!found) throw new Wrong(`no server of yours serves ${wanted}${hint}`)
    return found
  }
  if (all.length === 1) return all[0]!
  if (all.length === 0) throw new Wrong(`no server of yours runs${hint}`)
  const names = all.map(each => each.status.mountpoint ?? `--state ${each.status.state}`).join(', ')
  throw new Wrong(`${all.length} servers run (${names}); name the mount point, or --state DIR`)
}

/** What root started only root sees. */
const hint =
  process.platform === 'linux' && process.getuid?.() !== 0
    ? '; one that was started with sudo is seen with sudo'
    : ''
