// Hash trees as Tahoe has them: the leaves are filled up to a power of two, each further one
// hashed from its own number. The nodes lie one after another, the root first, the children
// of node i at 2i + 1 and 2i + 2.

import { netstring, sha256, taggedHash } from './hash.ts'

export const HASH_SIZE = 32

const PAIR_TAG = netstring(Buffer.from('Merkle tree internal node'))
const PAIR_SIZE = PAIR_TAG.length + 2 * 36

/** Claimed hashes do not lead to what is known. */
export class WrongHash extends Error {}

/** Leaves after filling up; a tree of none has one. */
export const widthOf = (leaves: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, leaves)))

export const nodesOf = (leaves: number): number => 2 * widthOf(leaves) - 1

const emptyLeaf = (number: number): Buffer =>
  taggedHash('Merkle tree empty leaf', Buffer.from(String(number)))

const scratch = Buffer.alloc(PAIR_SIZE)
PAIR_TAG.copy(scratch)
scratch.write('32:', PAIR_TAG.length)
scratch.write(',32:', PAIR_TAG.length + 35)
scratch.write(',', PAIR_SIZE - 1)

/** The hash of two nodes, which is the node above them. */
export function pairHash(left: Uint8Array, right: Uint8Array): Buffer {
  scratch.set(left, PAIR_TAG.length + 3)
  scratch.set(right, PAIR_TAG.length + 39)
  return sha256(sha256(scratch))
}

/** The whole tree over these leaves. */
export function merkleTree(leaves: readonly Uint8Array[]): Buffer {
  const width = widthOf(leaves.length)
  const tree = Buffer.allocUnsafe((2 * width - 1) * HASH_SIZE)
  for (let i = 0; i < width; i++) tree.set(leaves[i] ?? emptyLeaf(i), (width - 1 + i) * HASH_SIZE)
  for (let i = width - 2; i >= 0; i--)
    tree.set(pairHash(nodeOf(tree, 2 * i + 1), nodeOf(tree, 2 * i + 2)), i * HASH_SIZE)
  return tree
}

export const nodeOf = (tree: Buffer, node: number): Buffer =>
  tree.subarray(node * HASH_SIZE, (node + 1) * HASH_SIZE)

export const rootOf = (tree: Buffer): Buffer => nodeOf(tree, 0)

/** The nodes beside the way from a leaf up to the root, from the bottom: with them the leaf can be checked. */
export function besides(leaves: number, leaf: number): number[] {
  const nodes: number[] = []
  for (let node = widthOf(leaves) - 1 + leaf; node > 0; node = parentOf(node)) nodes.push(siblingOf(node))
  return nodes
}

const siblingOf = (node: number): number => (node % 2 === 1 ? node + 1 : node - 1)
const parentOf = (node: number): number => Math.floor((node - 1) / 2)

/** A tree of which some nodes are known to be right, beginning with the root. */
export class PartialTree {
  readonly #leaves: number
  readonly #known = new Map<number, Uint8Array>()

  constructor(leaves: number, root: Uint8Array) {
    this.#leaves = leaves
    this.#known.set(0, root)
  }

  /** The number of a leaf's node. */
  nodeOfLeaf(leaf: number): number {
    return widthOf(this.#leaves) - 1 + leaf
  }

  /** Whether a leaf's hash is known. */
  leaf(leaf: number): Uint8Array | undefined {
    return this.#known.get(this.nodeOfLeaf(leaf))
  }

  /** What must be claimed beside a leaf's hash so that it can be checked, from the bottom. */
  needed(leaf: number): number[] {
    const nodes: number[] = []
    for (let node = this.nodeOfLeaf(leaf); !this.#known.has(node); node = parentOf(node))
      if (!this.#known.has(siblingOf(node))) nodes.push(siblingOf(node))
    return nodes
  }

  /**
   * Takes a leaf's hash for true if it leads to what is known, by way of the claimed nodes, which
   * are then known too. Throws WrongHash if it does not, or if a claim is missing.
   */
  prove(leaf: number, hash: Uint8Array, claimed: (node: number) => Uint8Array | undefined): void {
    const proved: [number, Uint8Array][] = []
    let node = this.nodeOfLeaf(leaf)
    let at = hash
    while (!this.#known.has(node)) {
      const sibling = siblingOf(node)
      const beside = this.#known.get(sibling) ?? claimed(sibling)
      if (beside === undefined) throw new WrongHash('a hash is missing')
      proved.push([node, at], [sibling, beside])
      at = node % 2 === 1 ? pairHash(at, beside) : pairHash(beside, at)
      node = parentOf(node)
    }
    if (Buffer.compare(this.#known.get(node)!, at) !== 0) throw new WrongHash('a hash does not match')
    for (const [number, value] of proved) this.#known.set(number, Buffer.from(value)) // not a view of something large
  }
}
