// Whether every share of a mutable file is of its latest version and right in all its parts: the
// header and its signature, the keys, the chain, the tree and each block. A share is read in
// pieces; what is in memory is one block and the tree over all of them, at most 4 MiB.

import { setImmediate as breathe } from 'node:timers/promises'
import { codeOf, FsError } from '../../../errors.ts'
import { besides, merkleTree, nodeOf, PartialTree, rootOf, WrongHash, widthOf } from '../../format/merkle.ts'
import { blockHash, blockSpan, Malformed, parseChain, segmentsOf } from '../../format/ssk.ts'
import { fingerprintOf, openPrivateKey, signed } from '../../format/ssk-keys.ts'
import type { StorageServer, Wait, WriteSecrets } from '../../storage/server.ts'
import { type FoundVersion, readMap, recoverable, type ServerMap } from '../mutable/map.ts'
import type { FoundShare } from '../mutable/share.ts'
import type { Slot } from '../mutable/slot.ts'
import { type DamagedShare, numbersOf, type ShareAt, type Verified } from './verified.ts'

const ESTRANGED = 'it cannot be written to: it was made for a server with another id'

export type VerifyingMutable = {
  readonly slot: Slot
  readonly servers: readonly StorageServer[]
  /** What to show to a server to write there. */
  readonly secretsFor: (server: StorageServer) => WriteSecrets
  /** Whether its content can be read, when it does not look so. */
  readonly readable: () => Promise<boolean>
}

/** Reads every share there is, one server's after another. */
export async function verifyMutable(
  { slot, servers, secretsFor, readable }: VerifyingMutable,
  wait: Wait = {},
): Promise<Verified> {
  const map = await readMap(slot, servers, null, wait)
  const version = map.versions.find(recoverable) ?? map.versions[0]
  const good: ShareAt[] = []
  const damaged: DamagedShare[] = [...unusable(map)]
  const silent = new Set(map.silent)
  const blocked = slot.writeKey ? await blockedServers(slot, servers, map, secretsFor, wait) : new Set()
  const look = async (server: StorageServer) => {
    for (const share of map.found.filter(each => each.server === server)) {
      const { number } = share
      if (damaged.some(each => each.server === server && each.number === number)) continue
      const reason = await wrongWith(slot, share, version!, wait)
      const blocks = blocked.has(server)
      if (reason === 'silent') silent.add(server)
      else if (reason !== null) damaged.push({ server, number, reason, blocks, estranged: false })
      else if (blocks) damaged.push({ server, number, reason: ESTRANGED, blocks, estranged: true })
      else good.push({ server, number })
    }
  }
  await Promise.all(servers.map(look))
  const { needed, total } = version?.header ?? { needed: 1, total: 1 }
  const enough = version !== undefined && numbersOf(good).size >= needed
  return { needed, total, good, damaged, silent: [...silent], readable: enough || (await readable()) }
}

/** Those that the map has found out already. A container that cannot be read keeps its server from writing. */
const unusable = (map: ServerMap): DamagedShare[] =>
  map.damaged.map(({ share: { server, number, head }, reason }) => ({
    server,
    number,
    reason,
    blocks: head.length === 0,
    estranged: false,
  }))

/** Those that refuse to be written to, because of a share that they have. Nothing is written. */
async function blockedServers(
  slot: Slot,
  servers: readonly StorageServer[],
  map: ServerMap,
  secretsFor: (server: StorageServer) => WriteSecrets,
  wait: Wait,
): Promise<Set<unknown>> {
  const blocked = new Set<StorageServer>()
  const ask = async (server: StorageServer) => {
    // One that cannot be read is known for what it is.
    const share = map.found.filter(each => each.server === server)
    if (share.length === 0 || share.some(({ head }) => head.length === 0)) return
    try {
      await server.readTestWrite(slot.index, secretsFor(server), new Map(), [], wait)
    } catch (err) {
      if (['EACCES', 'EIO'].includes(codeOf(err))) blocked.add(server)
    }
  }
  await Promise.all(servers.map(ask))
  return blocked
}

/** Null for a share of this version that is right in all its parts. */
async function wrongWith(
  slot: Slot,
  share: FoundShare,
  version: FoundVersion,
  wait: Wait,
): Promise<string | 'silent' | null> {
  if (!share.header!.signed.equals(version.header.signed))
    return `it is of version ${share.header!.seqnum}, not ${version.header.seqnum}`
  try {
    await prove(slot, share, wait)
    return null
  } catch (err) {
    wait.signal?.throwIfAborted()
    if (err instanceof Malformed || err instanceof WrongHash) return err.message
    if (!(err instanceof FsError)) throw err
    return ['EIO', 'ENOENT'].includes(codeOf(err)) ? 'it cannot be read' : 'silent'
  }
}

async function prove(slot: Slot, share: FoundShare, wait: Wait): Promise<void> {
  const header = share.header!
  const { spans } = header
  const publicDer = await share.bytes(spans.publicKey, wait)
  if (!fingerprintOf(publicDer).equals(slot.fingerprint)) throw new Malformed('its public key is another')
  if (!(await signed(publicDer, header.signed, await share.bytes(spans.signature, wait))))
    throw new Malformed('its signature is wrong')
  const sealed = await share.bytes(spans.privateKey, wait)
  if (slot.writeKey && !openPrivateKey(slot.writeKey, slot.fingerprint, sealed))
    throw new Malformed('its private key is another')
  const nodes = await share.bytes(spans.blockHashes, wait)
  const width = widthOf(segmentsOf(header))
  const leafAt = (segment: number) => nodeOf(nodes, width - 1 + segment)
  const again = merkleTree(Array.from({ length: width }, (_, i) => leafAt(i)))
  if (!again.equals(nodes)) throw new WrongHash('a hash in its tree is wrong')
  proveChain(parseChain(await share.bytes(spans.shareHashes, wait)), share, rootOf(nodes))
  for (let segment = 0; segment < segmentsOf(header); segment++) {
    const block = await share.bytes(blockSpan(header, segment), wait)
    if (!blockHash(block).equals(leafAt(segment))) throw new WrongHash(`block ${segment} of it is wrong`)
    await breathe()
  }
}

function proveChain(chain: ReadonlyMap<number, Buffer>, { header, number }: FoundShare, root: Buffer): void {
  const { total, rootHash } = header!
  const tree = new PartialTree(total, rootHash)
  const nodes = new Set([...besides(total, number), tree.nodeOfLeaf(number)])
  if ([...chain.keys()].some(node => !nodes.has(node))) throw new WrongHash('its chain of hashes is wrong')
  tree.prove(number, root, node => chain.get(node))
}
