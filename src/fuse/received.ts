// A descriptor from another process: fusermount3 mounts for users who may not, and hands
// /dev/fuse over a socket. Node has no way to receive one, so libc is called through koffi,
// which may be missing and is loaded by nobody else.

import { closeSync } from 'node:fs'
import { FsError } from '../errors.ts'

/** The ends of a pair of sockets: one for the child, and one at which its descriptor arrives. */
export type Passage = {
  readonly theirs: number
  /** The descriptor that the child has sent, which has ended; null when it sent none. */
  received(): number | null
  close(): void
}

type Libc = { socketpair(): [number, number]; receive(socket: number): number | null }

let loaded: Promise<Libc> | null = null

/** Throws ENOTSUP where koffi is not installed, or does not work here. */
export const libc = (): Promise<Libc> => (loaded ??= load())

// <sys/socket.h> of Linux, the same with glibc and musl on every machine that Node runs on.
const [AF_UNIX, SOCK_STREAM, SOCK_CLOEXEC] = [1, 1, 0o2000000]
const [SOL_SOCKET, SCM_RIGHTS] = [1, 1]
const [MSG_DONTWAIT, MSG_CMSG_CLOEXEC] = [0x40, 0x40000000]

/** What dlopen may know it by, where the program itself does not have its symbols. */
const names = [null, 'libc.so.6', `libc.musl-${process.arch === 'x64' ? 'x86_64' : 'aarch64'}.so.1`]

async function load(): Promise<Libc> {
  const { default: koffi } = await import('koffi').catch((err: unknown) => {
    throw new FsError('ENOTSUP', 'the package koffi is not installed', { cause: err })
  })
  const iovec = koffi.struct({ base: 'void *', len: 'size_t' })
  const msghdr = koffi.struct({
    name: 'void *',
    namelen: 'size_t', // socklen_t, and the padding behind it
    iov: koffi.pointer(iovec),
    iovlen: 'size_t',
    control: 'void *',
    controllen: 'size_t',
    flags: 'int',
  })
  const open = () => {
    for (const name of names) {
      try {
        const lib = koffi.load(name)
        return {
          pair: lib.func('socketpair', 'int', ['int', 'int', 'int', 'void *']),
          recvmsg: lib.func('recvmsg', 'long', ['int', koffi.inout(koffi.pointer(msghdr)), 'int']),
        }
      } catch {} // not under this name
    }
    throw new FsError('ENOTSUP', 'koffi does not find the C library')
  }
  const { pair, recvmsg } = open()
  const word = koffi.sizeof('size_t')

  return {
    socketpair() {
      const ends = new Int32Array(2)
      if (pair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) !== 0) throw new FsError('EIO', 'socketpair')
      return [ends[0]!, ends[1]!]
    },
    receive(socket) {
      const byte = Buffer.alloc(1)
      // cmsghdr is a size_t and two ints, then what is sent.
      const control = Buffer.alloc(word + 8 + word)
      const head = {
        name: null,
        namelen: 0,
        iov: [{ base: byte, len: 1 }],
        iovlen: 1,
        control,
        controllen: control.length,
        flags: 0,
      }
      if (recvmsg(socket, head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0) return null
      const [level, type] = [read(control, word), read(control, word + 4)]
      const isOne = Number(head.controllen) >= word + 12 && level === SOL_SOCKET && type === SCM_RIGHTS
      return isOne ? read(control, word + 8) : null
    },
  }
}

const read = (bytes: Buffer, at: number): number => new Int32Array(bytes.buffer, bytes.byteOffset + at, 1)[0]!

export async function passage(): Promise<Passage> {
  const { socketpair, receive } = await libc()
  const [ours, theirs] = socketpair()
  return {
    theirs,
    received: () => receive(ours),
    close() {
      closeSync(ours)
      closeSync(theirs)
    },
  }
}
