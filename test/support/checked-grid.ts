// A native grid over folders, for tests that damage its shares and look what it makes of that.

import { readFile, utimes } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { ExecutionContext } from 'ava'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { Child, Metadata } from '../../src/tahoe/grid.ts'
import type { Checking, Finding, Totals } from '../../src/tahoe/native/check/check.ts'
import type { Collected, Collecting } from '../../src/tahoe/native/check/gc.ts'
import { type NativeGrid, native } from '../../src/tahoe/native/native.ts'
import { Secrets } from '../../src/tahoe/native/secrets.ts'
import type { StorageServer } from '../../src/tahoe/storage/server.ts'
import { Folders } from './folders.ts'

export const secrets = new Secrets(Buffer.alloc(32, 1), Buffer.alloc(32, 2))

/** Shares needed, servers they must be spread over, and shares made. */
export type Numbers = readonly [needed: number, happy: number, total: number]

export const gridOver = (servers: readonly StorageServer[], [needed, happy, total]: Numbers): NativeGrid =>
  native({ servers, secrets, shares: { needed, happy, total } })

export async function checkedGrid(
  t: ExecutionContext,
  count: number,
  numbers: Numbers,
): Promise<{ folders: Folders; grid: NativeGrid }> {
  const folders = await Folders.open(t, count)
  const grid = gridOver(folders.servers, numbers)
  t.teardown(() => grid.close())
  return { folders, grid }
}

export async function checked(
  grid: NativeGrid,
  root: Cap,
  options: Checking = {},
): Promise<{ findings: Finding[]; totals: Totals }> {
  const findings: Finding[] = []
  const checking = grid.check(root, options)
  for (;;) {
    const next = await checking.next()
    if (next.done) return { findings, totals: next.value }
    findings.push(next.value)
  }
}

export const collected = (grid: NativeGrid, root: Cap, more: Partial<Collecting> = {}): Promise<Collected> =>
  grid.collect({ roots: [{ cap: root, path: '/' }], ...more })

export const named = (children: Record<string, Cap>, metadata: Metadata = {}): Map<string, Child> =>
  new Map(Object.entries(children).map(([name, cap]) => [name, { cap, metadata }]))

/** What is stored in the file of an immutable share, without what stands around it. */
export async function dataIn(file: string): Promise<Buffer> {
  const bytes = await readFile(file)
  return bytes.subarray(12, bytes.length - 72 * bytes.readUInt32BE(8))
}

export const numberOf = (file: string): number => Number(basename(file))
export const indexOf = (file: string): string => basename(dirname(file))

const HOUR = 3600

/** Makes share files look as if they had been written so many hours ago. */
export async function aged(files: readonly string[], hours = 25): Promise<void> {
  const then = Date.now() / 1000 - hours * HOUR
  for (const file of files) await utimes(file, then, then)
}
