// Where a mutable file lies, and what its cap lets one do there.

import { FsError } from '../../../errors.ts'
import type { Cap } from '../../cap.ts'
import { decode } from '../../format/base32.ts'
import { readKeyOf, type SigningKey } from '../../format/ssk-keys.ts'
import type { StorageIndex } from '../../storage/server.ts'

export type Slot = {
  readonly index: StorageIndex
  readonly fingerprint: Buffer
  /** Null for who may only verify. */
  readonly readKey: Buffer | null
  /** Null for who may not write. */
  readonly writeKey: Buffer | null
  /** What may stand in messages. */
  readonly name: string
}

export type Format = 'SDMF' | 'MDMF'

/** EINVAL for a cap of anything else than a mutable file or a mutable directory. */
export function slotOf(cap: Cap): Slot {
  const index = cap.storageIndex
  const [, , key, fingerprint] = cap.uri().split(':')
  if (!cap.mutable || cap.kind === 'unknown' || index === null)
    throw new FsError('EINVAL', `${cap} is of no mutable file`)
  const bytes = decode(key!)!
  const writeKey = cap.authority === 'write' ? bytes : null
  const readKey = writeKey ? readKeyOf(writeKey) : cap.authority === 'read' ? bytes : null
  return { index, fingerprint: decode(fingerprint!)!, readKey, writeKey, name: String(cap) }
}

/** The slot of a key whose file is new. */
export const slotOfKey = (key: SigningKey, index: StorageIndex): Slot => ({
  index,
  fingerprint: key.fingerprint,
  readKey: key.readKey,
  writeKey: key.writeKey,
  name: 'a new mutable file',
})
