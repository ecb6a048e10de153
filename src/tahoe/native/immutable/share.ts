// One share of an immutable file, wherever it lies: its parts are read as they are needed, and
// none is believed before its hashes lead up to the cap.

import { FsError } from '../../../errors.ts'
import { type Extension, extensionHash, MAX_EXTENSION, readExtension } from '../../format/chk/extension.ts'
import { blockHash } from '../../format/chk/hashes.ts'
import {
  blockLength,
  type Layout,
  LINK_SIZE,
  lengthSize,
  MAX_HEADER,
  readHeader,
  type Shape,
} from '../../format/chk/shape.ts'
import { HASH_SIZE, nodesOf, PartialTree, WrongHash } from '../../format/merkle.ts'
import { MAX_SHARES } from '../../format/zfec.ts'
import type { StorageServer } from '../../storage/server.ts'

/** Of so many bytes of content or less a share is read whole at the first touch. */
const SMALL = 32 * 1024

/** Bytes of a small share beside its content, at most: its hashes are few. */
const AROUND = MAX_HEADER + 32 * LINK_SIZE + MAX_EXTENSION

/** Hash trees of so many bytes or less are read at once; of larger ones a node at a time. */
const TREES_AT_ONCE = 1 << 20

/** A share is not what the cap says. */
export class Damaged extends Error {}

/** What a file's cap says. */
export type Wanted = {
  readonly index: string
  readonly size: number
  readonly needed: number
  readonly total: number
  readonly extensionHash: Buffer
}

/** What all shares of a file prove together. */
export type Trees = {
  readonly extension: Extension
  /** Its leaves are the roots of the shares' block trees. */
  readonly shares: PartialTree
  /** Its leaves are the hashes of the segments' ciphertexts. */
  readonly crypttext: PartialTree
}

/** A stretch of a share that has been read already. */
type Known = { readonly start: number; readonly bytes: Buffer }

export class Share {
  readonly number: number
  readonly server: StorageServer
  readonly #wanted: Wanted
  readonly #known: Known[] = []
  #layout: Layout | null = null
  #extension: Extension | null = null
  #blocks: PartialTree | null = null

  constructor(server: StorageServer, number: number, wanted: Wanted) {
    this.server = server
    this.number = number
    this.#wanted = wanted
  }

