// The port of a root: chosen free the first time, then kept, so that a mount finds its
// server again. As root it is below 1024: no other user can take it while the server is down.

import { randomInt } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import type { Server } from 'node:net'
import { join } from 'node:path'
import { listen } from '../nfs/server.ts'
import { mounts } from './mounts.ts'
import { Wrong } from './wrong.ts'

export async function listener(
  stateDir: string,
  wanted: { host: string; port: number } | null,
): Promise<Server> {
  if (wanted)
    return listen(wanted).catch((err: unknown) => refuse(err, wanted.port, 'choose another with --listen'))
  const file = join(stateDir, 'port')
  const kept = Number(await readFile(file, 'utf8').catch(() => Number.NaN))
  if (Number.isInteger(kept)) {
    try {
      return await listen({ port: kept })
    } catch (err) {
      const mounted = (await mounts()).find(each => each.port === kept)
      if (mounted)
        refuse(
          err,
          kept,
          `another program has it while ${mounted.mountpoint} is mounted through it: end that program, or unmount first`,
        )
    }
  }
  const found = process.getuid?.() === 0 ? await privileged() : await listen({})
  const { port } = found.address() as { port: number }
  await writeFile(`${file}.new`, String(port), { mode: 0o600 })
  await rename(`${file}.new`, file)
  return found
}

/** Any free port in the upper half of those that need root. */
async function privileged(): Promise<Server> {
  for (let tries = 0; ; tries++) {
    try {
      return await listen({ port: randomInt(600, 1024) })
    } catch (err) {
      if (tries >= 100) throw err
    }
  }
}

function refuse(err: unknown, port: number, advice: string): never {
  const { code, message } = err as NodeJS.ErrnoException
  if (code === 'EADDRINUSE') throw new Wrong(`port ${port} is in use: ${advice}`)
  if (code === 'EACCES') throw new Wrong(`port ${port} needs root: ${advice}`)
  throw new Wrong(`port ${port}: ${message}`)
}
