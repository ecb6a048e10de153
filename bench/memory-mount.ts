// The FUSE frontend over a file system in memory, as a process of its own: what the frontend
// itself costs. Arguments: the mount point, then how requests are read. Ends with its parent.

import type { ReaderKind } from '../src/fuse/device.ts'
import { mountFuse, unmountFuse } from '../src/fuse/mount.ts'
import { serveFuse } from '../src/fuse/server.ts'
import { MemFs } from '../test/support/memfs.ts'

const [mountpoint, reader] = process.argv.slice(2) as [string, ReaderKind]
const owner = { uid: process.getuid!() }
const vfs = new MemFs({ uid: owner.uid, gid: process.getgid!() })
const { device } = await mountFuse({ mountpoint, owner, readOnly: false })
const serving = serveFuse(device, { vfs, owner, reader })
process.once('disconnect', () => void unmountFuse(mountpoint, { lazy: true }))
process.send!(serving.stats().reader)
await serving.closed
// A thread may still be in read(2), which an end by itself would wait for.
process.kill(process.pid, 'SIGKILL')
