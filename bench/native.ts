// Tahoe's formats written and read here, over folders: beside the hashes and the cipher that they
// cannot do without, beside the node's web API, and beside the disk.

import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cap } from '../src/tahoe/cap.ts'
import { ChkEncoder } from '../src/tahoe/format/chk/encoder.ts'
import { segmentLength, shapeOf } from '../src/tahoe/format/chk/shape.ts'
import type { Grid } from '../src/tahoe/grid.ts'
import { openLocal, usualShares } from '../src/tahoe/native/local.ts'
import { journal, plainFile } from './by-hand.ts'
import { copyFile, mkdir } from './calls.ts'
import { inMs, inSeconds, median, seconds, times } from './figures.ts'
import { NfsClient } from './nfs-client.ts'
import { KiB, MiB, newSeed, noiseAt } from './noise.ts'
import type { Server } from './server.ts'
import type { Sizes, World } from './world.ts'
import { copyHuge } from './writing.ts'

const SIZE = 64 * MiB
const ROUNDS = 5

const perSecond = (took: number): string => `${Math.round(SIZE / MiB / took)} MiB/s`

const local = async (world: World): Promise<Grid> =>
  openLocal({ dirs: [await mkdtemp(join(world.dir, 'store-'))], shares: usualShares(1) })

/** One pass of SHA-256, and one of AES-128-CTR, over all of it a MiB at a time. */
function passes(content: Buffer): { sha: number; aes: number } {
  const pieces = Array.from({ length: SIZE / MiB }, (_, i) => content.subarray(i * MiB, (i + 1) * MiB))
  const timed = (deed: (piece: Buffer) => unknown) => {
    const begun = performance.now()
    for (const piece of pieces) deed(piece)
    return (performance.now() - begun) / 1000
  }
  const sha = timed(piece => createHash('sha256').update(piece).digest())
  const cipher = createCipheriv('aes-128-ctr', randomBytes(16), Buffer.alloc(16))
  return { sha, aes: timed(piece => cipher.update(piece)) }
}

/** Encoding on one thread; reading through the whole native grid, from shares in a folder. */
export async function chk(world: World): Promise<void> {
  const content = randomBytes(SIZE)
  const bare = Array.from({ length: ROUNDS }, () => passes(content))
  const [sha, aes] = [median(bare.map(each => each.sha)), median(bare.map(each => each.aes))]
  console.log(`SHA-256 ${perSecond(sha)}, AES-128-CTR ${perSecond(aes)}`)
  for (const [needed, total] of [
    [1, 1],
    [3, 10],
  ] as const) {
    const took = Array.from({ length: ROUNDS }, () => encode(content, needed, total))
    const bound = 3 * sha + aes
    console.log(
      `CHK ${needed}-of-${total} encoded: ${perSecond(median(took))}, ${(bound / median(took)).toFixed(2)} of three passes of SHA-256 and one of AES`,
    )
  }
  const grid = await local(world)
  const cap = await grid.upload({
    size: SIZE,
    async *open() {
      yield content
    },
  })
  const took: number[] = []
  for (let round = 0; round < ROUNDS; round++) took.push(await seconds(() => readAll(grid, cap)))
  console.log(
    `CHK 1-of-1 read from its folder: ${perSecond(median(took))}, ${((2 * sha + aes) / median(took)).toFixed(2)} of two passes of SHA-256 and one of AES`,
  )
  await grid.close()
}

function encode(content: Buffer, needed: number, total: number): number {
  const shape = shapeOf(content.length, needed, total)
  const encoder = new ChkEncoder(randomBytes(16), shape)
  const begun = performance.now()
  for (let i = 0, at = 0; i < shape.segments; at += segmentLength(shape, i++))
    encoder.segment(content.subarray(at, at + segmentLength(shape, i)))
  encoder.finish()
  return (performance.now() - begun) / 1000
}

async function readAll(grid: Grid, cap: Cap): Promise<void> {
  let size = 0
  for await (const chunk of grid.read(cap, { start: 0, end: SIZE })) size += chunk.length
  if (size !== SIZE) throw new Error(`${size} bytes were read`)
}

/** A directory made, a name linked, and a thousand at once; on the folder and through the node. */
export async function names(world: World): Promise<void> {
  const grids = { 'in a folder': await local(world), 'through the node': world.grid }
  const disk = await journal(join(world.dir, 'journal'))
  const bare: number[] = []
  for (let i = 0; i < 50; i++) bare.push(1000 * (await seconds(disk.append)))
  console.log(`a bare fdatasync of 4 KiB: ${inMs(median(bare))}`)
  await new Promise(resolve => setTimeout(resolve, 2000)) // keys are made ahead
  for (const [where, grid] of Object.entries(grids)) {
    const content = randomBytes(100)
    const file = await grid.upload({
      size: content.length,
      async *open() {
        yield content
      },
    })
    const child = { cap: file, metadata: {} }
    const ms = async (deed: () => Promise<unknown>) => 1000 * (await seconds(deed))
    const made: number[] = []
    const linked: number[] = []
    const dir = await grid.mkdir()
    for (let i = 0; i < 12; i++) made.push(await ms(() => grid.mkdir()))
    for (let i = 0; i < 12; i++)
      linked.push(await ms(() => grid.edit(dir, [{ op: 'set', name: `name ${i}`, child, expect: null }])))
    const thousand = Array.from(
      { length: 1000 },
      (_, i) => ({ op: 'set', name: `many ${i}`, child, expect: null }) as const,
    )
    const all = await ms(() => grid.edit(dir, thousand))
    console.log(
      `${where}: mkdir ${inMs(median(made))}, one link ${inMs(median(linked))}, 1,000 links in one edit ${inMs(all)}`,
    )
  }
  await disk.close()
  await grids['in a folder'].close()
}

/** `cp -r` of 1,000 small files over NFS, durable and in the store. */
export async function thousandFiles(world: World): Promise<void> {
  const both: Record<string, { copied: number[]; stored: number[] }> = {}
  const servers = {
    'in a folder': await world.serveLocal(),
    'through the node': await world.serve(await world.directory()),
  }
  for (let round = 0; round < 3; round++)
    for (const [where, server] of Object.entries(servers)) {
      await world.settle()
      const { copied, stored } = await copyThousand(server, `copied ${round}`)
      const all = (both[where] ??= { copied: [], stored: [] })
      all.copied.push(copied)
      all.stored.push(stored)
    }
  const peer = both['through the node']!
  for (const [where, { copied, stored }] of Object.entries(both))
    console.log(
      `cp -r of 1,000 files of 4 KiB, ${where}: ${inSeconds(...copied)} until durable, then ${inSeconds(...stored)} until in the store (${times(stored, peer.stored)})`,
    )
  for (const server of Object.values(servers)) await server.stop()
}

async function copyThousand(server: Server, name: string): Promise<{ copied: number; stored: number }> {
  const nfs = await NfsClient.mount(server.port)
  const copied = await seconds(async () => {
    const dir = await mkdir(nfs, nfs.root, name)
    for (let i = 0; i < 1000; i++) {
      const seed = newSeed()
      await copyFile(nfs, dir, `file ${i}`, 4 * KiB, (offset, length) => noiseAt(seed, offset, length))
    }
  })
  const stored = await seconds(() => server.flush())
  nfs.close()
  return { copied, stored }
}

/** A huge file into a folder: what it does to the server. */
export async function hugeLocal(world: World, { huge }: Sizes): Promise<void> {
  const disk = await plainFile(join(world.dir, 'plain'), huge)
  await world.settle()
  await copyHuge(world, await world.serveLocal(), huge, disk, [disk, 'a plain file'])
}
