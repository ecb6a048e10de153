// Random operations on a Vfs, for properties that hold whatever is done. They name
// inodes by path, so that one list can be performed on two file systems and compared.

import fc from 'fast-check'
import { codeOf, FsError } from '../../src/errors.ts'
import type { Durability, FileId, Vfs } from '../../src/vfs/vfs.ts'
import { below } from './walk.ts'

/** A few names only, so that operations meet; two of them are one. */
const name = fc.constantFrom('a', 'b', 'c', 'd', '\u00e9', 'e\u0301', '.', '..')
const path = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 2 })

export const operation = fc.oneof(
  fc.record({ op: fc.constant('create'), path, name, size: fc.option(fc.nat(10), { nil: undefined }) }),
  fc.record({ op: fc.constant('mkdir'), path, name }),
  fc.record({ op: fc.constant('symlink'), path, name }),
  fc.record({ op: fc.constant('link'), path, name, to: path, toName: name }),
  fc.record({ op: fc.constant('remove'), path, name }),
  fc.record({ op: fc.constant('rmdir'), path, name }),
  fc.record({ op: fc.constant('rename'), path, name, to: path, toName: name }),
  fc.record({ op: fc.constant('write'), path, name, offset: fc.nat(200_000), length: fc.nat(100_000) }),
  fc.record({ op: fc.constant('write'), path, name, offset: fc.nat(9), length: fc.nat(9) }),
  fc.record({ op: fc.constant('truncate'), path, name, size: fc.nat(300_000) }),
  fc.record({ op: fc.constant('touch'), path, name, mtime: fc.constantFrom(7n, 'now' as const) }),
)
export type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never

/** What came of it, paths beginning at `base`: `done`, or the code of the error. Writes are as durable as one of `durabilities`. */
export async function perform(
  vfs: Vfs,
  base: FileId,
  operation: Operation,
  durabilities: readonly Durability[] = ['stable', 'unstable', 'kept'],
): Promise<string> {
  try {
    await attempt(vfs, base, operation, durabilities)
    return 'done'
  } catch (err) {
    if (!(err instanceof FsError)) throw err
    return codeOf(err)
  }
}

async function attempt(
  vfs: Vfs,
  base: FileId,
  operation: Operation,
  durabilities: readonly Durability[],
): Promise<unknown> {
  const dir = (await below(vfs, base, operation.path)).id
  const { name } = operation
  const inode = async (): Promise<FileId> => (await vfs.lookup(dir, name)).id
  if ('toName' in operation) {
    const to = (await below(vfs, base, operation.to)).id
    if (operation.op === 'link') return vfs.link(await inode(), to, operation.toName)
    return vfs.rename(dir, name, to, operation.toName)
  }
  if ('length' in operation) {
    const data = Buffer.alloc(operation.length, `${operation.offset} `)
    const durability = durabilities[operation.length % durabilities.length]!
    return vfs.write(await inode(), operation.offset, data, durability)
  }
  if ('mtime' in operation) return vfs.setattr(await inode(), { mtime: operation.mtime })
  if (operation.op === 'truncate' && 'size' in operation)
    return vfs.setattr(await inode(), { size: operation.size ?? 0 })
  if ('size' in operation) {
    const { size } = operation
    return vfs.create(dir, name, { mode: 'unchecked', attrs: size === undefined ? {} : { size } })
  }
  if (operation.op === 'mkdir') return vfs.mkdir(dir, name, {})
  if (operation.op === 'symlink') return vfs.symlink(dir, name, Buffer.from('target'), {})
  return operation.op === 'remove' ? vfs.remove(dir, name) : vfs.rmdir(dir, name)
}
