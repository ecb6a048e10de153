// What the NFS server costs beside a bare socket: small calls per second and bytes per
// second, each as a ratio to a TCP server that answers the same bytes without looking.
//
//   node bench/nfs-rpc.ts

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { MOUNT_PROGRAM, MOUNT_V3 } from '../src/nfs/mount3.ts'
import { NFS_PROGRAM, NFS_V3 } from '../src/nfs/nfs3.ts'
import { GETATTR } from '../src/nfs/proc/attributes.ts'
import { READ, WRITE } from '../src/nfs/proc/data.ts'
import { CREATE } from '../src/nfs/proc/making.ts'
import { listen, serve } from '../src/nfs/server.ts'
import { type Codec, Writer } from '../src/nfs/xdr.ts'
import { MemFs } from '../test/support/memfs.ts'
import { callBytes, RpcClient, recordOf } from '../test/support/rpc-client.ts'

const me = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
const self = fileURLToPath(import.meta.url)
const mebibyte = 2 ** 20

type Load = {
  readonly name: string
  readonly call: Buffer
  readonly reply: number
  readonly count: number
  readonly depth: number
}

async function serveNfs(): Promise<void> {
  const listener = await listen({})
  serve(listener, { vfs: new MemFs(me), owner: me, signal: new AbortController().signal })
  process.send!(listener.address())
}

/** Answers `reply` zero bytes for each `call` bytes, whatever they are. */
function serveBare(call: number, reply: number): void {
  const answer = Buffer.alloc(reply)
  const listener = createServer({ noDelay: true }, socket => {
    let got = 0
    socket.on('error', () => {})
    socket.on('data', chunk => {
      got += chunk.length
      socket.cork()
      for (; got >= call; got -= call) socket.write(answer)
      socket.uncork()
    })
  })
  listener.listen({ host: '127.0.0.1', port: 0 }, () => process.send!(listener.address()))
}

let xid = 1_000_000

/** Milliseconds for `count` calls with `depth` of them under way. */
function run(port: number, { call, reply, count, depth }: Load): Promise<number> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  return new Promise((resolve, reject) => {
    let [sent, got] = [0, 0]
    let start = 0
    const send = (): void => {
      socket.cork()
      while (sent < count && sent - Math.floor(got / reply) < depth) {
        // Each call has its own xid, or the server would take it for the last one sent again.
        const head = Buffer.from(call.subarray(0, 8))
        head.writeUInt32BE(++xid, 4)
        socket.write(head)
        socket.write(call.subarray(8))
        sent++
      }
      socket.uncork()
    }
    socket.on('error', reject)
    socket.on('connect', () => {
      start = performance.now()
      send()
    })
    socket.on('data', chunk => {
      got += chunk.length
      if (got < count * reply) return send()
      socket.destroy()
      resolve(performance.now() - start)
    })
  })
}

async function child<T>(args: string[], use: (port: number) => Promise<T>): Promise<T> {
  const server = fork(self, args)
  try {
    const [{ port }] = (await once(server, 'message')) as [{ port: number }]
    return await use(port)
  } finally {
    server.kill()
  }
}

function nfsCall<T>(proc: number, codec: Codec<T>, args: T): Buffer {
  const w = new Writer()
  codec.write(w, args)
  return recordOf(callBytes(NFS_PROGRAM, NFS_V3, proc, Buffer.concat(w.buffers()), { cred: me }))
}

async function main(): Promise<void> {
  await child(['nfs'], async port => {
    const rpc = await RpcClient.connect(port, { cred: me })
    const ask = async <T>(proc: number, codec: Codec<T>, args: T): Promise<Buffer> => {
      const w = new Writer()
      codec.write(w, args)
      return (await rpc.call(NFS_PROGRAM, NFS_V3, proc, Buffer.concat(w.buffers()))).body
    }
    const mounted = await rpc.call(MOUNT_PROGRAM, MOUNT_V3, 1, Buffer.from('000000012f000000', 'hex'))
    const root = mounted.body.subarray(8, 8 + mounted.body.readUInt32BE(4))
    const dont = { is: 'DONT_CHANGE' as const, value: undefined }
    const none = { mode: null, uid: null, gid: null, size: null, atime: dont, mtime: dont }
    const made = await ask(8, CREATE.spec.args, {
      where: { dir: root, name: Buffer.from('big') },
      how: { is: 'GUARDED', value: none },
    })
    const file = made.subarray(12, 12 + made.readUInt32BE(8))
    const write = {
      file,
      offset: 0,
      count: mebibyte,
      stable: 'UNSTABLE' as const,
      data: Buffer.alloc(mebibyte, 7),
    }
    await ask(7, WRITE.spec.args, write)
    rpc.close()

    const getattr = nfsCall(1, GETATTR.spec.args, { object: root })
    const head = 4 + 24 // of an accepted reply
    const loads: Load[] = [
      { name: 'GETATTR, one at a time', call: getattr, reply: head + 4 + 84, count: 10_000, depth: 1 },
      { name: 'GETATTR, 64 at a time', call: getattr, reply: head + 4 + 84, count: 100_000, depth: 64 },
      {
        name: 'READ 1 MiB, 8 at a time',
        call: nfsCall(6, READ.spec.args, { file, offset: 0, count: mebibyte }),
        reply: head + 4 + 88 + 12 + mebibyte,
        count: 1000,
        depth: 8,
      },
      {
        name: 'WRITE 1 MiB, 8 at a time',
        call: nfsCall(7, WRITE.spec.args, write),
        reply: head + 4 + 28 + 88 + 4 + 4 + 8,
        count: 500,
        depth: 8,
      },
    ]
    for (const load of loads) {
      await run(port, { ...load, count: Math.ceil(load.count / 10) }) // warm
      const ours = await run(port, load)
      const bare = await child(['bare', `${load.call.length}`, `${load.reply}`], bare => run(bare, load))
      const rate = Math.round((load.count * 1000) / ours)
      console.log(`${load.name}: ${rate}/s, ${(ours / bare).toFixed(2)} times a bare socket’s time`)
    }
  })
}

const [mode, call, reply] = process.argv.slice(2)
if (mode === 'nfs') await serveNfs()
else if (mode === 'bare') serveBare(Number(call), Number(reply))
else await main()
