// Leases: who wants a share kept, and until when. They stand in the share's own file. Since
// version 2 of the containers their secrets stand there hashed, so that a copy of a share
// gives nobody the power over it; version 1 holds them as they are.

import { timingSafeEqual } from 'node:crypto'
import { blake2b } from '@noble/hashes/blake2.js'
import { FsError } from '../../errors.ts'
import type { LeaseSecrets } from './server.ts'

export type ContainerVersion = 1 | 2

export type Lease = {
  /** Which account it is for; 0 marks an unused place in a mutable container. */
  readonly owner: number
  /** Seconds since 1970, 32 bits. */
  readonly expires: number
  /** The secrets as they stand in the container; 32 bytes each. */
  readonly renew: Buffer
  readonly cancel: Buffer
}

/** Seconds that a lease lasts. */
export const LEASE_SECONDS = 31 * 24 * 60 * 60

/** A renewal that would move the end by less, in seconds, is not worth a write. */
export const RENEWAL_STEP = 24 * 60 * 60

export const SECRET_BYTES = 32

/** When a lease that begins at `now` (milliseconds since 1970) ends, as a container says it. */
export const leaseEnd = (now: number): number => Math.min(Math.floor(now / 1000) + LEASE_SECONDS, 0xffff_ffff)

/** A secret as a container of that version holds it. */
export const stored = (version: ContainerVersion, secret: Uint8Array): Buffer =>
  version === 1 ? Buffer.from(secret) : Buffer.from(blake2b(secret, { dkLen: SECRET_BYTES }))

export const makeLease = (
  version: ContainerVersion,
  secrets: LeaseSecrets,
  owner: number,
  expires: number,
): Lease => ({
  owner,
  expires,
  renew: stored(version, secrets.renew),
  cancel: stored(version, secrets.cancel),
})

/** Compares without telling by its time how much was right. */
export const sameSecret = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && timingSafeEqual(a, b)

/** EINVAL for secrets that are not of their length: nothing could ever match them. */
export function checkSecrets(what: string, ...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets)
    if (secret.length !== SECRET_BYTES)
      throw new FsError('EINVAL', `${what}: a secret of ${secret.length} bytes instead of ${SECRET_BYTES}`)
}
