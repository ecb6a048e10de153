// The file system in memory, mounted over FUSE by a process that ends as it is told to: to see what
// it leaves behind. Arguments: the mount point, how requests are read, and how it ends when its
// standard input does.

import type { ReaderKind } from '../../src/fuse/device.ts'
import { mountFuse, unmounting } from '../../src/fuse/mount.ts'
import { serveFuse } from '../../src/fuse/server.ts'
import { guard } from '../../src/fuse/sudden.ts'
import { MemFs } from './memfs.ts'

export type Ending = 'throws' | 'rejects' | 'exits'

const [mountpoint, reader, ending] = process.argv.slice(2) as [string, ReaderKind, Ending]
const owner = { uid: process.getuid!() }
const vfs = new MemFs({ uid: owner.uid, gid: process.getgid!() })
const { attr } = await vfs.create(vfs.root, 'note', { mode: 'guarded', attrs: {} })
await vfs.write(attr.id, 0, Buffer.from('hello'), true)

const detach = await unmounting(mountpoint, true)
const { device } = await mountFuse({ mountpoint, owner, readOnly: false })
const serving = serveFuse(device, { vfs, owner, reader })
guard({ device, detach, serving })

process.stdin.resume().once('end', () => {
  if (ending === 'exits') process.exit(7)
  if (ending === 'rejects') return void Promise.reject(new Error('nobody takes this'))
  throw new Error('nobody catches this')
})
console.log('mounted')
