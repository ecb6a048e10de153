// Whether every share of an immutable file is what its cap says: each block, each hash of each
// tree, the chain, the URI extension and the header. A share is read from its beginning to its
// end in pieces; what is in memory is one block and a stretch of a tree, however long the file is.

import { setImmediate as breathe } from 'node:timers/promises'
import { codeOf, FsError } from '../../../errors.ts'
import type { Cap } from '../../cap.ts'
import { blockHash } from '../../format/chk/hashes.ts'
import {
  blockLength,
  type Layout,
  LINK_SIZE,
  layoutOf,
  type Shape,
  writeHeader,
} from '../../format/chk/shape.ts'
import {
  besides,
  HASH_SIZE,
  nodesOf,
  PartialTree,
  pairHash,
  WrongHash,
  widthOf,
} from '../../format/merkle.ts'
import type { StorageServer } from '../../storage/server.ts'
import { Damaged, Share, type Wanted } from '../immutable/share.ts'
import { readableFrom } from './crypttext.ts'
import { type DamagedShare, numbersOf, type ShareAt, type Verified } from './verified.ts'

/** Nodes of a tree that are looked at in one turn. */
const STRETCH = 1024

/** Reads bytes of one share. Throws Damaged when it ends before them. */
type Read = (start: number, end: number) => Promise<Buffer>

export const wantedOf = (cap: Cap): Wanted => ({
  index: cap.storageIndex!,
  size: cap.contentSize!,
  needed: cap.needed!,
  total: cap.total!,
  extensionHash: cap.secrets().check,
})

/** Reads every share there is, one server's after another. `cap`: any of an immutable file or directory with shares. */
export async function verifyImmutable(
  cap: Cap,
  servers: readonly StorageServer[],
  signal?: AbortSignal,
): Promise<Verified> {
  const wanted = wantedOf(cap)
  const { needed, total } = wanted
  const good: ShareAt[] = []
  const damaged: DamagedShare[] = []
  const silent = new Set<StorageServer>()
  const look = async (server: StorageServer) => {
    for (const number of await server.list('immutable', wanted.index, { signal })) {
      if (number >= total) continue // no share of this file
      const reason = await wrongWith(server, number, wanted, signal)
      if (reason === null) good.push({ server, number })
      else if (reason === 'silent') silent.add(server)
      else if (reason !== 'gone') damaged.push({ server, number, reason, blocks: false, estranged: false })
    }
  }
  await Promise.all(
    servers.map(server =>
      look(server).catch((err: unknown) => {
        signal?.throwIfAborted()
        if (!(err instanceof FsError)) throw err
        silent.add(server)
      }),
    ),
  )
  const enough = numbersOf(good).size >= needed
  const readable = enough || (damaged.length > 0 && (await readableFrom(wanted, good, damaged, signal)))
  return { needed, total, good, damaged, silent: [...silent], readable }
}

/** Null for a share that is right in all its parts. */
async function wrongWith(
  server: StorageServer,
  number: number,
  wanted: Wanted,
  signal: AbortSignal | undefined,
): Promise<string | 'silent' | 'gone' | null> {
  try {
    await prove(server, number, wanted, signal)
    return null
  } catch (err) {
    signal?.throwIfAborted()
    if (err instanceof Damaged) return err.message
    if (!(err instanceof FsError)) throw err
    if (codeOf(err) === 'ENOENT') return 'gone'
    return codeOf(err) === 'EIO' ? 'it cannot be read' : 'silent'
  }
}

