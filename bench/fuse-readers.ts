// What the frontend itself can do, by each way of reading requests: over a file system in memory.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ReaderKind } from '../src/fuse/device.ts'
import { whyNoFuse } from '../src/fuse/machine.ts'
import { unmountFuse } from '../src/fuse/mount.ts'
import { type Compared, Comparison } from './comparison.ts'
import { fio, type Job } from './fio.ts'
import { KiB, MiB } from './noise.ts'
import { computed, whyNotInstalled } from './places.ts'
import { syscalls } from './syscalls.ts'
import type { Sizes, World } from './world.ts'

const child = join(import.meta.dirname, 'memory-mount.ts')

type Mounted = { readonly dir: string; readonly pid: number; end(): Promise<void> }

/** A mount of a file system in memory, served by a process of its own. */
async function mounted(world: World, reader: ReaderKind): Promise<Mounted> {
  const dir = await mkdtemp(join(world.dir, 'memory-'))
  const server = fork(child, [dir, reader], { stdio: 'inherit' })
  const gone = once(server, 'exit')
  const [took] = await Promise.race([once(server, 'message'), gone.then(() => ['nothing'])])
  if (took !== reader) throw new Error(`requests are read by ${took}, not by ${reader}`)
  return {
    dir,
    pid: server.pid!,
    async end() {
      await unmountFuse(dir, { lazy: true })
      await gone
    },
  }
}

export async function readers(world: World, { quick }: Sizes): Promise<void> {
  const why = (await whyNoFuse()) ?? (await whyNotInstalled('fio'))
  if (why !== null) return console.log(`readers is left out: ${why}`)
  const native: Compared = { name: 'a native folder', peers: [] }
  const epoll: Compared = { name: 'epoll', peers: [native] }
  const threads: Compared = { name: 'threads', peers: [native, epoll] }
  const nativeDir = await mkdtemp(join(world.dir, 'plain-'))
  const ways = [
    { way: native, reader: null },
    { way: epoll, reader: 'epoll' },
    { way: threads, reader: 'threads' },
  ] as const

  const size = (quick ? 64 : 512) * MiB
  const ms = quick ? 200 : 1000
  const written = new Comparison('in memory: a new file written, a MiB at a time', 'GB/s', 3)
  const read = new Comparison('read in order, the pages dropped', 'GB/s', 3)
  const writing = new Comparison('CPU of the server while a GiB is written', 's', 2)
  const reading = new Comparison('CPU of the server while a GiB is read', 's', 2)
  const random = new Comparison('4 KiB read at random, the pages dropped', 'reads/s')
  const random4 = new Comparison('the same on four threads', 'reads/s')
  const small = new Comparison('4 KiB written at a time', 'writes/s')
  const missing = new Comparison('lookup of names that are not there, each once', 'calls/s')
  const missing4 = new Comparison('the same on four threads', 'calls/s')
  const asking = new Comparison('CPU of the server for 100,000 such lookups on four threads', 's', 2)

  for (let round = 0; round < (quick ? 1 : 3); round++)
    for (const { way, reader } of ways) {
      const mount = reader === null ? null : await mounted(world, reader)
      const dir = mount?.dir ?? nativeDir
      const cpu = () => (mount ? computed([mount.pid]) : Promise.resolve(0))
      const file = join(dir, `file ${round}`)
      const whole: Job = { rw: 'write', block: MiB, size }
      let begun = await cpu()
      written.add(way, (await fio(file, whole)).bytesPerSecond / 1e9)
      if (mount) writing.add(way, ((await cpu()) - begun) / (size / GiB))
      else await world.settle()
      begun = await cpu()
      read.add(way, (await fio(file, { ...whole, rw: 'read' })).bytesPerSecond / 1e9)
      if (mount) reading.add(way, ((await cpu()) - begun) / (size / GiB))
      const jump: Job = { rw: 'randread', block: 4 * KiB, size, total: size / 16 }
      random.add(way, (await fio(file, jump)).callsPerSecond)
      random4.add(way, (await fio(file, { ...jump, total: size / 32, jobs: 4 })).callsPerSecond)
      small.add(
        way,
        (await fio(`${file} small`, { rw: 'write', block: 4 * KiB, size: size / 16 })).callsPerSecond,
      )
      missing.add(way, (await syscalls('missing', dir, ms))['lookup']!)
      begun = await cpu()
      const rate = (await syscalls('missing', dir, ms, 4))['lookup']!
      missing4.add(way, rate)
      if (mount) asking.add(way, ((await cpu()) - begun) / ((rate * ms) / 1e8))
      if (mount) await mount.end()
      else await rm(file)
    }
  for (const figure of [written, read, random, random4, small, missing, missing4]) figure.print()
  for (const figure of [writing, reading, asking]) figure.print()
}

const GiB = 1024 * MiB
