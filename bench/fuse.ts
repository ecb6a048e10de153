// What programs get of a mount over FUSE, beside a native folder on the same disk and beside sshfs.
// Pages that are "dropped" are the kernel's of that mount; what its server keeps, it keeps.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { whyNoFuse } from '../src/fuse/machine.ts'
import { Comparison } from './comparison.ts'
import { seconds } from './figures.ts'
import { fio, type Job } from './fio.ts'
import { KiB, MiB } from './noise.ts'
import { computed, durable, type Place, places, whyNotInstalled } from './places.ts'
import { syscalls } from './syscalls.ts'
import { discarded, run, type Sizes, type World } from './world.ts'

const GiB = 1024 * MiB

/** What there is to compare; null, and the reason is said, where this part cannot run. */
async function compared(
  part: string,
  world: World,
  quick: boolean,
  ...programs: string[]
): Promise<readonly Place[] | null> {
  const why = (await whyNoFuse()) ?? (await whyNotInstalled(...programs))
  if (why === null) return places(world, quick)
  console.log(`${part} is left out: ${why}`)
  return null
}

/** fio: large files in order, blocks at random, small writes; and what the server computes for it. */
export async function rates(world: World, { quick }: Sizes): Promise<void> {
  const all = await compared('rates', world, quick, 'fio')
  if (!all) return
  const inOrder = 'in order, a MiB at a time'
  const written = new Comparison(`a new file written ${inOrder}`, 'GB/s', 3)
  const synced = new Comparison('the same, with an fsync', 'GB/s', 3)
  const dropped = new Comparison(`read ${inOrder}, the pages dropped`, 'GB/s', 3)
  const kept = new Comparison(`the same again, the pages kept`, 'GB/s', 3)
  const random = new Comparison('4 KiB read at random, the pages dropped', 'reads/s')
  const random4 = new Comparison('the same on four threads', 'reads/s')
  const small = new Comparison('4 KiB written at a time', 'writes/s')
  const writing = new Comparison('CPU of the server while a GiB is written', 's', 2)
  const publishing = new Comparison('the same until it is published', 's', 2)
  const reading = new Comparison('CPU of the server while a GiB is read, the pages dropped', 's', 2)

  for (let round = 0; round < (quick ? 1 : 3); round++)
    for (const place of all) {
      const { large } = place
      const cpu = async () => computed(await place.pids())
      const perGiB = async (before: number) => ((await cpu()) - before) / (large / GiB)
      const served = place.peers.length > 0
      const write: Job = { rw: 'write', block: MiB, size: large }
      await world.settle()

      const name = `large ${round}`
      const file = join(place.dir, name)
      let begun = await cpu()
      written.add(place, (await fio(file, write)).bytesPerSecond / 1e9)
      if (served) writing.add(place, await perGiB(begun))
      await place.published(name, large)
      if (served) publishing.add(place, await perGiB(begun))

      begun = await cpu()
      dropped.add(place, (await fio(file, { ...write, rw: 'read' })).bytesPerSecond / 1e9)
      if (served) reading.add(place, await perGiB(begun))
      kept.add(place, (await fio(file, { ...write, rw: 'read', keep: true })).bytesPerSecond / 1e9)
      const jump: Job = { rw: 'randread', block: 4 * KiB, size: large, total: large / 16 }
      random.add(place, (await fio(file, jump)).callsPerSecond)
      random4.add(place, (await fio(file, { ...jump, total: large / 32, jobs: 4 })).callsPerSecond)
      await rm(file)

      const [other, lines] = [`other ${round}`, `lines ${round}`]
      const whole = await fio(join(place.dir, other), { ...write, fsync: true })
      synced.add(place, whole.bytesPerSecond / 1e9)
      await place.published(other, large)
      const line: Job = { rw: 'write', block: 4 * KiB, size: large / 16 }
      small.add(place, (await fio(join(place.dir, lines), line)).callsPerSecond)
      await place.published(lines, large / 16)
      for (const each of [other, lines]) await rm(join(place.dir, each))
    }
  for (const figure of [written, synced, small, dropped, kept, random, random4]) figure.print()
  for (const figure of [writing, publishing, reading]) figure.print()
}

/** A file written, and until it is on the grid, and read by a mount that knows nothing of it. */
export async function cold(world: World, { quick }: Sizes): Promise<void> {
  const all = await compared('cold', world, quick, 'fio')
  if (!all) return
  const size = (quick ? 8 : 64) * MiB
  const title = `${size / MiB} MiB written`
  const published = new Comparison(`${title}, until it is published (a native folder: on the disk)`, 's', 3)
  const read = new Comparison('the same read, freshly mounted', 's', 3)
  const again = new Comparison('and read again', 's', 3)
  const whole: Job = { rw: 'write', block: MiB, size }
  for (let round = 0; round < (quick ? 1 : 3); round++)
    for (const place of all) {
      const name = `cold ${round}`
      const file = join(place.dir, name)
      await world.settle()
      published.add(
        place,
        await seconds(async () => {
          await discarded(
            'dd',
            'if=/dev/urandom',
            `of=${file}`,
            'bs=1M',
            `count=${size / MiB}`,
            'status=none',
          )
          await place.published(name, size)
        }),
      )
      await place.again()
      read.add(place, size / (await fio(file, { ...whole, rw: 'read' })).bytesPerSecond)
      again.add(place, size / (await fio(file, { ...whole, rw: 'read' })).bytesPerSecond)
      await rm(file)
    }
  for (const figure of [published, read, again]) figure.print()
}

