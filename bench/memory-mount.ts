// The FUSE frontend over a file system in memory, as a process of its own: what the frontend
// itself costs. Arguments: the mount point, then how requests are read. Ends with its parent.

import type { ReaderKind } from '../src/fuse/device.ts'
import { mountFuse, unmountFuse } from '../src/fuse/mount.ts'
import { serveFuse } from '../src/fuse/server.ts'
import type { Call, Durability, FileId, Read, Written } from '../src/vfs/vfs.ts'
import { MemFs } from '../test/support/memfs.ts'
import { MiB } from './noise.ts'

/** Its files have names and sizes, but their bytes are all zero: keeping them would cost more than serving them. */
class Hollow extends MemFs {
  readonly #zeros = Buffer.alloc(MiB)

  override async read(id: FileId, offset: number, count: number): Promise<Read> {
    const attr = this.known(id)
    const length = Math.max(0, Math.min(count, attr.size - offset))
    return { data: [this.#zeros.subarray(0, length)], eof: offset + length >= attr.size, attr }
  }

  override async write(
    id: FileId,
    offset: number,
    data: Uint8Array,
    durability: Durability,
    call?: Call,
  ): Promise<Written> {
    const size = Math.max(this.known(id).size, offset + data.length)
    return {
      ...(await this.setattr(id, { size }, call)),
      count: data.length,
      stable: durability === 'stable',
    }
  }
}

const [mountpoint, reader] = process.argv.slice(2) as [string, ReaderKind]
const owner = { uid: process.getuid!() }
const vfs = new Hollow({ uid: owner.uid, gid: process.getgid!() })
const { device } = await mountFuse({ mountpoint, owner, readOnly: false })
const serving = serveFuse(device, { vfs, owner, reader })
process.once('disconnect', () => void unmountFuse(mountpoint, { lazy: true }))
process.send!(serving.stats().reader)
await serving.closed
// A thread may still be in read(2), which an end by itself would wait for.
process.kill(process.pid, 'SIGKILL')
