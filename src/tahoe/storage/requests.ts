// What may be asked of a folder of shares at all.

import { checkIndex, checkShare } from './folder.ts'
import { checkSecrets } from './lease.ts'
import { checkChange, checkRange } from './replacement.ts'
import type { ReadVector, StorageIndex, TestWrite, WriteSecrets } from './server.ts'

/** EINVAL for what no slot could take; else what to call it. */
export function checkWrite(
  index: StorageIndex,
  secrets: WriteSecrets,
  changes: ReadonlyMap<number, TestWrite>,
  reads: ReadVector,
): string {
  checkIndex(index)
  const what = `write to the slot ${index}`
  checkSecrets(what, secrets.renew, secrets.cancel, secrets.writeEnabler)
  for (const [share, change] of changes) {
    checkShare(share)
    checkChange(what, change)
  }
  for (const { offset, size } of reads) checkRange(what, offset, size)
  return what
}
