// The file system over NFS: where it listens, and what there is to mount.

import type { Logger } from 'pino'
import { MountTokens } from '../nfs/mount-tokens.ts'
import { serve } from '../nfs/server.ts'
import type { Vfs } from '../vfs/vfs.ts'
import { listener } from './port.ts'
import type { Settings } from './settings.ts'

export type OverNfs = {
  readonly host: string
  readonly port: number
  /** Both, as people write them. */
  readonly address: string
  /** Whether the export path is good for one mount only. */
  readonly tokens: boolean
  /** What to mount: `/`, or with tokens a path that is good once, for thirty seconds. */
  exportPath(): string
  calls(): number
  close(): Promise<void>
}

export async function overNfs(vfs: Vfs, settings: Settings, log: Logger): Promise<OverNfs> {
  const { stateDir, listen, owner } = settings
  const server = await listener(stateDir, listen)
  const end = new AbortController()
  const tokens = settings.tokens ? new MountTokens() : undefined
  const nfs = serve(server, { vfs, owner, signal: end.signal, log, tokens })
  const { address: host, port } = server.address() as { address: string; port: number }
  return {
    host,
    port,
    address: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
    tokens: settings.tokens,
    exportPath: () => tokens?.issue() ?? '/',
    calls: () => callsIn(nfs.stats().calls),
    close() {
      end.abort()
      return nfs.closed
    },
  }
}

export const callsIn = (byName: Readonly<Record<string, Readonly<Record<string, number>>>>): number =>
  Object.values(byName)
    .flatMap(byStatus => Object.values(byStatus))
    .reduce((sum, each) => sum + each, 0)
