// What a client keeps to itself beside its caps: the secret that goes into the keys of what it
// stores, and the one that its leases are made of. A node keeps them as `private/convergence` and
// `private/secret`.

import { decode } from '../format/base32.ts'
import { TaggedHash, taggedHash, taggedPairHash } from '../format/hash.ts'
import type { LeaseSecrets, StorageIndex } from '../storage/server.ts'

/** Which of a client's secrets, and of a file's, and of a share's. */
const tags = {
  renew: ['renewal', 'allmydata_client_renewal_secret_v1'],
  cancel: ['cancel', 'allmydata_client_cancel_secret_v1'],
} as const

export class Secrets {
  /** Mixed into the key of every immutable file, so that equal content has equal caps here and nowhere else. */
  readonly convergence: Buffer
  readonly #clients: { readonly renew: Buffer; readonly cancel: Buffer }

  constructor(convergence: Buffer, lease: Buffer) {
    this.convergence = convergence
    // The lease secret is the tag, and what it is for the value: the other way round from everywhere else.
    const client = (what: string) => new TaggedHash(lease).update(Buffer.from(what)).digest()
    this.#clients = { renew: client(tags.renew[1]), cancel: client(tags.cancel[1]) }
  }

  /** The secrets of the lease that a server (its 20 bytes of id) is given on a storage index. */
  leases(index: StorageIndex, server: Buffer): LeaseSecrets {
    const of = (which: 'renew' | 'cancel') => {
      const name = tags[which][0]
      const file = taggedPairHash(`allmydata_file_${name}_secret_v1`, this.#clients[which], decode(index)!)
      return taggedPairHash(`allmydata_bucket_${name}_secret_v1`, file, server)
    }
    return { renew: of('renew'), cancel: of('cancel') }
  }
}

/** What a server (its 20 bytes of id) must be shown by whoever writes to a mutable file. */
export function writeEnabler(writeKey: Uint8Array, server: Buffer): Buffer {
  const master = taggedHash('allmydata_mutable_writekey_to_write_enabler_master_v1', writeKey)
  return taggedPairHash(
    'allmydata_mutable_write_enabler_master_and_nodeid_to_write_enabler_v1',
    master,
    server,
  )
}
