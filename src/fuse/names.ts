// Names as the kernel sends them: bytes without '/' and NUL, which it has seen to. What is not
// UTF-8 cannot exist here.

import { FsError } from '../errors.ts'
import type { Body } from './layout.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decoded(bytes: Buffer): string | null {
  try {
    return utf8.decode(bytes)
  } catch {
    return null
  }
}

/** A name to look for: a program then goes on to make it, and hears why it cannot. */
export function soughtName(body: Body): string {
  const name = decoded(body.text())
  if (name === null) throw new FsError('ENOENT', 'a name that is not UTF-8')
  return name
}

/** A name that something has, or is to have. */
export function givenName(body: Body): string {
  const name = decoded(body.text())
  if (name === null) throw new FsError('EINVAL', 'a name that is not UTF-8')
  return name
}
