// Writing, beside what a person would do with the node's web API, or with the disk. The
// server is given the calls of a kernel's client (calls.ts); the programs' names stand for them.

import { join } from 'node:path'
import {
  curlDownload,
  curlUpload,
  directoryByHand,
  journal,
  plainFile,
  unlinkByHand,
  untilListed,
} from './by-hand.ts'
import { commit, copyFile, create, mkdir, open, removeAll, rename, writeAt } from './calls.ts'
import { CountingProxy } from './counting-proxy.ts'
import { inMs, inSeconds, median, p99, seconds, times } from './figures.ts'
import type { Load } from './loop-watch.ts'
import { NfsClient } from './nfs-client.ts'
import { KiB, MiB, newSeed, noiseAt } from './noise.ts'
import type { Server } from './server.ts'
import type { Sizes, World } from './world.ts'

const FILES = 200
const SMALL = 4 * KiB
const ROUNDS = 3

/** Bytes of a new file, as they are asked for. */
function freshBytes(): (offset: number, length: number) => Buffer {
  const seed = newSeed()
  return (offset, length) => noiseAt(seed, offset, length)
}

const nameOf = (i: number): string => `file ${i}`
const inMiB = (bytes: number): string => `${Math.round(bytes / MiB)} MiB`

/** `cp -r` of small files into a new directory. */
export async function smallFiles(world: World): Promise<void> {
  const root = await world.directory()
  const proxy = await CountingProxy.before(world.node.url)
  const server = await world.serve(root, proxy.url)
  const nfs = await NfsClient.mount(server.port)
  const copied: number[] = []
  const listed: number[] = []
  const byHand: Awaited<ReturnType<typeof directoryByHand>>[] = []
  let requests = ''
  for (let round = 0; round < ROUNDS; round++) {
    const files = Array.from({ length: FILES }, (_, i) => [nameOf(i), freshBytes()(0, SMALL)] as const)
    await world.settle()
    byHand.push(await directoryByHand(proxy.url, root, `by hand ${round}`, files))
    await world.settle()
    proxy.forget()
    const name = `copied ${round}`
    copied.push(
      await seconds(async () => {
        const dir = await mkdir(nfs, nfs.root, name)
        for (let i = 0; i < FILES; i++) await copyFile(nfs, dir, nameOf(i), SMALL, freshBytes())
      }),
    )
    listed.push(await untilListed(world.node.url, root, name, FILES))
    await server.flush()
    requests = proxy.told()
  }
  const whole = byHand.map(each => each.whole)
  const both = copied.map((each, i) => each + listed[i]!)
  console.log(`cp -r of ${FILES} files of 4 KiB: ${inSeconds(...copied)}, all of it durable`)
  console.log(`  from then until the node lists all of them: ${inSeconds(...listed)}`)
  console.log(`  both: ${inSeconds(...both)}, ${times(both, whole)} by hand`)
  console.log(
    `  by hand: ${inSeconds(...whole)}; four PUT at a time ${inSeconds(...byHand.map(each => each.uploads))}, mkdir-with-children ${inSeconds(...byHand.map(each => each.mkdir))}`,
  )
  console.log(`  requests to the node for one copy: ${requests}`)
  nfs.close()
  await server.stop()
  await proxy.close()
}

/** `rm -r` of what is on the grid. */
export async function remove(world: World): Promise<void> {
  const files = Array.from({ length: FILES }, (_, i) => [nameOf(i), freshBytes()(0, SMALL)] as const)
  const root = await world.directory()
  for (const name of ['removed', 'by hand']) await directoryByHand(world.node.url, root, name, files)
  const proxy = await CountingProxy.before(world.node.url)
  const server = await world.serve(root, proxy.url)
  const nfs = await NfsClient.mount(server.port)
  proxy.forget()
  const removed = await seconds(() => removeAll(nfs, nfs.root, 'removed'))
  const published = await seconds(() => server.flush())
  const byHand = await seconds(() => unlinkByHand(world.node.url, root, 'by hand'))
  console.log(
    `rm -r of ${FILES} files: ${inSeconds(removed)}, and ${inSeconds(published)} until it is on the grid, ${times(published, byHand)} one unlink by hand (${inSeconds(byHand)})`,
  )
  console.log(`  requests to the node: ${proxy.told()}`)
  nfs.close()
  await server.stop()
  await proxy.close()
}

/** One file of 64 MiB, until COMMIT, and until it is on the grid. */
export async function largeFile(world: World): Promise<void> {
  const size = 64 * MiB
  const server = await world.serve(await world.directory())
  const nfs = await NfsClient.mount(server.port)
  const plain = join(world.dir, 'plain')
  const curl: number[] = []
  const committed: number[] = []
  const published: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    await plainFile(plain, size)
    await world.settle()
    curl.push((await curlUpload(world.node.url, plain)).took)
    await world.settle()
    const copied = await seconds(() => copyFile(nfs, nfs.root, `file ${round}`, size, freshBytes()))
    committed.push(copied)
    published.push(copied + (await seconds(() => server.flush())))
  }
  console.log(`64 MiB: durable after ${inSeconds(...committed)}, ${times(committed, curl)} curl -T`)
  console.log(`  on the grid after ${inSeconds(...published)}, ${times(published, curl)} curl -T`)
  console.log(`  curl -T of as much to the node: ${inSeconds(...curl)}`)
  console.log(`  peak memory of the server ${await server.peakMemory()}`)
  nfs.close()
  await server.stop()
}

