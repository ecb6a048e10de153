// Erasure coding as zfec does it: of `needed` blocks `total` are made, the first of them
// unchanged, and any `needed` of them give the others back. The matrix is that of Vandermonde
// over the points 0, 1, 2, 4, 8 …, made systematic.

import { LRUCache } from 'lru-cache'
import { type Combine, combine } from './addmul.ts'
import { inverted, type Matrix, power, product } from './gf256.ts'

/** Shares that one file can have. */
export const MAX_SHARES = 256

/** Inverting one of 256 rows takes a tenth of a second. */
const matrices = new LRUCache<string, Matrix>({ max: 16 })

/** `total` rows of `needed` factors; the first `needed` rows give the blocks themselves. */
export function encodingMatrix(needed: number, total: number): Matrix {
  const name = `${needed}-${total}`
  let matrix = matrices.get(name)
  if (!matrix) {
    const points = Array.from({ length: total }, (_, row) =>
      Uint8Array.from({ length: needed }, (_, column) => {
        if (row === 0) return column === 0 ? 1 : 0
        return power((row - 1) * column)
      }),
    )
    matrix = product(points, inverted(points.slice(0, needed)))
    matrices.set(name, matrix)
  }
  return matrix
}

/** All `total` blocks of these `needed` ones of the same length. The first are the very same, not copies. */
export function encode(blocks: readonly Uint8Array[], total: number, how: Combine = combine): Uint8Array[] {
  const needed = blocks.length
  const made = Array.from({ length: total - needed }, () => Buffer.allocUnsafe(blocks[0]!.length))
  if (needed === 1) for (const block of made) block.set(blocks[0]!)
  else if (made.length > 0) how(blocks, encodingMatrix(needed, total).slice(needed), made)
  return [...blocks, ...made]
}

/** The first `needed` blocks, from as many of any number. Those that are there already are not copied. */
export function decode(
  blocks: ReadonlyMap<number, Uint8Array>,
  needed: number,
  total: number,
  how: Combine = combine,
): Uint8Array[] {
  const given = [...blocks].sort(([a], [b]) => a - b).slice(0, needed)
  const missing: number[] = []
  for (let number = 0; number < needed; number++) if (!blocks.has(number)) missing.push(number)
  const made = missing.map(() => Buffer.allocUnsafe(given[0]![1].length))
  if (needed === 1) {
    if (made.length > 0) made[0]!.set(given[0]![1])
  } else if (missing.length > 0) {
    const matrix = encodingMatrix(needed, total)
    const back = inverted(given.map(([number]) => matrix[number]!))
    how(
      given.map(([, block]) => block),
      missing.map(number => back[number]!),
      made,
    )
  }
  return Array.from({ length: needed }, (_, number) => blocks.get(number) ?? made[missing.indexOf(number)]!)
}
