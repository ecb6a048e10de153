// What is done to a file and to its shadow, one step at a time.

import {
  copyFile,
  type FileHandle,
  link,
  open,
  readFile,
  rename,
  stat,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import type { Random } from './fsx-random.ts'
import { Shadow } from './fsx-shadow.ts'
import { run } from './shell.ts'

/** A file that is open, and what it must hold. */
export type Subject = { name: string; file: FileHandle; shadow: Shadow }

export type Bounds = {
  /** Bytes of the largest file. */
  readonly most: number
  /** Bytes of the longest read or write. */
  readonly longest: number
}

export type Step = {
  readonly number: number
  readonly dir: string
  readonly random: Random
  readonly bounds: Bounds
  readonly all: readonly Subject[]
}

type Deed = (subject: Subject, step: Step) => Promise<void>

const pathOf = (subject: Subject, { dir }: Step): string => join(dir, subject.name)

/** A place and a length within the bounds, often around the end. */
function place({ random, bounds }: Step, size: number): { at: number; length: number } {
  const around = random.below(3) === 0 ? bounds.most : Math.min(size + 1, bounds.most)
  const at = random.below(around)
  return { at, length: Math.min(1 + random.size(bounds.longest - 1), bounds.most - at) }
}

async function wholeOf(file: FileHandle, size: number): Promise<Buffer> {
  const buffer = Buffer.alloc(size + 1)
  const { bytesRead } = await file.read(buffer, 0, size + 1, 0)
  return buffer.subarray(0, bytesRead)
}

const reads: Deed = async ({ file, shadow, name }, step) => {
  const { at, length } = place(step, shadow.content.length)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at)
  const to = Math.min(at + length, shadow.content.length)
  shadow.check(buffer.subarray(0, bytesRead), `read ${length} at ${at} of ${name}`, at, Math.max(at, to))
}

const writes: Deed = async ({ file, shadow }, step) => {
  const { at, length } = place(step, shadow.content.length)
  const data = step.random.bytes(length)
  shadow.write(step.number, at, data)
  await file.write(data, 0, length, at)
}

const appends: Deed = async (subject, step) => {
  const { shadow } = subject
  const room = step.bounds.most - shadow.content.length
  const data = step.random.bytes(Math.min(room, step.random.size(step.bounds.longest)))
  await writeFile(pathOf(subject, step), data, { flag: 'a' })
  if (data.length > 0) shadow.write(step.number, shadow.content.length, data, 'append')
}

const truncates: Deed = async (subject, step) => {
  const { file, shadow } = subject
  const size = step.random.size(step.random.below(2) === 0 ? shadow.content.length : step.bounds.most)
  await (step.random.below(2) === 0 ? file.truncate(size) : truncate(pathOf(subject, step), size))
  shadow.resize(step.number, size)
}

/** Everything from a place on becomes a hole. */
const punches: Deed = async ({ file, shadow }, step) => {
  const size = shadow.content.length
  const at = step.random.below(size + 1)
  await file.truncate(at)
  await file.truncate(size)
  shadow.resize(step.number, at, 'punch')
  shadow.resize(step.number, size, 'punch')
}

const empties: Deed = async (subject, step) => {
  await (await open(pathOf(subject, step), 'w')).close()
  subject.shadow.resize(step.number, 0, 'O_TRUNC')
}

const syncs: Deed = async ({ file, shadow }, step) => {
  await (step.random.below(2) === 0 ? file.sync() : file.datasync())
  shadow.did(step.number, 'sync')
  shadow.synced()
}

const reopens: Deed = async (subject, step) => {
  await subject.file.close()
  subject.file = await open(pathOf(subject, step), 'r+')
  subject.shadow.did(step.number, 'reopen')
}

const readsWhole: Deed = async (subject, step) => {
  subject.shadow.check(await readFile(pathOf(subject, step)), `the whole of ${subject.name}`)
}

const moves: Deed = async (subject, step) => {
  const from = pathOf(subject, step)
  subject.name = `${subject.name.split('-')[0]}-${step.number}`
  await rename(from, pathOf(subject, step))
  subject.shadow.did(step.number, `rename to ${subject.name}`)
}

