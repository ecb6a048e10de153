// Whether the server behind a FUSE mount still answers. A child asks, for it may have to wait for ever.

import { run } from './programs.ts'

/** `gone`: its end of the connection is closed. `silent`: it is open, and nothing comes. */
export type Liveness = 'alive' | 'gone' | 'silent'

/** Milliseconds. */
const PATIENCE = 5_000

// statfs is always asked of the server; attributes may come from the kernel's cache, also after its end.
const ASK = `require('node:fs').statfs(process.argv[1], err => process.stdout.write(err?.code ?? 'fine'))`

/** Asked as whoever mounted it: to others the kernel says that all is well. */
export async function liveness(
  mountpoint: string,
  { uid, gid }: { readonly uid: number; readonly gid: number },
  patience = PATIENCE,
): Promise<Liveness> {
  const user = process.getuid?.() === 0 ? { uid, gid } : undefined
  const ended = await run(process.execPath, ['-e', ASK, mountpoint], { time: patience, user })
  if (ended === null) return 'silent'
  return ended.out === 'ENOTCONN' || ended.out === 'ECONNABORTED' ? 'gone' : 'alive'
}
