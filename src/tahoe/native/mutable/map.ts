// The map of a slot: which shares lie on which servers, and of which versions they are. All
// servers are asked, and each version that is taken for one was signed by the file's key.

import { codeOf, FsError } from '../../../errors.ts'
import { encode } from '../../format/base32.ts'
import { type Header, MAX_MUTABLE_SHARES, Malformed } from '../../format/ssk.ts'
import { parseHeader } from '../../format/ssk-header.ts'
import { fingerprintOf, signed } from '../../format/ssk-keys.ts'
import type { StorageServer, Wait } from '../../storage/server.ts'
import { gaveUp } from '../../turns.ts'
import { FoundShare, HEAD_SIZE } from './share.ts'
import type { Slot } from './slot.ts'

/** Shares of one version. */
export type FoundVersion = {
  /** Its numbers; where fields lie is in each share's own header. */
  readonly header: Header
  /** Equal exactly when the content is. */
  readonly id: string
  /** By number: the same share may lie on several servers. */
  readonly shares: ReadonlyMap<number, readonly FoundShare[]>
}

export type ServerMap = {
  /** The latest first; of two with the same seqnum, the one of which more is there, which may be acknowledged. */
  readonly versions: readonly FoundVersion[]
  /** All shares, those that are damaged too. */
  readonly found: readonly FoundShare[]
  readonly damaged: readonly { readonly share: FoundShare; readonly reason: string }[]
  /** Servers that gave no answer. */
  readonly silent: readonly StorageServer[]
}

export const versionId = ({ seqnum, rootHash }: { seqnum: number; rootHash: Buffer }): string =>
  `${seqnum}-${encode(rootHash)}`

/**
 * Asks all servers. Never throws for what they answer: what is missing shows in the map.
 * `trusted` are bytes of which a good signature was seen before.
 */
export async function readMap(
  slot: Slot,
  servers: readonly StorageServer[],
  trusted: Buffer | null,
  wait?: Wait,
): Promise<ServerMap> {
  const silent: StorageServer[] = []
  const damaged: { share: FoundShare; reason: string }[] = []
  const lists = await Promise.all(
    servers.map(async server => {
      try {
        return await sharesOn(slot, server, wait)
      } catch (err) {
        gaveUp(slot.name, wait?.signal)
        if (!(err instanceof FsError)) throw err
        silent.push(server)
        return []
      }
    }),
  )
  const found: FoundShare[] = []
  for (const { share, reason } of lists.flat()) {
    found.push(share)
    if (reason !== null) damaged.push({ share, reason })
  }
  const versions = await signedVersions(slot, found, damaged, trusted, wait)
  versions.sort(
    (a, b) =>
      b.header.seqnum - a.header.seqnum ||
      b.shares.size - a.shares.size ||
      b.header.rootHash.compare(a.header.rootHash),
  )
  return { versions, found, damaged, silent }
}

type Read = { share: FoundShare; reason: string | null }

async function sharesOn(slot: Slot, server: StorageServer, wait?: Wait): Promise<Read[]> {
  const numbers = await server.list('mutable', slot.index, wait)
  const reads = await Promise.all(
    [...numbers].filter(isNumber).map(async (number): Promise<Read | null> => {
      let head: Buffer
      try {
        head = await server.read('mutable', slot.index, number, 0, HEAD_SIZE, wait)
      } catch (err) {
        if (codeOf(err) === 'ENOENT') return null // removed since
        if (codeOf(err) !== 'EIO') throw err
        return damagedShare(slot, server, number, Buffer.alloc(0), 'it cannot be read')
      }
      try {
        const header = parseHeader(head)
        if (number >= header.total) throw new Malformed(`share ${number} of ${header.total}`)
        return { share: new FoundShare(slot.index, server, number, head, header), reason: null }
      } catch (err) {
        if (!(err instanceof Malformed)) throw err
        return damagedShare(slot, server, number, head, err.message)
      }
    }),
  )
  return reads.filter(read => read !== null)
}

const isNumber = (number: number): boolean => number < MAX_MUTABLE_SHARES

const damagedShare = (
  slot: Slot,
  server: StorageServer,
  number: number,
  head: Buffer,
  reason: string,
): Read => ({
  share: new FoundShare(slot.index, server, number, head, null),
  reason,
})

/** Those of the same signed bytes are one version, once one of them shows a good signature of them. */
async function signedVersions(
  slot: Slot,
  found: readonly FoundShare[],
  damaged: { share: FoundShare; reason: string }[],
  trusted: Buffer | null,
  wait?: Wait,
): Promise<FoundVersion[]> {
  const alike = Map.groupBy(
    found.filter(({ header }) => header !== null),
    ({ header }) => header!.signed.toString('latin1'),
  )
  const versions = await Promise.all(
    [...alike.values()].map(async (shares): Promise<FoundVersion | null> => {
      for (const [i, share] of shares.entries()) {
        const known = trusted?.equals(share.header!.signed)
        const reason = known ? null : await wrongSignature(slot, share, wait)
        if (reason !== null) {
          damaged.push({ share, reason })
          continue
        }
        const header = share.header!
        const good = Map.groupBy(shares.slice(i), ({ number }) => number)
        return { header, id: versionId(header), shares: good }
      }
      return null
    }),
  )
  return versions.filter(version => version !== null)
}

async function wrongSignature(slot: Slot, share: FoundShare, wait?: Wait): Promise<string | null> {
  const { spans, signed: bytes } = share.header!
  try {
    const publicDer = await share.bytes(spans.publicKey, wait)
    if (fingerprintOf(publicDer).compare(slot.fingerprint) !== 0) return 'its public key is another'
    const signature = await share.bytes(spans.signature, wait)
    return (await signed(publicDer, bytes, signature)) ? null : 'its signature is wrong'
  } catch (err) {
    if (err instanceof Malformed) return err.message
    if (err instanceof FsError) return 'it cannot be read'
    throw err
  }
}

export const recoverable = ({ header, shares }: FoundVersion): boolean => shares.size >= header.needed

/** The version to read: the latest of which there are enough shares. EAGAIN where there is none. */
export function latest(slot: Slot, map: ServerMap): FoundVersion {
  const version = map.versions.find(recoverable)
  if (version === undefined) throw new FsError('EAGAIN', `${slot.name}: ${lacking(map)}`)
  // A later one may be whole on those that are silent.
  if (version.header.seqnum < highestSeqnum(map) && map.silent.length > 0)
    throw new FsError('EAGAIN', `${slot.name}: of a later version ${lacking(map)}`)
  return version
}

/** Of all that were signed, whether there are enough shares or not. */
export const highestSeqnum = (map: ServerMap): number => map.versions[0]?.header.seqnum ?? 0

function lacking({ versions, damaged, silent }: ServerMap): string {
  const [newest] = versions
  const parts = [
    newest
      ? `${newest.shares.size} shares were found, ${newest.header.needed} are needed`
      : 'no share was found',
  ]
  if (damaged.length > 0) parts.push(`${damaged.length} were damaged`)
  if (silent.length > 0) parts.push(`${silent.length} servers are out of reach`)
  return parts.join(', ')
}
