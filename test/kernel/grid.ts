// A root on a real Tahoe node, filled for the kernel's tests, and copies of it for the guest.

import { createHash, randomBytes } from 'node:crypto'
import type { Cap } from '../../src/tahoe/cap.ts'
import { makeTree, put, type SharedNode, type Tree, web } from '../support/tahoe.ts'
import type { Entry } from './cpio.ts'

export type Filled = {
  readonly root: Cap
  /** What the scripts find in /job. */
  readonly files: Map<string, Entry>
  readonly env: Readonly<Record<string, string>>
  /** Replaces one file of `changing`, adds one and removes one. */
  change(): Promise<void>
}

const sum = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex')

/** 200 files of 0 to 300,000 bytes; some are literals, some have several segments. */
function tree(): { [name: string]: Uint8Array | Tree } {
  const file = (i: number): Buffer => randomBytes(i % 40 === 0 ? i * 1500 : i * 7)
  const files = (from: number, to: number): { [name: string]: Uint8Array } =>
    Object.fromEntries(Array.from({ length: to - from }, (_, i) => [`file-${from + i}`, file(from + i)]))
  return {
    ...files(0, 50),
    'naïve ünïcode': files(50, 60),
    'with spaces': { deep: { er: files(60, 100) }, 'and more': files(100, 200) },
  }
}

function copies(at: string, what: Tree, into: Map<string, Entry>): void {
  for (const [name, each] of Object.entries(what)) {
    const path = `${at}/${name}`
    if (each instanceof Uint8Array) into.set(path, { kind: 'file', mode: 0o644, data: each })
    else copies(path, each as Tree, into)
  }
}

/** Blocks of many sizes all over it, at the edges of segments and over the end. */
function reads(big: Buffer): string {
  const bigSize = big.length
  const places: [number, number][] = [
    [1, 0],
    [1, bigSize - 1],
    [4096, 255],
    [4096, 256],
    [131_072, 0],
    [131_072, 511],
    [1_000_003, 67],
    ...[1, 512, 4093, 65_536, 1_048_576].flatMap(bs =>
      Array.from({ length: 4 }, (): [number, number] => [
        bs,
        randomBytes(4).readUInt32BE() % Math.floor(bigSize / bs),
      ]),
    ),
  ]
  return places
    .map(([bs, skip]) => `${bs} ${skip} ${sum(big.subarray(bs * skip, bs * (skip + 1)))}\n`)
    .join('')
}

export type FillOptions = {
  /** Whether there is a directory of 3,000 names. */
  readonly crowd: boolean
  /** Bytes of the large file. */
  readonly bigSize: number
}

export async function fill(node: SharedNode, { crowd, bigSize }: FillOptions): Promise<Filled> {
  const files = new Map<string, Entry>()
  const text = (path: string, data: string): void =>
    void files.set(path, { kind: 'file', mode: 0o600, data: Buffer.from(data) })
  const files200 = tree()
  copies('job/tree', files200, files)
  const big = randomBytes(bigSize)
  text('job/reads', reads(big))
  const names = Array.from({ length: 3000 }, (_, i) => `name-${String(i).padStart(5, '0')} ${i * i}`)
  text('job/names', names.map(name => `${name}\n`).join(''))
  const one = await put(node, Buffer.from('one of many'))
  const changing = await makeTree(node, { file: 'before', removed: 'gone soon' })
  const root = await makeTree(node, {
    tree: files200,
    big,
    changing,
    ...(crowd ? { crowd: Object.fromEntries(names.map(name => [name, one])) } : {}),
  })
  text('job/root', `${root.uri()}\n`)
  const child = (name: string): string => `/uri/${encodeURIComponent(changing.uri())}/${name}`
  return {
    root,
    files,
    env: { BIG_SUM: sum(big), BIG_SIZE: String(bigSize) },
    async change() {
      await web(node, 'PUT', child('file'), 'after, and longer')
      await web(node, 'PUT', child('added'), 'new')
      await web(node, 'DELETE', child('removed'))
    },
  }
}
