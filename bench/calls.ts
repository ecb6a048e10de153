// What programs do to files, as the calls that a kernel's client makes of it.

import { randomBytes } from 'node:crypto'
import { GETATTR, SETATTR } from '../src/nfs/proc/attributes.ts'
import { COMMIT, READ, WRITE } from '../src/nfs/proc/data.ts'
import { READDIRPLUS } from '../src/nfs/proc/listing.ts'
import { CREATE, MKDIR } from '../src/nfs/proc/making.ts'
import { LOOKUP, REMOVE, RENAME, RMDIR } from '../src/nfs/proc/names.ts'
import type { Fhandle, Sattr3 } from '../src/nfs/types.ts'
import { type NfsClient, Refused } from './nfs-client.ts'
import { MiB } from './noise.ts'

/** Bytes of one WRITE. */
export const WSIZE = MiB

const dontChange = { is: 'DONT_CHANGE', value: undefined } as const
const serverTime = { is: 'SET_TO_SERVER_TIME', value: undefined } as const
const asItIs: Sattr3 = { mode: null, uid: null, gid: null, size: null, atime: dontChange, mtime: dontChange }

const at = (dir: Fhandle, name: string) => ({ dir, name: Buffer.from(name) })

/** Null where there is no such name. */
export async function lookup(nfs: NfsClient, dir: Fhandle, name: string): Promise<Fhandle | null> {
  try {
    return (await nfs.call(LOOKUP, { what: at(dir, name) })).object
  } catch (err) {
    if (err instanceof Refused && err.status === 'NFS3ERR_NOENT') return null
    throw err
  }
}

/** open(2) of what must be there. */
export async function open(nfs: NfsClient, dir: Fhandle, name: string): Promise<Fhandle> {
  const file = await lookup(nfs, dir, name)
  if (!file) throw new Error(`${name} is not there`)
  await nfs.call(GETATTR, { object: file })
  return file
}

/** mkdir(2): it is looked for first. */
export async function mkdir(nfs: NfsClient, dir: Fhandle, name: string): Promise<Fhandle> {
  await lookup(nfs, dir, name)
  const made = await nfs.call(MKDIR, { where: at(dir, name), attributes: { ...asItIs, mode: 0o755 } })
  return made.obj!
}

/** open(2) with O_CREAT. */
export async function create(nfs: NfsClient, dir: Fhandle, name: string): Promise<Fhandle> {
  const value = { ...asItIs, mode: 0o644 }
  return (await nfs.call(CREATE, { where: at(dir, name), how: { is: 'UNCHECKED', value } })).obj!
}

/** What is made exclusively has no attributes yet: they follow, with the times that the verifier may lie in. */
async function createAlone(nfs: NfsClient, dir: Fhandle, name: string): Promise<Fhandle> {
  const how = { is: 'EXCLUSIVE', value: randomBytes(8) } as const
  const { obj } = await nfs.call(CREATE, { where: at(dir, name), how })
  const new_attributes = { ...asItIs, mode: 0o644, atime: serverTime, mtime: serverTime }
  await nfs.call(SETATTR, { object: obj!, new_attributes, guard: null })
  return obj!
}

/** Bytes that go to the page cache, and from there in calls under way together. */
export async function write(
  nfs: NfsClient,
  file: Fhandle,
  size: number,
  bytes: (offset: number, length: number) => Buffer,
  depth = 64,
): Promise<Uint8Array> {
  let offset = 0
  let verf: Uint8Array = new Uint8Array()
  const sends = async () => {
    while (offset < size) {
      const here = offset
      const count = Math.min(WSIZE, size - here)
      offset += count
      verf = await writeAt(nfs, file, here, bytes(here, count))
    }
  }
  await Promise.all(Array.from({ length: depth }, sends))
  return verf
}

export async function writeAt(
  nfs: NfsClient,
  file: Fhandle,
  offset: number,
  data: Buffer,
): Promise<Uint8Array> {
  const call = { file, offset, count: data.length, stable: 'UNSTABLE', data } as const
  const { count, verf } = await nfs.call(WRITE, call)
  if (count !== data.length) throw new Error(`${count} of ${data.length} bytes were written`)
  return verf
}

/** fsync(2), and close(2) of what was written to. */
export async function commit(nfs: NfsClient, file: Fhandle, written: Uint8Array): Promise<void> {
  const { verf } = await nfs.call(COMMIT, { file, offset: 0, count: 0 })
  if (Buffer.compare(verf, written) !== 0) throw new Error('what was written would have to be sent again')
}

/** Reads, and gives the number of bytes that came. */
export async function read(nfs: NfsClient, file: Fhandle, offset: number, count: number): Promise<number> {
  return (await nfs.call(READ, { file, offset, count })).count
}

/** One file of `cp`: it is looked for, made, written, closed; all of it is durable then. */
export async function copyFile(
  nfs: NfsClient,
  dir: Fhandle,
  name: string,
  size: number,
  bytes: (offset: number, length: number) => Buffer,
): Promise<Fhandle> {
  if (await lookup(nfs, dir, name)) throw new Error(`${name} is there already`)
  const file = await createAlone(nfs, dir, name)
  await commit(nfs, file, await write(nfs, file, size, bytes))
  await nfs.call(GETATTR, { object: file })
  return file
}

export async function rename(nfs: NfsClient, dir: Fhandle, from: string, to: string): Promise<void> {
  await nfs.call(RENAME, { from: at(dir, from), to: at(dir, to) })
}

/** `rm -r` of a directory of files. */
export async function removeAll(nfs: NfsClient, parent: Fhandle, name: string): Promise<number> {
  const dir = await open(nfs, parent, name)
  const names: Uint8Array[] = []
  for (let cookie = 0n, eof = false; !eof; ) {
    const page = { dir, cookie, cookieverf: new Uint8Array(8), dircount: 65_536, maxcount: MiB }
    const { entries, eof: last } = await nfs.call(READDIRPLUS, page)
    names.push(...entries.map(entry => entry.name))
    cookie = entries.at(-1)?.cookie ?? 0n
    eof = last
  }
  const files = names.filter(each => !/^\.\.?$/.test(Buffer.from(each).toString()))
  for (const file of files) await nfs.call(REMOVE, { object: { dir, name: file } })
  await nfs.call(RMDIR, { object: at(parent, name) })
  return files.length
}
