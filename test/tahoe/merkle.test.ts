// Hash trees: any leaf is proved by the nodes beside its way up, and nothing else is.

import test from 'ava'
import fc from 'fast-check'
import { sha256, taggedHash } from '../../src/tahoe/format/hash.ts'
import { besides, merkleTree, nodeOf, PartialTree, rootOf, WrongHash } from '../../src/tahoe/format/merkle.ts'

const leavesOf = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, i) => sha256(Buffer.from(String(i))))

test('a tree of no leaves is the hash of an empty one, a tree of one is that leaf', t => {
  t.deepEqual(merkleTree([]), taggedHash('Merkle tree empty leaf', Buffer.from('0')))
  const [leaf] = leavesOf(1)
  t.deepEqual(merkleTree([leaf!]), leaf)
  t.deepEqual(besides(1, 0), [])
})

test('every leaf of any tree is proved by what stands beside its way, in any order', t => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.infiniteStream(fc.nat()), (count, random) => {
      const leaves = leavesOf(count)
      const tree = merkleTree(leaves)
      const partial = new PartialTree(count, rootOf(tree))
      for (const [i, number] of [...random.take(10)].entries()) {
        const leaf = number % count
        const needed = partial.needed(leaf)
        if (i === 0) t.deepEqual(needed, besides(count, leaf))
        partial.prove(leaf, leaves[leaf]!, node => (needed.includes(node) ? nodeOf(tree, node) : undefined))
        t.deepEqual(partial.leaf(leaf), leaves[leaf])
        t.deepEqual(partial.needed(leaf), [])
      }
    }),
  )
})

test('a wrong leaf, a wrong node beside it, and a missing one are refused, and nothing of them is kept', t => {
  const leaves = leavesOf(6)
  const tree = merkleTree(leaves)
  const partial = new PartialTree(6, rootOf(tree))
  const right = (node: number) => nodeOf(tree, node)
  const refused = (leaf: number, hash: Buffer, claimed: (node: number) => Buffer | undefined) =>
    t.throws(() => partial.prove(leaf, hash, claimed), { instanceOf: WrongHash })
  refused(2, leaves[3]!, right)
  for (const bad of partial.needed(2)) {
    refused(2, leaves[2]!, node => (node === bad ? leaves[0]! : right(node)))
    refused(2, leaves[2]!, node => (node === bad ? undefined : right(node)))
  }
  t.is(partial.needed(2).length, 3)
  partial.prove(2, leaves[2]!, right)
  refused(2, leaves[1]!, right)
  refused(3, leaves[2]!, right)
  t.notThrows(() => partial.prove(3, leaves[3]!, () => undefined))
})
