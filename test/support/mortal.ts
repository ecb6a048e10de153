// A machine that can die: from one step on, nothing more reaches its disk, its database or
// the grid. What was not synced by then is lost, as by a loss of power.

import { readdirSync, rmSync, truncateSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { FsError } from '../../src/errors.ts'
import type { Cap } from '../../src/tahoe/cap.ts'
import type { Grid } from '../../src/tahoe/grid.ts'
import { State } from '../../src/vfs/state/state.ts'
import { Tahoefs, type TahoefsOptions } from '../../src/vfs/tahoefs.ts'
import { type Disk, type DiskFile, disk } from '../../src/vfs/write/disk.ts'
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

export class Mortal {
  isDead = false
  /** The steps so far, by what they were. */
  readonly steps: string[] = []
  readonly #dir: string
  /** The step that it does not live to take; that one is half done. */
  readonly #last: number
  readonly #synced = new Map<string, number>()
  readonly #written = new Map<string, number>()
  readonly #named = new Set<string>()

  private constructor(dir: string, last: number) {
    this.#dir = dir
    this.#last = last
  }

  /** A file system on a machine that lives for `steps` steps. */
  static async open(
    dir: string,
    grid: Grid,
    root: Cap,
    steps = Number.POSITIVE_INFINITY,
    more: Partial<TahoefsOptions> = {},
  ): Promise<{ machine: Mortal; fs: Tahoefs }> {
    const machine = new Mortal(dir, steps)
    const stateDir = join(dir, 'state')
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

  /** The end, now or before; afterwards its folder is as it would be found. */
  async die(fs: Tahoefs): Promise<void> {
    this.isDead = true
    await fs.close()
    const staging = join(this.#dir, 'state', 'staging')
    for (const name of readdirSync(staging)) {
      const path = join(staging, name)
      const written = this.#written.get(path)
      if (written === undefined) continue // of an earlier life
      if (!this.#named.has(path)) rmSync(path)
      else truncateSync(path, this.#synced.get(path) ?? 0)
    }
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
