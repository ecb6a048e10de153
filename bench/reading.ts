// Reading, beside `curl` of the same cap from the same node. Lists and streams are asked for
// by nfs-ls and nfs-cat (libnfs-utils).

import { curlDownload } from './by-hand.ts'
import { open, read } from './calls.ts'
import { CountingProxy } from './counting-proxy.ts'
import { inSeconds, median, seconds, times } from './figures.ts'
import { NfsClient } from './nfs-client.ts'
import { KiB, MiB, noise } from './noise.ts'
import type { Server } from './server.ts'
import { discarded, run, type World } from './world.ts'

const ROUNDS = 5

// A path in the root begins with two slashes: libnfs would ask for an empty one otherwise.
const urlOf = ({ port }: Server, path: string) =>
  `nfs://127.0.0.1/${path}?nfsport=${port}&mountport=${port}&version=3`

export async function listing(world: World): Promise<void> {
  const small = await world.grid.upload(noise(1000))
  const names = Array.from({ length: 1000 }, (_, i) => [`file ${i}`, small] as const)
  const proxy = await CountingProxy.before(world.node.url)
  const server = await world.serve(await world.directory(names), proxy.url)
  const list = () => run('nfs-ls', [urlOf(server, '')])
  const cold = await seconds(list)
  const requests = proxy.told()
  proxy.forget()
  const warm: number[] = []
  for (let i = 0; i < ROUNDS; i++) warm.push(await seconds(list))
  console.log(`ls -l of 1,000 entries: cold ${inSeconds(cold)}, warm ${inSeconds(...warm)}`)
  console.log(`  requests to the node from start to the first listing's end: ${requests}`)
  console.log(`  requests for the ${ROUNDS} after it: ${proxy.told()}`)
  await server.stop()
  await proxy.close()
}

export async function stream(world: World): Promise<void> {
  const cap = await world.grid.upload(noise(64 * MiB))
  const root = await world.directory([['big', cap]])
  const curl: number[] = []
  const cold: number[] = []
  const warm: number[] = []
  let memory = ''
  for (let i = 0; i < ROUNDS; i++) {
    curl.push(await seconds(() => curlDownload(world.node.url, cap)))
    const server = await world.serve(root)
    const cat = () => discarded('nfs-cat', urlOf(server, '/big'))
    cold.push(await seconds(cat))
    warm.push(await seconds(cat))
    memory = await server.peakMemory()
    await server.stop()
  }
  const rate = (64 * MiB) / 2 ** 30 / median(warm)
  console.log(`64 MiB: curl from the node ${inSeconds(...curl)}`)
  console.log(`  nfs-cat cold ${inSeconds(...cold)}, ${times(cold, curl)} curl's`)
  console.log(`  nfs-cat warm ${inSeconds(...warm)}, ${times(warm, curl)} curl's, ${rate.toFixed(2)} GiB/s`)
  console.log(`  peak memory of the server ${memory}`)
}

export async function firstBytes(world: World): Promise<void> {
  const root = await world.directory([['huge', await world.grid.upload(noise(1024 * MiB))]])
  const server = await world.serve(root)
  const nfs = await NfsClient.mount(server.port)
  const file = await open(nfs, nfs.root, 'huge')
  const first = await seconds(() => read(nfs, file, 0, 4 * KiB))
  let at = 0
  const inOrder = (async () => {
    while (at < 128 * MiB) at += await read(nfs, file, at, MiB)
  })()
  while (at < 16 * MiB) await new Promise(resolve => setTimeout(resolve, 5))
  const jump = await seconds(() => read(nfs, file, 700 * MiB, 4 * KiB))
  const during = at
  await inOrder
  console.log(`1 GiB, cold: first byte after ${(first * 1000).toFixed(0)} ms`)
  console.log(
    `  a jump into its middle, while it is read in order (at ${(during / MiB).toFixed(0)} MiB): ${(jump * 1000).toFixed(0)} ms`,
  )
  console.log(`  peak memory of the server ${await server.peakMemory()}`)
  nfs.close()
  await server.stop()
}
