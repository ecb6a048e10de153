// How the tree rests in the database: rows of integers, and blobs sealed under keys that only
// the root cap opens. Directories are found by a keyed hash, so that a row tells nothing.

import { FsError } from '../../errors.ts'
import { type Cap, parseCap } from '../../tahoe/cap.ts'
import type { Op } from '../state/schema.ts'
import { keyedHash, seal, open as unseal } from '../state/seal.ts'
import type { State } from '../state/state.ts'
import type { FileId } from '../vfs.ts'
import type { Folder, Intent } from './folder.ts'
import type { Inode } from './inode.ts'
import { packIntent, packLocal } from './pack.ts'
import { Snapshot } from './snapshot.ts'

export class Rows {
  readonly #sealKey: Buffer
  readonly #locatorKey: Buffer

  constructor(state: State) {
    this.#sealKey = state.key('listing')
    this.#locatorKey = state.key('locator')
  }

  /** What tells one directory from another, whatever authority a cap of it has. */
  locator(cap: Cap): Buffer {
    return keyedHash(this.#locatorKey, cap.storageIndex ?? cap.readonly().uri(), 16)
  }

  /** What tells one version of a mutable file from another; odd, so that it is no mark with a meaning. */
  mark(version: string): bigint {
    return BigInt.asIntN(64, keyedHash(this.#locatorKey, `version ${version}`, 8).readBigUInt64BE() | 1n)
  }

  /** A directory's cap, sealed. */
  cap(id: FileId, cap: Cap): Buffer {
    return this.seal(Buffer.from(cap.uri()), `cap ${id}`)
  }

  openCap(id: FileId, sealed: Uint8Array): Cap {
    return parseCap(this.open(sealed, `cap ${id}`).toString())
  }

  listing({ id, snapshot, next }: Folder): Op {
    return ['setListing', this.seal(snapshot.pack(), `listing ${id}`), next, id]
  }

  openListing(id: FileId, sealed: Uint8Array): Snapshot {
    return Snapshot.unpack(this.open(sealed, `listing ${id}`))
  }

  intent(dir: FileId, intent: Intent): Op {
    return ['setIntent', dir, intent.cookie, this.seal(packIntent(intent), `intent ${dir} ${intent.cookie}`)]
  }

  /** What is known of an inode here alone; how much of its cap's content is valid is told apart. */
  local(inode: Inode): Op {
    const local = inode.local!
    const body = this.seal(packLocal(inode, local), `local ${inode.id}`)
    return ['addLocal', inode.id, body, local.draft?.valid ?? inode.size, local.since]
  }

  seal(plain: Uint8Array, about: string): Buffer {
    return seal(this.#sealKey, plain, about)
  }

  /** Throws EIO for what was not sealed under this key and about this. */
  open(sealed: Uint8Array, about: string): Buffer {
    const plain = unseal(this.#sealKey, sealed, about)
    if (!plain) throw new FsError('EIO', `the ${about} in the state does not open: the state is damaged`)
    return plain
  }
}