/** Small calls: what the kernel answers itself, and what it asks the server for. */
export async function calls(world: World, { quick }: Sizes): Promise<void> {
  const all = await compared('calls', world, quick)
  if (!all) return
  const ms = quick ? 300 : 1000
  const figures = {
    create: new Comparison('files made (here they are durable then)', 'files/s'),
    stat: new Comparison('stat of each, just made', 'calls/s'),
    unlink: new Comparison('unlink', 'calls/s'),
    stats: new Comparison('stat of what the kernel knows', 'calls/s'),
    stats4: new Comparison('the same on four threads', 'calls/s'),
    missing: new Comparison('lookup of names that are not there, each once', 'calls/s'),
    missing4: new Comparison('the same on four threads', 'calls/s'),
    open: new Comparison('open and close of files', 'files/s'),
  }
  for (const place of all) {
    const dir = await mkdtemp(join(place.dir, 'calls-'))
    const files = join(dir, 'files')
    await mkdir(files)
    for (let i = 0; i < FILES; i++) await writeFile(join(files, `file ${i}`), 'bytes')
    await place.published()
    for (let round = 0; round < (quick ? 1 : 3); round++) {
      const made = await syscalls('files', dir, ms)
      for (const name of ['create', 'stat', 'unlink'] as const) figures[name].add(place, made[name]!)
      if (place.peers.length === 0) {
        const synced = await syscalls('durable', dir, ms)
        for (const name of ['create', 'unlink'] as const) figures[name].add(durable, synced[name]!)
      }
      await place.published()
      figures.stats.add(place, (await syscalls('stat', files, ms / 2))['stat']!)
      figures.stats4.add(place, (await syscalls('stat', files, ms / 2, 4))['stat']!)
      figures.missing.add(place, (await syscalls('missing', files, ms / 2))['lookup']!)
      figures.missing4.add(place, (await syscalls('missing', files, ms / 2, 4))['lookup']!)
      figures.open.add(place, (await syscalls('open', files, ms / 2))['open']!)
    }
    await rm(dir, { recursive: true })
    await place.published()
  }
  for (const figure of Object.values(figures)) figure.print()
}

/** Files that `stat` and `open` go round. */
const FILES = 20

/** `ls -lR`: freshly mounted with nothing kept, and again. */
export async function ls(world: World, { quick }: Sizes): Promise<void> {
  const all = await compared('ls', world, quick)
  if (!all) return
  const [dirs, files] = quick ? [2, 100] : [10, 1000]
  const count = (dirs * files).toLocaleString('en')
  const cold = new Comparison(`ls -lR of ${count} entries, freshly mounted`, 's', 3)
  const warm = new Comparison('the same again', 's', 3)
  for (const place of all) {
    const tree = await place.grow(dirs, files)
    const list = () => seconds(() => discarded('ls', '-lR', tree))
    await place.again()
    cold.add(place, await list())
    for (let round = 0; round < 5; round++) warm.add(place, await list())
  }
  cold.print()
  warm.print()
}

/** dbench: the calls of an office's file server, with one and with four clients. */
export async function dbench(world: World, { quick }: Sizes): Promise<void> {
  const all = await compared('dbench', world, quick, 'dbench')
  if (!all) return
  for (const clients of [1, 4]) {
    const figure = new Comparison(`dbench, clients: ${clients}`, 'MB/s', 1)
    for (const place of all) {
      await world.settle()
      const dir = await mkdtemp(join(place.dir, 'dbench-'))
      const { stdout } = await run('dbench', ['-D', dir, '-t', quick ? '2' : '5', String(clients)])
      figure.add(place, Number(/^Throughput ([\d.]+) MB/m.exec(stdout)?.[1]))
      await rm(dir, { recursive: true })
      await place.published()
    }
    figure.print()
  }
}

/** git: a clone of a few hundred files, and its status. sshfs would take minutes. */
export async function git(world: World, { quick }: Sizes): Promise<void> {
  const all = await compared('git', world, quick, 'git')
  if (!all) return
  const origin = await repository(world, quick ? 50 : 300)
  const clone = new Comparison('git clone', 's', 3)
  const status = new Comparison('git status, the index read again', 's', 3)
  for (const place of all.filter(({ slow }) => slow !== true)) {
    const to = await mkdtemp(join(place.dir, 'clone-'))
    await world.settle()
    clone.add(place, await seconds(() => run('git', ['clone', '-q', '--no-hardlinks', origin, to])))
    await place.published()
    for (let round = 0; round < 3; round++)
      status.add(place, await seconds(() => run('git', ['-C', to, 'status', '--porcelain'])))
    await rm(to, { recursive: true })
    await place.published()
  }
  clone.print()
  status.print()
}

/** A repository with so many files in one commit. */
async function repository(world: World, files: number): Promise<string> {
  const dir = await mkdtemp(join(world.dir, 'origin-'))
  const git = (...args: string[]) =>
    run('git', ['-C', dir, '-c', 'user.name=bench', '-c', 'user.email=bench', ...args])
  await git('init', '-q')
  for (let i = 0; i < files; i++) {
    const below = join(dir, `dir ${i % 10}`)
    await mkdir(below, { recursive: true })
    await writeFile(join(below, `file ${i}`), `${i}\n`.repeat(500))
  }
  await git('add', '.')
  await git('commit', '-q', '-m', 'files')
  return dir
}
