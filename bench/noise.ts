// Bytes that no two files share, made as they are needed.

import { randomBytes } from 'node:crypto'
import type { Source } from '../src/tahoe/grid.ts'

export const KiB = 2 ** 10
export const MiB = 2 ** 20

const common = randomBytes(MiB)
let files = 0

/** A number that no other file of this run has. */
export const newSeed = (): number => ++files

/** At most a MiB from `offset`, a multiple of 4 KiB, of the file with this seed. */
export function noiseAt(seed: number, offset: number, length: number): Buffer {
  const bytes = Buffer.from(common.subarray(0, length))
  for (let at = 0; at + 16 <= length; at += 4 * KiB) {
    bytes.writeDoubleLE(seed, at)
    bytes.writeDoubleLE(offset + at, at + 8)
  }
  return bytes
}

/** All of a file, which takes no memory. */
export function noise(size: number, seed = newSeed()): Source {
  return {
    size,
    async *open() {
      for (let at = 0; at < size; at += MiB) yield noiseAt(seed, at, Math.min(MiB, size - at))
    },
  }
}
