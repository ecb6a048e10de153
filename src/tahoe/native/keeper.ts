// A server whose shares lie on this machine: they can be counted, replaced and removed.

import type {
  LeaseSecrets,
  ShareWriter,
  StorageIndex,
  StorageServer,
  WriteSecrets,
} from '../storage/server.ts'
import type { SlotFound } from '../storage/walk.ts'

export interface Keeper extends StorageServer {
  /** Every slot that it has, in the order of their indexes. */
  slots(): AsyncGenerator<SlotFound>
  /** Whether a share has a lease that is not of these secrets. */
  heldByOthers(index: StorageIndex, share: number, leases: LeaseSecrets): Promise<boolean>
  /** Puts a mutable share as it is under another write enabler. */
  adopt(index: StorageIndex, share: number, secrets: WriteSecrets): Promise<void>
  /** Whether there was such a share; it is gone for good when this returns. */
  remove(index: StorageIndex, share: number): Promise<boolean>
  /** A writer of an immutable share that takes the place of what is there when it is closed. ENOSPC. */
  replace(index: StorageIndex, share: number, size: number, leases: LeaseSecrets): Promise<ShareWriter>
}

export const isKeeper = (server: StorageServer): server is Keeper =>
  typeof (server as Partial<Keeper>).replace === 'function'
