// A machine that can die: from one step on, nothing more reaches its disk, its database or
// the grid. What was not synced by then is lost, as by a loss of power; or only its process
// ends, and then all that was handed to it is there.

import { closeSync, openSync, readdirSync, rmSync, truncateSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { FsError } from '../../src/errors.ts'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { Grid } from '../../src/tahoe/grid.ts'
import { State } from '../../src/vfs/state/state.ts'
import { Tahoefs, type TahoefsOptions } from '../../src/vfs/tahoefs.ts'
import { type Disk, type DiskFile, disk } from '../../src/vfs/write/disk.ts'
import type { Loss } from './forgetful-disk.ts'
import { hasty, quick } from './places.ts'

/** By its folder, the machine that a state belongs to. */
const machines = new Map<string, Mortal>()

const { commit } = State.prototype
State.prototype.commit = function (this: State, ops) {
  const machine = machines.get(this.dir)
  if (!machine || ops.length === 0) return commit.call(this, ops)
  return machine.step('commit').then(() => commit.call(this, ops))
}

const dead = () => new FsError('EIO', 'this machine is dead')

const SECTOR = 512

export class Mortal {
  isDead = false
  /** The steps so far, by what they were. */
  readonly steps: string[] = []
  readonly #dir: string
  /** The step that it does not live to take; that one is half done. */
  readonly #last: number
  /** Of files that are not all synced yet, also those of processes before on the same machine. */
  readonly #synced: Map<string, number>
  readonly #written: Map<string, number>
  readonly #named: Set<string>

  private constructor(dir: string, last: number, before?: Mortal) {
    this.#dir = dir
    this.#last = last
    this.#synced = before ? before.#synced : new Map()
    this.#written = before ? before.#written : new Map()
    this.#named = before ? before.#named : new Set()
  }

  /** A file system on a machine that lives for `steps` steps. */
  static async open(
    dir: string,
    grid: Grid,
    root: Cap,
    steps = Number.POSITIVE_INFINITY,
    more: Partial<TahoefsOptions> = {},
  ): Promise<{ machine: Mortal; fs: Tahoefs }> {
    const stateDir = join(dir, 'state')
    const machine = new Mortal(dir, steps, machines.get(stateDir))
    machines.set(stateDir, machine)
    const fs = await Tahoefs.open({
      grid: machine.#grid(grid),
      root,
      stateDir,
      cacheDir: join(dir, 'cache'),
      cacheSize: 1 << 20,
      ttl: 60_000,
      owner: { uid: 1000, gid: 1000 },
      patience: hasty,
      tempo: quick,
      disk: machine.#disk(),
      ...more,
    })
    return { machine, fs }
  }

  /** The end, now or before; afterwards its folder is as it would be found. `loss`: of what was not synced. */
  async die(fs: Tahoefs | null, loss: Loss = 'all'): Promise<void> {
    this.isDead = true
    await fs?.close()
    if (loss === 'none') return
    let seed = loss === 'all' ? 0 : loss.some * 7919 + 1
    const chance = () => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0) / 2 ** 32
    const staging = join(this.#dir, 'state', 'staging')
    for (const name of readdirSync(staging)) {
      const path = join(staging, name)
      const written = this.#written.get(path)
      if (written === undefined) continue // of a machine before
      if (!this.#named.has(path) && (loss === 'all' || chance() < 0.5)) rmSync(path)
      else this.#forget(path, written, loss === 'all' ? null : chance)
    }
    for (const each of [this.#synced, this.#written, this.#named]) each.clear()
  }

  /** What was not synced of a file is not there, or some sectors of it. */
  #forget(path: string, written: number, chance: (() => number) | null): void {
    const synced = this.#synced.get(path) ?? 0
    if (synced >= written) return
    const end = chance ? synced + Math.ceil((written - synced) * chance()) : synced
    truncateSync(path, end)
    if (!chance || chance() < 0.3) return
    const fd = openSync(path, 'r+')
    for (let at = Math.ceil(synced / SECTOR) * SECTOR; at < end; at += SECTOR)
      if (chance() < 0.1) writeSync(fd, Buffer.alloc(Math.min(SECTOR, end - at)), 0, undefined, at)
    closeSync(fd)
  }

  /** What is counted; rejects from the last one on. */
  async step(what: string): Promise<void> {
    if (this.isDead) throw dead()
    this.steps.push(what)
    if (this.steps.length <= this.#last) return
    this.isDead = true
    throw dead()
  }

  #grid(grid: Grid): Grid {
    return new Proxy(grid, {
      get: (target, name) => {
        const found = Reflect.get(target, name)
        if (typeof found !== 'function') return found
        if (!['upload', 'overwrite', 'edit', 'mkdir', 'list', 'read', 'stat'].includes(String(name)))
          return found.bind(target)
        return (...args: unknown[]) => {
          if (!this.isDead) return found.apply(target, args)
          if (name === 'read') throw dead()
          return Promise.reject(dead())
        }
      },
    })
  }

  #disk(): Disk {
    return {
      ...disk,
      open: async (path, how) => {
        if (how === 'new') {
          await this.step('open')
          this.#written.set(path, 0)
          this.#synced.delete(path)
          this.#named.delete(path)
        }
        return this.#file(await disk.open(path, how), path)
      },
      syncDir: async dir => {
        await this.step('sync a directory')
        await disk.syncDir(dir)
        for (const path of this.#written.keys()) if (dirname(path) === dir) this.#named.add(path)
      },
      unlink: async path => {
        await this.step(`unlink ${basename(path)}`)
        await disk.unlink(path)
      },
    }
  }

  #file(file: DiskFile, path: string): DiskFile {
    return {
      write: async (parts, position) => {
        try {
          await this.step('write')
        } catch (err) {
          await file.write(parts.slice(0, parts.length >> 1), position)
          throw err
        }
        await file.write(parts, position)
        this.#written.set(path, position + parts.reduce((sum, part) => sum + part.length, 0))
      },
      sync: async () => {
        const written = this.#written.get(path) ?? 0
        await this.step('sync')
        await file.sync()
        this.#synced.set(path, written)
      },
      read: (into, position) => file.read(into, position),
      close: () => file.close(),
    }
  }
}
