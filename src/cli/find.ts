// The running server a command means: the one at a mount point, of a state directory, or
// the only one there is.

import { resolve } from 'node:path'
import { at, type Found, running } from './places.ts'
import { Wrong } from './wrong.ts'

export async function find(options: {
  mountpoint?: string | undefined
  state?: string | undefined
}): Promise<Found> {
  if (options.state !== undefined) {
    const found = await at(resolve(options.state))
    if (!found) throw new Wrong(`no server runs with the state directory ${options.state}`)
    return found
  }
  const all = await running()
  if (options.mountpoint !== undefined) {
    const wanted = resolve(options.mountpoint)
    const found = all.find(each => each.status.mountpoint === wanted)
    if (!found) throw new Wrong(`no server of yours serves ${wanted}`)
    return found
  }
  if (all.length === 1) return all[0]!
  if (all.length === 0) throw new Wrong('no server of yours runs')
  const names = all.map(each => each.status.mountpoint ?? each.status.state).join(', ')
  throw new Wrong(`${all.length} servers run (${names}); name the mount point, or --state DIR`)
}
