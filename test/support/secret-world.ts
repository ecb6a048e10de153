// A grid whose every name, cap and byte is known, the same one in each process.

import { createHash } from 'node:crypto'
import type { Cap } from '../../src/tahoe/cap.ts'
import { litCap } from '../../src/tahoe/cap.ts'
import { capMark } from '../../src/vfs/tree/edge.ts'
import { TinyGrid } from './tiny-grid.ts'

export const secretTexts = {
  large: createHash('shake256', { outputLength: 1_300_000 }).update('large').digest(),
  small: Buffer.from('the plain text of a small file, longer than any literal: 0123456789'),
  literal: Buffer.from('plain text that a LIT cap carries'),
  target: Buffer.from('where-the-secret-symlink-leads'),
  mutable: Buffer.from('the plain text of a mutable file, which has versions'),
  written: createHash('shake256', { outputLength: 300_000 }).update('written').digest(),
  linked: Buffer.from('where-a-symlink-that-is-made-here-leads, further than a literal holds'),
}

export function secretWorld(): { grid: TinyGrid; root: Cap; caps: Cap[] } {
  const grid = new TinyGrid()
  const target = grid.file(secretTexts.target)
  const inner = grid.directory({
    'large-file-name.bin': grid.file(secretTexts.large),
    'secret-link-name': [
      target,
      { 'tahoe-nfs': { v: 1, of: capMark(target), type: 'symlink' }, owner: 'metadata-of-mine' },
    ],
  })
  const children = {
    'inner-directory-name': inner,
    'small-file-name.txt': grid.file(secretTexts.small),
    'literal-file-name': litCap(secretTexts.literal),
    'mutable-file-name': grid.mutable(secretTexts.mutable),
  }
  const root = grid.directory(children)
  return { grid, root, caps: [root, target, ...Object.values(children)] }
}
