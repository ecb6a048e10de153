// The archive a Linux kernel unpacks into its first file system (cpio, "newc"),
// written straight from a list of entries: no staging tree, no root for device nodes.
// The format is in the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.

import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'

/** What a path in the archive is. Everything belongs to root. */
export type Entry =
  | { readonly kind: 'directory'; readonly mode?: number }
  | { readonly kind: 'symlink'; readonly target: string }
  | { readonly kind: 'device'; readonly mode: number; readonly major: number; readonly minor: number }
  | { readonly kind: 'file'; readonly mode: number; readonly data: Uint8Array }
  /** A file of this machine, copied when the archive is written. */
  | { readonly kind: 'copy'; readonly mode: number; readonly from: string }

/** Paths without a leading slash; parents are made as they are needed. */
export type Entries = ReadonlyMap<string, Entry>

const S_IFCHR = 0o020000
const S_IFDIR = 0o040000
const S_IFREG = 0o100000
const S_IFLNK = 0o120000

const padding = (n: number): Buffer => Buffer.alloc((4 - (n % 4)) % 4)

type Header = {
  ino: number
  mode: number
  nlink: number
  size: number
  major: number
  minor: number
  mtime: number
}

function header(path: string, h: Header): Buffer {
  const name = Buffer.from(`${path}\0`)
  // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
  const fields = [h.ino, h.mode, 0, 0, h.nlink, h.mtime, h.size, 0, 0, h.major, h.minor, name.length, 0]
  const head = Buffer.concat([
    Buffer.from('070701' + fields.map(field => field.toString(16).padStart(8, '0')).join('')),
    name,
  ])
  return Buffer.concat([head, padding(head.length)])
}

/** The entries with every directory above them, parents first. */
function withParents(entries: Entries): [string, Entry][] {
  const all = new Map<string, Entry>()
  for (const [path, entry] of entries) {
    const parts = path.split('/')
    for (let depth = 1; depth < parts.length; depth++) {
      const parent = parts.slice(0, depth).join('/')
      if (!all.has(parent)) all.set(parent, entries.get(parent) ?? { kind: 'directory' })
    }
    all.set(path, entry)
  }
  return [...all]
}

/** Appends an archive of `entries` to `file`. The kernel takes several archives, one after the other. */
export async function appendArchive(file: FileHandle, entries: Entries): Promise<void> {
  const mtime = 1_700_000_000
  let ino = 1
  const put = async (path: string, mode: number, data: Uint8Array, major = 0, minor = 0): Promise<void> => {
    const head = header(path, { ino: ino++, mode, nlink: 1, size: data.length, major, minor, mtime })
    await file.appendFile(Buffer.concat([head, data, padding(data.length)]))
  }
  const none = Buffer.alloc(0)
  for (const [path, entry] of withParents(entries)) {
    if (entry.kind === 'directory') await put(path, S_IFDIR | (entry.mode ?? 0o755), none)
    else if (entry.kind === 'symlink') await put(path, S_IFLNK | 0o777, Buffer.from(entry.target))
    else if (entry.kind === 'device') await put(path, S_IFCHR | entry.mode, none, entry.major, entry.minor)
    else if (entry.kind === 'file') await put(path, S_IFREG | entry.mode, entry.data)
    else await put(path, S_IFREG | entry.mode, await bytesOf(entry.from))
  }
  await put('TRAILER!!!', 0, none)
  // An archive may be followed by another on a boundary of four bytes; 512 is what cpio(1) does.
  const { size } = await file.stat()
  await file.appendFile(Buffer.alloc((512 - (size % 512)) % 512))
}

async function bytesOf(path: string): Promise<Buffer> {
  await using file = await open(path)
  return await file.readFile()
}
