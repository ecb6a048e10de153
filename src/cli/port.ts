// The port of a root: chosen free the first time, then kept, so that a mount finds its
// server again. As root it is below 1024: no other user can take it while the server is down.

import { randomInt } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import type { Server } from 'node:net'
import { join } from 'node:path'
import { listen } from '../nfs/server.ts'
import { type Mount, mounts } from './mounts.ts'
import { Wrong } from './wrong.ts'

export type Address = { readonly host: string; readonly port: number }

const file = (stateDir: string) => join(stateDir, 'port')

/** The port that was kept for this state, or null. */
export async function keptPort(stateDir: string): Promise<number | null> {
  const text = await readFile(file(stateDir), 'utf8').catch(() => '')
  return /^\d{1,5}$/.test(text) && Number(text) > 0 && Number(text) < 65_536 ? Number(text) : null
}

export async function listener(
  stateDir: string,
  wanted: Address | null,
  table: () => Promise<readonly Mount[]> = mounts,
): Promise<Server> {
  if (wanted)
    return listen(wanted).catch((err: unknown) => refuse(err, wanted.port, 'choose another with --listen'))
  const kept = await keptPort(stateDir)
  if (kept !== null) {
    try {
      return await listen({ port: kept })
    } catch (err) {
      const mounted = (await table()).find(each => each.port === kept)
      if (mounted)
        refuse(
          err,
          kept,
          `${mounted.mountpoint} is mounted through it: end the program that has it now, or unmount first`,
        )
    }
  }
  const found = process.getuid?.() === 0 ? await privileged() : await listen({})
  const { port } = found.address() as { port: number }
  await writeFile(`${file(stateDir)}.new`, String(port), { mode: 0o600 })
  await rename(`${file(stateDir)}.new`, file(stateDir))
  return found
}

/** Others' by custom (printing, LDAP, rsync, mail …), though they may not be up yet. */
const taken = new Set([631, 636, 749, 750, 853, 860, 873, 902, 989, 990, 991, 992, 993, 994, 995])

/** Any free port in the upper half of those that need root, or any at all where even root may not. */
async function privileged(): Promise<Server> {
  for (let tries = 0; ; tries++) {
    const port = randomInt(600, 1024)
    if (taken.has(port)) continue
    try {
      return await listen({ port })
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code === 'EACCES') return listen({})
      if (tries >= 100) throw new Wrong('no port below 1024 is free; choose one with --listen')
    }
  }
}

function refuse(err: unknown, port: number, advice: string): never {
  const { code, message } = err as NodeJS.ErrnoException
  if (code === 'EADDRINUSE') throw new Wrong(`port ${port} is in use: ${advice}`)
  if (code === 'EACCES') throw new Wrong(`port ${port} needs root: ${advice}`)
  if (code === 'EADDRNOTAVAIL')
    throw new Wrong(`this machine has no such address for port ${port}: ${advice}`)
  throw new Wrong(`port ${port}: ${message}`)
}
