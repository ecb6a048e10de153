// The same over NFS, where there is a kernel that has a client for it: in the guest of test/kernel.
// Its processor is emulated, so nothing here says what the server can do; beside a tmpfs of the
// same guest it says what the way through the client and the network costs.

import { bootGuest, buildInitramfs, whatIsMissing } from '../test/kernel/guest.ts'
import { treeOf } from '../test/kernel/image.ts'
import { create, mkdir } from './calls.ts'
import { type Compared, Comparison } from './comparison.ts'
import { NfsClient } from './nfs-client.ts'
import type { Sizes, World } from './world.ts'

const TIMEOUT = 300_000

/** Files that the script makes, and looks at, and removes. */
const MADE = 500

export async function nfsGuest(world: World, { quick }: Sizes): Promise<void> {
  const missing = await whatIsMissing()
  if (missing !== null) return console.log(`nfs-guest is left out: ${missing}`)
  const [mib, files] = quick ? [8, 200] : [64, 10_000]
  const server = await world.serveLocal()
  const nfs = await NfsClient.mount(server.port)
  const tree = await mkdir(nfs, nfs.root, 'tree')
  for (let i = 0; i < 10; i++) {
    const dir = await mkdir(nfs, tree, String(i))
    for (let j = 1; j <= files / 10; j++) await create(nfs, dir, String(j))
  }
  nfs.close()
  await server.flush()
  await using guest = await bootGuest({
    initramfs: await buildInitramfs(),
    scripts: ['bench/nfs-guest.sh'],
    env: { PORT: String(server.port), MIB: String(mib), FILES: String(files) },
    files: await treeOf('scripts'),
    memoryMb: 1024,
    timeoutMs: TIMEOUT,
  })
  const { status, notes } = await guest.done
  if (status !== 0) throw new Error(`the guest's script failed: ${guest.console().slice(-2000)}`)
  const tmpfs: Compared = { name: 'a tmpfs', peers: [] }
  const mounted: Compared = { name: 'ours over NFS', peers: [tmpfs] }
  console.log('in a guest whose processor is emulated, over NFS:')
  for (const [what, title, unit, amount] of [
    ['write', 'a new file written in order, a MiB at a time, with an fsync', 'MiB/s', mib],
    ['read dropped', 'read in order, the pages dropped', 'MiB/s', mib],
    ['read kept', 'read in order, the pages kept', 'MiB/s', mib],
    ['lines', '4 KiB written at a time, with an fsync at the end', 'writes/s', mib * 16],
    ['create', 'files made', 'files/s', MADE],
    ['stat', 'stat', 'calls/s', MADE],
    ['unlink', 'unlink', 'calls/s', MADE],
    ['ls cold', `ls -lR of ${files} entries, nothing kept`, 'entries/s', files],
    ['ls warm', 'the same again', 'entries/s', files],
  ] as const) {
    const figure = new Comparison(title, unit)
    for (const [place, where] of [
      [tmpfs, 'tmpfs'],
      [mounted, 'nfs'],
    ] as const) {
      const ms = Number(notes.get(`${where} ${what}`))
      figure.add(place, amount / (Math.max(10, ms) / 1000))
    }
    figure.print()
  }
  await server.stop()
}
