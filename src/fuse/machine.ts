// Whether FUSE can be mounted on this machine by this user, and what is missing if not.

import { constants } from 'node:fs'
import { access, open, readFile } from 'node:fs/promises'
import { FsError } from '../errors.ts'
import { helper } from './mount.ts'
import { libc } from './received.ts'

const DEVICE = '/dev/fuse'

/** Bit 21 of a process's capabilities: it may mount. */
const CAP_SYS_ADMIN = 1n << 21n

/** Null where it can; nothing is mounted for it. */
export async function whyNoFuse(): Promise<string | null> {
  if (process.platform !== 'linux') return 'FUSE is spoken on Linux only; here NFS is mounted by any user'
  return (await whyNoDevice()) ?? (process.getuid?.() === 0 ? whyNotAsRoot() : whyNotThroughHelper())
}

async function whyNoDevice(): Promise<string | null> {
  try {
    // Opening it makes the kernel load its module; a user's right to it is all that fusermount3 asks for.
    if (process.getuid?.() === 0) await (await open(DEVICE, 'r+')).close()
    else await access(DEVICE, constants.R_OK | constants.W_OK)
    return null
  } catch (err) {
    const { code } = err as NodeJS.ErrnoException
    if (code === 'ENOENT')
      return `there is no ${DEVICE}; load it with: modprobe fuse, and give it to a container with: --device ${DEVICE}`
    if (code === 'ENODEV' || code === 'ENXIO') return `this kernel has no FUSE behind ${DEVICE}`
    return `you may not use ${DEVICE}, whose mode should be 0666; a container needs --device ${DEVICE}, and a user may mount with sudo`
  }
}

async function whyNotAsRoot(): Promise<string | null> {
  const status = await readFile('/proc/self/status', 'latin1').catch(() => '')
  const given = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1]
  if (given === undefined || (BigInt(`0x${given}`) & CAP_SYS_ADMIN) !== 0n) return null
  return 'this process may not mount, as in most containers; give it CAP_SYS_ADMIN'
}

async function whyNotThroughHelper(): Promise<string | null> {
  if ((await helper()) === null) return 'fusermount3 is missing; install fuse3, or mount with sudo'
  try {
    await libc()
    return null
  } catch (err) {
    if (!(err instanceof FsError)) throw err
    return `${err.message.replace(/^\w+: /, '')}, which hands /dev/fuse to an ordinary user; install it with: npm install koffi, or mount with sudo`
  }
}