/** As editors save: a new file beside it, renamed over it. Whoever has the old one open keeps it. */
const replaces: Deed = async (subject, step) => {
  const data = step.random.bytes(step.random.size(step.bounds.most))
  const beside = join(step.dir, 'beside')
  const file = await open(beside, 'wx+')
  await file.write(data)
  const isSynced = step.random.below(2) === 0
  if (isSynced) await file.sync()
  await rename(beside, pathOf(subject, step))
  const old = await wholeOf(subject.file, subject.shadow.content.length)
  subject.shadow.check(old, `${subject.name} after it was replaced`)
  await subject.file.close()
  subject.file = file
  subject.shadow.beAnew(step.number, 'replaced')
  subject.shadow.write(step.number, 0, data, 'write what replaced it,')
  if (isSynced) subject.shadow.synced()
}

/** Removed while it is open, written and read after, then made anew. */
const removes: Deed = async (subject, step) => {
  const { file, shadow } = subject
  await unlink(pathOf(subject, step))
  await writes(subject, step)
  shadow.check(await wholeOf(file, shadow.content.length), `${subject.name} after it was removed`)
  await file.close()
  subject.file = await open(pathOf(subject, step), 'wx+')
  shadow.beAnew(step.number, 'removed and made anew')
}

const copies: Deed = async (subject, step) => {
  const other = step.all[step.random.below(step.all.length)]!
  if (other === subject) return
  await copyFile(pathOf(other, step), pathOf(subject, step))
  subject.shadow.resize(step.number, 0, 'copy over, from')
  subject.shadow.write(step.number, 0, other.shadow.content, `copy from ${other.name},`)
}

const throughSecondName: Deed = async (subject, step) => {
  const second = join(step.dir, 'second')
  await link(pathOf(subject, step), second)
  const { at, length } = place(step, subject.shadow.content.length)
  const data = step.random.bytes(length)
  const file = await open(second, 'r+')
  await file.write(data, 0, length, at)
  subject.shadow.write(step.number, at, data, 'write through a second name,')
  await file.close()
  await unlink(second)
}

/** As fsx does: into a map of the file, by a program that can. */
const maps: Deed = async (subject, step) => {
  const { shadow } = subject
  const size = shadow.content.length
  if (size === 0) return
  const at = step.random.below(size)
  const length = Math.min(1 + step.random.size(step.bounds.longest), size - at)
  const byte = 1 + step.random.below(255)
  const commands = [`mmap -rw 0 ${size}`, `mwrite -S ${byte} ${at} ${length}`, 'msync -s', 'munmap']
  await run(step.dir, 'xfs_io', [...commands.flatMap(command => ['-c', command]), subject.name])
  shadow.write(step.number, at, Buffer.alloc(length, byte), 'mapped write')
}

const table: readonly (readonly [number, Deed])[] = [
  [300, reads],
  [250, writes],
  [60, appends],
  [80, truncates],
  [40, punches],
  [15, empties],
  [60, syncs],
  [50, reopens],
  [50, readsWhole],
  [30, moves],
  [20, replaces],
  [20, removes],
  [10, copies],
  [15, throughSecondName],
]

/** One step, and a look at the size. */
export async function perform(step: Step, { mayMap }: { mayMap: boolean }): Promise<void> {
  const subject = step.all[step.random.below(step.all.length)]!
  const deed = step.random.weighted(mayMap ? [...table, [10, maps] as const] : table)
  await deed(subject, step)
  const want = subject.shadow.content.length
  const [open, named] = [await subject.file.stat(), await stat(pathOf(subject, step))]
  for (const [what, { size }] of [
    ['descriptor', open],
    ['name', named],
  ] as const)
    if (size !== want)
      throw subject.shadow.mismatch(
        `the size of ${subject.name} by ${what}`,
        Math.min(want, size),
        Math.max(want, size),
        [],
        size,
      )
}

export async function begin(
  dir: string,
  name: string,
  { remembers }: { remembers: boolean },
): Promise<Subject> {
  const shadow = new Shadow(Buffer.alloc(0), { remembers })
  return { name, file: await open(join(dir, name), 'wx+'), shadow }
}
