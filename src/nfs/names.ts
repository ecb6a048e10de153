// Names at the edge: what a stranger sends as a filename3 becomes a string that the
// file system can trust, or a status. Nothing past here sees '/', NUL or broken UTF-8.

import { Nfs3Error } from './status.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const slash = 0x2f

/** RFC 1813 §2.5: a name with characters that the server cannot handle is NFS3ERR_ACCES. */
function checked(bytes: Uint8Array, nameMax: number): void {
  if (bytes.length === 0) throw new Nfs3Error('NFS3ERR_ACCES', 'an empty name')
  if (bytes.length > nameMax) throw new Nfs3Error('NFS3ERR_NAMETOOLONG', `${bytes.length} bytes`)
  if (bytes.includes(slash)) throw new Nfs3Error('NFS3ERR_ACCES', 'a name with a slash')
  if (bytes.includes(0)) throw new Nfs3Error('NFS3ERR_ACCES', 'a name with a NUL')
}

function decoded(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes)
  } catch {
    return null
  }
}

/** A name to look for. What is not UTF-8 cannot exist here, so it is NOENT: a client then goes on to create it. */
export function soughtName(bytes: Uint8Array, nameMax: number): string {
  checked(bytes, nameMax)
  const name = decoded(bytes)
  if (name === null) throw new Nfs3Error('NFS3ERR_NOENT', 'a name that is not UTF-8')
  return name
}

/** A name that something is to have. What is not UTF-8 is INVAL. */
export function givenName(bytes: Uint8Array, nameMax: number): string {
  checked(bytes, nameMax)
  const name = decoded(bytes)
  if (name === null) throw new Nfs3Error('NFS3ERR_INVAL', 'a name that is not UTF-8')
  return name
}

/** A name to make; '.' and '..' exist everywhere. */
export function newName(bytes: Uint8Array, nameMax: number): string {
  const name = givenName(bytes, nameMax)
  if (isDots(name)) throw new Nfs3Error('NFS3ERR_EXIST', name)
  return name
}

export const isDots = (name: string): boolean => name === '.' || name === '..'
