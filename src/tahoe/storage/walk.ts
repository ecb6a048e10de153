// Everything that a folder of shares has, a slot at a time: for whoever collects what no lease
// holds any longer, or looks whether all is well.

import { join } from 'node:path'
import { errno, refused, type ShareDisk } from './disk.ts'
import { type Folder, isIndex } from './folder.ts'
import { lookInto, shareName } from './open-shares.ts'
import type { ShareKind, StorageIndex } from './server.ts'

/** A share as it lies on the disk; `bytes` are the file's, `modified` is in milliseconds since 1970. */
export type ShareFound = {
  readonly kind: ShareKind | 'damaged'
  readonly bytes: number
  readonly modified: number
}

export type SlotFound = { readonly index: StorageIndex; readonly shares: ReadonlyMap<number, ShareFound> }

/** In the order of their indexes; what comes or goes meanwhile may be in it or not. In memory are the names of one in 1024 at a time. */
export async function* walk(folder: Folder, disk: ShareDisk): AsyncGenerator<SlotFound> {
  const prefixes = await folder.names(folder.shares)
  for (const prefix of prefixes.filter(name => /^[a-z2-7]{2}$/.test(name)).sort())
    for (const index of (await folder.names(join(folder.shares, prefix))).filter(isIndex).sort()) {
      if (!index.startsWith(prefix)) continue
      const shares = new Map<number, ShareFound>()
      for (const share of await folder.list(index)) {
        const found = await look(folder, disk, index, share)
        if (found) shares.set(share, found)
      }
      if (shares.size > 0) yield { index, shares }
    }
}

/** Null when it went meanwhile. It stays open for nobody: a walk must not push out what is in use. */
async function look(
  folder: Folder,
  disk: ShareDisk,
  index: StorageIndex,
  share: number,
): Promise<ShareFound | null> {
  const path = folder.share(index, share)
  try {
    const { size: bytes, modified } = await disk.stat(path)
    const file = await disk.open(path, 'read')
    const looked = lookInto(file, shareName(index, share)).finally(() => file.close())
    const kind = await looked.then(({ kind }) => kind).catch((err: unknown) => damagedOr(err))
    return { kind, bytes, modified }
  } catch (err) {
    if (errno(err) === 'ENOENT') return null
    throw refused(`look at ${shareName(index, share)}`, err)
  }
}

function damagedOr(err: unknown): 'damaged' {
  if (refused('', err).code === 'EIO') return 'damaged'
  throw err
}