/** One byte of a huge file that is on the grid. */
export async function oneByte(world: World, { huge }: Sizes): Promise<void> {
  const plain = join(world.dir, 'plain')
  await plainFile(plain, huge)
  await world.settle()
  const proxy = await CountingProxy.before(world.node.url)
  const { took: upload, cap } = await curlUpload(proxy.url, plain)
  const byHand = upload + (await seconds(() => curlDownload(proxy.url, cap)))
  await world.settle()
  const server = await world.serve(await world.directory([['huge', cap]]), proxy.url)
  const nfs = await NfsClient.mount(server.port)
  const file = await open(nfs, nfs.root, 'huge')
  proxy.forget()
  const change = (offset: number) =>
    msOf(async () => commit(nfs, file, await writeAt(nfs, file, offset, Buffer.from([offset % 256]))))
  const first = await change(huge / 2 + 1)
  const read = proxy.fetched
  const published = await seconds(() => server.flush())
  const told = `${inMiB(proxy.fetched)} fetched, ${inMiB(proxy.uploaded)} sent`
  const disk = await journal(join(world.dir, 'journal'))
  const further: number[] = []
  const bare: number[] = []
  for (let i = 0; i < 50; i++) {
    further.push(await change(i * 4097))
    bare.push(await msOf(disk.append))
  }
  console.log(
    `one byte of ${inMiB(huge)}: ${inMs(first)} until COMMIT, ${times(first, bare)} a bare fdatasync (${inMs(median(bare))}); ${read} bytes read from the grid before`,
  )
  console.log(`  50 further ones: ${inMs(median(further))}, ${times(further, bare)} a bare fdatasync`)
  console.log(
    `  until it is on the grid: ${inSeconds(published)}, ${times(published, byHand)} curl of it and curl -T (${inSeconds(byHand)}); ${told}`,
  )
  console.log(`  peak memory of the server ${await server.peakMemory()}`)
  nfs.close()
  await disk.close()
  await server.stop()
  await proxy.close()
}

/** Milliseconds that it takes. */
const msOf = async (deed: () => Promise<unknown>): Promise<number> => 1000 * (await seconds(deed))

/** One call at a time, and in turn with them the disk alone. */
export async function latency(world: World): Promise<void> {
  const server = await world.serve(await world.directory())
  const nfs = await NfsClient.mount(server.port)
  const disk = await journal(join(world.dir, 'journal'))
  const log = await create(nfs, nfs.root, 'log')
  const bytes = freshBytes()
  await create(nfs, nfs.root, 'moved 0')
  const deeds: Record<string, (i: number) => Promise<unknown>> = {
    'a bare fdatasync of 4 KiB': () => disk.append(),
    CREATE: i => create(nfs, nfs.root, nameOf(i)),
    'WRITE 4 KiB + COMMIT': async i =>
      commit(nfs, log, await writeAt(nfs, log, i * SMALL, bytes(i * SMALL, SMALL))),
    RENAME: i => rename(nfs, nfs.root, `moved ${i}`, `moved ${i + 1}`),
  }
  const took = new Map(Object.keys(deeds).map(name => [name, [] as number[]]))
  for (let i = 0; i < 500; i++)
    for (const [name, deed] of Object.entries(deeds)) took.get(name)!.push(await msOf(() => deed(i)))
  const [bare] = took.values()
  for (const [name, ms] of took) {
    const ratios = ms === bare ? '' : `, ${times(ms, bare!)} and ${times(p99(ms), p99(bare!))} the bare one`
    console.log(`${name}: p50 ${inMs(median(ms))}, p99 ${inMs(p99(ms))}${ratios}`)
  }
  nfs.close()
  await disk.close()
  await server.stop()
}

/** A huge file: what it does to the server. */
export async function hugeFile(world: World, { huge }: Sizes): Promise<void> {
  const plain = join(world.dir, 'plain')
  const disk = await plainFile(plain, huge)
  await world.settle()
  const { took: curl } = await curlUpload(world.node.url, plain)
  await copyHuge(world, await world.serve(await world.directory()), huge, disk, [curl, 'curl -T'])
}

/** Copies a huge file, beside what the disk and a peer took for as much. */
export async function copyHuge(
  world: World,
  server: Server,
  huge: number,
  disk: number,
  [peer, peerName]: readonly [number, string],
): Promise<void> {
  const nfs = await NfsClient.mount(server.port)
  await world.settle()
  await server.load()
  await new Promise(resolve => setTimeout(resolve, 2000))
  console.log(`a server at rest: ${loaded(await server.load())}`)
  const copied = await seconds(() => copyFile(nfs, nfs.root, 'huge', huge, freshBytes()))
  console.log(
    `cp of ${inMiB(huge)}, 64 WRITEs at a time: durable after ${inSeconds(copied)}, ${times(copied, disk)} a plain file (${inSeconds(disk)})`,
  )
  console.log(`  the server: ${loaded(await server.load())}, peak memory ${await server.peakMemory()}`)
  const published = await seconds(() => server.flush())
  console.log(
    `  until it is on the grid: ${inSeconds(published)} more, ${times(published, peer)} ${peerName} (${inSeconds(peer)})`,
  )
  console.log(`  the server: ${loaded(await server.load())}, peak memory ${await server.peakMemory()}`)
  nfs.close()
  await server.stop()
}

const loaded = ({ delay: { p50, p99, max }, cpu }: Load): string =>
  `event loop p50 ${inMs(p50)}, p99 ${inMs(p99)}, max ${inMs(max)}, ${inSeconds(cpu)} of CPU`
