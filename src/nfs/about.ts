// What the log says of a call's arguments: ids, names and numbers, never content, and
// no path of MOUNT's, for that may hold a token. Made only when somebody prints it.

import { claimedId } from './fhandle.ts'

/** Turned into plain words when a logger serialises it. */
export const about = (args: unknown): { toJSON(): unknown } => ({ toJSON: () => words('', args) })

function words(key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) {
    if (key === 'name') return Buffer.from(value).toString()
    const id = claimedId(value)
    return id === null ? `${value.length} bytes` : `#${id}`
  }
  if (typeof value === 'bigint') return `${value}`
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, words(name, inner)]))
}