async function prove(
  server: StorageServer,
  number: number,
  wanted: Wanted,
  signal: AbortSignal | undefined,
): Promise<void> {
  const share = new Share(server, number, wanted)
  const { shape, crypttextRoot, shareRoot, plaintext } = await share.extension(signal)
  const layout = share.layout!
  const read: Read = async (start, end) => {
    const bytes = await server.read('immutable', wanted.index, number, start, end, { signal })
    if (bytes.length < end - start) throw new Damaged('it ends too early')
    return bytes
  }
  const links = (layout.extension - layout.shareHashes) / LINK_SIZE
  const header = writeHeader(layoutOf(shape, Math.ceil(links), layout.version), shape)
  if (!(await read(0, header.length)).equals(header)) throw new Damaged('its header is wrong')
  if (!plaintext) await proveUnused(read, layout)
  await proveTree(read, layout.crypttextHashes, shape.segments, crypttextRoot)
  const root = await read(layout.blockHashes, layout.blockHashes + HASH_SIZE)
  proveChain(await read(layout.shareHashes, layout.extension), number, shape, shareRoot, root)
  await proveTree(read, layout.blockHashes, shape.segments, root)
  await proveBlocks(read, layout, shape, signal)
}

/** Where hashes of the plaintext stood once, nothing does. */
async function proveUnused(read: Read, { plaintextHashes, crypttextHashes }: Layout): Promise<void> {
  for (let at = plaintextHashes; at < crypttextHashes; at += STRETCH * HASH_SIZE) {
    const bytes = await read(at, Math.min(crypttextHashes, at + STRETCH * HASH_SIZE))
    if (bytes.some(byte => byte !== 0)) throw new Damaged('a hash in it is wrong')
  }
}

/** Each node is the hash of the two below it, and the first is `root`. */
async function proveTree(read: Read, at: number, leaves: number, root: Uint8Array): Promise<void> {
  const place = (node: number) => at + node * HASH_SIZE
  if (Buffer.compare(await read(at, at + HASH_SIZE), root) !== 0) throw new Damaged('a tree of it is another')
  const inner = widthOf(leaves) - 1
  for (let first = 0; first < inner; first += STRETCH) {
    const last = Math.min(inner, first + STRETCH)
    const nodes = await read(place(first), place(last))
    const below = await read(place(2 * first + 1), place(2 * last + 1))
    for (let i = 0; i < last - first; i++) {
      const [left, right] = [hashAt(below, 2 * i), hashAt(below, 2 * i + 1)]
      if (!pairHash(left, right).equals(hashAt(nodes, i)))
        throw new Damaged('a hash in a tree of it is wrong')
    }
    await breathe()
  }
}

const hashAt = (bytes: Buffer, i: number): Buffer => bytes.subarray(i * HASH_SIZE, (i + 1) * HASH_SIZE)

/** The chain leads from the root of its blocks to what all shares have in common, and holds nothing else. */
function proveChain(links: Buffer, number: number, shape: Shape, shareRoot: Uint8Array, root: Buffer): void {
  const tree = new PartialTree(shape.total, shareRoot)
  const nodes = new Set(besides(shape.total, number))
  const chain = new Map<number, Buffer>()
  for (let at = 0; at + LINK_SIZE <= links.length; at += LINK_SIZE)
    chain.set(links.readUInt16BE(at), links.subarray(at + 2, at + LINK_SIZE))
  for (const [node, hash] of chain) {
    const own = node === tree.nodeOfLeaf(number) && hash.equals(root)
    if (!own && !nodes.has(node)) throw new Damaged('its chain of hashes is wrong')
  }
  try {
    tree.prove(number, root, node => chain.get(node))
  } catch (err) {
    throw err instanceof WrongHash ? new Damaged('its chain of hashes is wrong') : err
  }
}

async function proveBlocks(
  read: Read,
  layout: Layout,
  shape: Shape,
  signal: AbortSignal | undefined,
): Promise<void> {
  const leaves = layout.blockHashes + (nodesOf(shape.segments) - widthOf(shape.segments)) * HASH_SIZE
  let at = layout.data
  for (let first = 0; first < shape.segments; first += STRETCH) {
    const last = Math.min(shape.segments, first + STRETCH)
    const hashes = await read(leaves + first * HASH_SIZE, leaves + last * HASH_SIZE)
    for (let segment = first; segment < last; segment++) {
      signal?.throwIfAborted()
      const length = blockLength(shape, segment)
      const hash = blockHash(await read(at, at + length))
      if (!hash.equals(hashAt(hashes, segment - first))) throw new Damaged(`block ${segment} of it is wrong`)
      at += length
      await breathe()
    }
  }
}
