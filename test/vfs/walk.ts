// Going about in a Vfs, as the rules need it.

import type { Attr, Entry, FileId, Vfs } from '../../src/vfs/vfs.ts'

export const entries = async (vfs: Vfs, dir: FileId, cookie = 0n): Promise<Entry[]> => [
  ...(await vfs.list(dir, cookie)),
]

export const names = async (vfs: Vfs, dir: FileId): Promise<string[]> =>
  (await entries(vfs, dir)).map(entry => entry.name)

/** The inode at the end of `path`, from the root. */
export const at = (vfs: Vfs, ...path: string[]): Promise<Attr> => below(vfs, vfs.root, path)

export async function below(vfs: Vfs, base: FileId, path: readonly string[]): Promise<Attr> {
  let attr = await vfs.getattr(base)
  for (const name of path) attr = await vfs.lookup(attr.id, name)
  return attr
}

/** What `count` bytes from `offset` are, in as many reads as it takes; `eof` is that of the last. */
export async function span(
  vfs: Vfs,
  id: FileId,
  offset: number,
  count: number,
): Promise<{ bytes: Buffer; eof: boolean }> {
  const pieces: Uint8Array[] = []
  for (let got = 0; ; ) {
    const { data, eof } = await vfs.read(id, offset + got, count - got)
    const length = data.reduce((sum, piece) => sum + piece.length, 0)
    pieces.push(...data)
    got += length
    if (eof || got >= count) return { bytes: Buffer.concat(pieces), eof }
    if (length === 0)
      throw new Error(`a read of ${count - got} bytes at ${offset + got} gave none, and no end`)
  }
}

export const content = async (vfs: Vfs, id: FileId): Promise<Buffer> =>
  (await span(vfs, id, 0, (await vfs.getattr(id)).size + 1)).bytes

export type Seen = { readonly path: string; readonly attr: Attr; readonly entry: Entry | null }

/** Everything below the root, the root first. */
export async function* everything(
  vfs: Vfs,
  path = '',
  attr?: Attr,
  entry: Entry | null = null,
): AsyncGenerator<Seen> {
  const here = attr ?? (await vfs.getattr(vfs.root))
  yield { path, attr: here, entry }
  if (here.kind !== 'directory') return
  for (const entry of await entries(vfs, here.id)) {
    yield* everything(vfs, `${path}/${entry.name}`, await vfs.lookup(here.id, entry.name), entry)
  }
}

/** The whole tree at one moment, to be compared with another. */
export async function snapshot(vfs: Vfs): Promise<ReadonlyMap<string, Attr>> {
  const seen = new Map<string, Attr>()
  for await (const { path, attr } of everything(vfs)) seen.set(path, attr)
  return seen
}

/** A new file with this content. */
export async function make(
  vfs: Vfs,
  dir: FileId,
  name: string,
  data: string | Uint8Array = '',
): Promise<FileId> {
  const { attr } = await vfs.create(dir, name, { mode: 'guarded', attrs: {} })
  if (data.length > 0) await vfs.write(attr.id, 0, Buffer.from(data), 'stable')
  return attr.id
}
