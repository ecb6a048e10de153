// The NFS server over an in-memory file system, as a process of its own: a busy test does not
// stall it, and a kill -9 is one. Prints `{"port":…}` once it listens, and its statistics at its end;
// ends on SIGTERM, and when its stdin does, so that it never outlives the test.
// Arguments: the owner's uid, then the port (0: any).

import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { listen, serve } from '../../src/nfs/server.ts'
import { MemFs } from './memfs.ts'

const [uid = 0, port = 0] = process.argv.slice(2).map(Number)
const end = new AbortController()
process.on('SIGTERM', () => end.abort())
process.stdin.on('end', () => end.abort()).on('error', () => end.abort())
process.stdin.resume()

const vfs = new MemFs({ uid, gid: uid })
const listener = await listen({ port })
const log = pino({ level: 'warn' }, pino.destination(2))
const serving = serve(listener, { vfs, owner: { uid }, signal: end.signal, log })
console.log(JSON.stringify({ port: (listener.address() as AddressInfo).port }))
await serving.closed
console.log(JSON.stringify(serving.stats()))
process.stdin.destroy()
