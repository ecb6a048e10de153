// The tree that every subject of the conformance suite holds before the first rule is tried.

import { createHash } from 'node:crypto'
import type { FileId, Vfs } from '../../src/vfs/vfs.ts'

export type Planted =
  | { readonly file: Buffer }
  | { readonly symlink: string }
  | { readonly directory: { readonly [name: string]: Planted } }

/** Bytes that look like nothing, the same ones each time. */
export const noise = (size: number, seed: string): Buffer =>
  size === 0 ? Buffer.alloc(0) : createHash('shake256', { outputLength: size }).update(seed).digest()

const file = (size: number, seed: string) => ({ file: noise(size, seed) })

const many = Array.from({ length: 300 }, (_, i): [string, Planted] => {
  const name = `entry ${String(i).padStart(3, '0')}`
  return [name, { file: Buffer.from(name) }] // short enough for a LIT cap: nothing to upload
})

/** Names as they are asked for; a grid may show the NFC form of one. */
export const tree = {
  'small.txt': file(1_000, 'small'),
  empty: file(0, 'empty'),
  literal: file(55, 'literal'), // the longest that a LIT cap holds
  'big.bin': file(3 * 2 ** 20 + 1, 'big'), // ends one byte into a segment
  link: { symlink: 'nested/deeper/deepest/leaf' },
  nothing: { directory: {} },
  nested: { directory: { deeper: { directory: { deepest: { directory: { leaf: file(10, 'leaf') } } } } } },
  many: { directory: Object.fromEntries(many) },
  names: {
    directory: {
      'caf\u00e9 composed': file(1, 'nfc'),
      'cafe\u0301 decomposed': file(2, 'nfd'),
      ' blanks  around ': file(3, 'blanks'),
      'a % b + c & d # e ? f = g ; h': file(4, 'web'),
      '%2e%2e%2f': file(5, 'percent'),
      'back\\slash "quoted"': file(6, 'quotes'),
      'two\nlines': file(7, 'lines'),
      '-rf': file(8, 'option'),
      '...': file(9, 'dots'),
      '\u{1f600}\u8a9e': file(10, 'wide'),
      ['l'.repeat(255)]: file(11, 'long'),
      ['\u8a9e'.repeat(85)]: file(12, 'long and wide'),
    },
  },
} as const satisfies { readonly [name: string]: Planted }

/** Puts `what` below `dir`, for a Vfs that can write. */
export async function plant(
  vfs: Vfs,
  dir: FileId = vfs.root,
  what: { readonly [name: string]: Planted } = tree,
) {
  for (const [name, planted] of Object.entries(what)) {
    if ('directory' in planted) await plant(vfs, (await vfs.mkdir(dir, name, {})).attr.id, planted.directory)
    else if ('symlink' in planted) await vfs.symlink(dir, name, Buffer.from(planted.symlink), {})
    else {
      const { attr } = await vfs.create(dir, name, { mode: 'guarded', attrs: {} })
      await vfs.write(attr.id, 0, planted.file, 'unstable')
    }
  }
}