  /** What it says of the whole file. Throws Damaged, and what the server throws. */
  async extension(signal: AbortSignal | undefined): Promise<Extension> {
    if (this.#extension) return this.#extension
    const { size, needed, total } = this.#wanted
    const content = Math.ceil(size / needed)
    const first = content <= SMALL ? content + AROUND : MAX_HEADER
    const beginning = await this.#keep(0, first, signal)
    const layout = readHeader(beginning)
    if (!layout) throw new Damaged('its header makes no sense')
    const { crypttextHashes, shareHashes, extension } = layout
    if (extension - shareHashes > 2 * MAX_SHARES * LINK_SIZE) throw new Damaged('its header makes no sense')
    const end = extension + lengthSize[layout.version] + MAX_EXTENSION
    const start = end - crypttextHashes <= TREES_AT_ONCE ? crypttextHashes : shareHashes
    if (beginning.length === first) await this.#keep(start, end, signal) // else that was all of it
    const found = readExtension(this.#extensionBytes(layout), size, needed, total)
    if (!found) throw new FsError('EIO', 'its cap was made by something that does not know how')
    if (crypttextHashes + 2 * nodesOf(found.shape.segments) * HASH_SIZE > shareHashes)
      throw new Damaged('its header leaves no room for its hashes')
    this.#layout = layout
    this.#extension = found
    return found
  }

  /** Where its parts lie; null before its extension was read. */
  get layout(): Layout | null {
    return this.#layout
  }

  /** One block, proved. Throws Damaged, and what the server throws. */
  async block(segment: number, trees: Trees, signal: AbortSignal | undefined): Promise<Buffer> {
    await this.extension(signal)
    const { shape } = trees.extension
    const blocks = (this.#blocks ??= await this.#prove(shape, trees, signal))
    const start = this.#layout!.data + segment * shape.blockSize
    const length = blockLength(shape, segment)
    const block = this.#view(start, length) ?? (await this.#read(start, start + length, signal))
    if (block.length < length) throw new Damaged('it ends too early')
    const hash = blockHash(block)
    await this.#proveBy(blocks, segment, hash, this.#layout!.blockHashes, signal)
    return block
  }

  /** Whether this share's tree proves a segment's hash. Throws Damaged if not. */
  async crypttext(segment: number, hash: Buffer, { crypttext }: Trees, signal?: AbortSignal): Promise<void> {
    await this.#proveBy(crypttext, segment, hash, this.#layout!.crypttextHashes, signal)
  }

  /** The tree of its blocks, whose root the chain of hashes leads to. */
  async #prove(shape: Shape, { shares }: Trees, signal: AbortSignal | undefined): Promise<PartialTree> {
    const { blockHashes, shareHashes, extension } = this.#layout!
    const root = await this.#node(blockHashes, 0, signal)
    const links = this.#view(shareHashes, extension - shareHashes)
    const chain = new Map<number, Buffer>()
    for (let at = 0; links && at + LINK_SIZE <= links.length; at += LINK_SIZE)
      chain.set(links.readUInt16BE(at), links.subarray(at + 2, at + LINK_SIZE))
    damagedIfWrong(() => shares.prove(this.number, root, node => chain.get(node)))
    return new PartialTree(shape.segments, root)
  }

  async #proveBy(
    tree: PartialTree,
    leaf: number,
    hash: Buffer,
    offset: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const nodes = tree.needed(leaf)
    const claims = await Promise.all(nodes.map(node => this.#node(offset, node, signal)))
    damagedIfWrong(() => tree.prove(leaf, hash, node => claims[nodes.indexOf(node)]))
  }

  async #node(tree: number, node: number, signal: AbortSignal | undefined): Promise<Buffer> {
    const start = tree + node * HASH_SIZE
    const hash = this.#view(start, HASH_SIZE) ?? (await this.#read(start, start + HASH_SIZE, signal))
    if (hash.length < HASH_SIZE) throw new Damaged('it ends too early')
    return hash
  }

  /** The URI extension, which is what the cap is the hash of. */
  #extensionBytes({ version, extension }: Layout): Buffer {
    const head = this.#view(extension, lengthSize[version])
    const length = head && (version === 1 ? head.readUInt32BE() : Number(head.readBigUInt64BE()))
    const bytes =
      length && length <= MAX_EXTENSION ? this.#view(extension + lengthSize[version], length) : null
    if (!bytes) throw new Damaged('its URI extension is missing')
    if (!extensionHash(bytes).equals(this.#wanted.extensionHash))
      throw new Damaged('its URI extension is not the one that the cap names')
    return bytes
  }

  /** Reads a stretch that is needed again and again. */
  async #keep(start: number, end: number, signal: AbortSignal | undefined): Promise<Buffer> {
    const bytes = await this.#read(start, end, signal)
    this.#known.push({ start, bytes })
    return bytes
  }

  #view(start: number, length: number): Buffer | null {
    for (const known of this.#known) {
      const at = start - known.start
      if (at >= 0 && at + length <= known.bytes.length) return known.bytes.subarray(at, at + length)
    }
    return null
  }

  #read(start: number, end: number, signal: AbortSignal | undefined): Promise<Buffer> {
    return this.server.read('immutable', this.#wanted.index, this.number, start, end, { signal })
  }
}

function damagedIfWrong(prove: () => void): void {
  try {
    prove()
  } catch (err) {
    throw err instanceof WrongHash ? new Damaged(err.message) : err
  }
}
