// Reports of damaged shares, a file each, as a Tahoe node writes them for whoever keeps it.

import { join } from 'node:path'
import { errno, type ShareDisk } from './disk.ts'
import type { Folder } from './folder.ts'
import type { ShareKind, StorageIndex } from './server.ts'

/** Reports that are kept. Beyond that none is written: whoever reads them has enough. */
const MOST = 1000

/** Characters of a reason that are kept. */
const REASON_MAX = 4096

/** `now` is in milliseconds since 1970. Nothing is synced: it is of use only while the damage is there to be found again. */
export async function writeAdvisory(
  { folder, disk, now }: { folder: Folder; disk: ShareDisk; now(): number },
  kind: ShareKind,
  index: StorageIndex,
  share: number,
  reason: string,
): Promise<void> {
  await folder.make(folder.advisories)
  if ((await folder.names(folder.advisories)).length >= MOST) return
  const time = new Date(now())
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(':', '')
  const lines = [
    'report: Share Corruption',
    `type: ${kind}`,
    `storage_index: ${index}`,
    `share_number: ${share}`,
    '',
    reason.slice(0, REASON_MAX),
    '\n',
  ]
  try {
    const file = await disk.open(join(folder.advisories, `${time}--${index}-${share}`), 'new')
    await file.write([Buffer.from(lines.join('\n'))], 0).finally(() => file.close())
  } catch (err) {
    if (errno(err) !== 'EEXIST') throw err // said within this second already
  }
}
