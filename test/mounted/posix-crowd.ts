// Many names in one directory, and many who change it.

import { deepEqual, equal, ok } from 'node:assert/strict'
import {
  link,
  mkdir,
  opendir,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { type Rules, refused } from './rule.ts'

/** An emulated processor is asked for fewer. */
const crowd = Number(process.env['CROWD'] ?? 5000)

/** Calls at a time. */
const lanes = 16

const numbered = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}-${String(i).padStart(5, '0')}`)

/** `deed` for each of `items`, several at a time. */
async function each<T>(items: readonly T[], deed: (item: T) => Promise<unknown>): Promise<void> {
  const left = items.values()
  const lane = async (): Promise<void> => {
    for (const item of left) await deed(item)
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}

const make = (dir: string, all: readonly string[]): Promise<void> =>
  each(all, name => writeFile(join(dir, name), ''))

export const crowds: Rules = {
  async 'thousands of names are listed whole, and gone when they are removed'(dir) {
    const all = numbered('name', crowd)
    await make(dir, all)
    deepEqual((await readdir(dir)).sort(), all)
    const kinds = await readdir(dir, { withFileTypes: true })
    ok(kinds.every(entry => entry.isFile()))
    await rm(dir, { recursive: true })
    await mkdir(dir)
    deepEqual(await readdir(dir), [])
  },

  async 'names that stay are listed once each while others come and go'(dir) {
    const stay = numbered('stays', crowd / 2)
    await make(dir, stay)
    let done = false
    const changing = async (lane: number): Promise<void> => {
      for (let i = 0; !done; i++) {
        const path = join(dir, `comes-${lane}-${i}`)
        await writeFile(path, '')
        if (i % 3 === 0) await rename(path, `${path}-moved`)
        if (i % 2 === 0) await unlink(i % 3 === 0 ? `${path}-moved` : path)
      }
    }
    const changes = [0, 1, 2, 3].map(changing)
    try {
      for (let turn = 0; turn < 3; turn++) {
        const seen = new Map<string, number>()
        for await (const { name } of await opendir(dir, { bufferSize: 8 }))
          seen.set(name, (seen.get(name) ?? 0) + 1)
        deepEqual(
          [...seen].filter(([, times]) => times > 1),
          [],
        )
        deepEqual(
          stay.filter(name => !seen.has(name)),
          [],
        )
      }
    } finally {
      done = true
      await Promise.all(changes)
    }
    const left = await readdir(dir)
    equal(new Set(left).size, left.length)
    deepEqual(left.filter(name => name.startsWith('stays')).sort(), stay)
  },

  async 'a directory is emptied while it is listed'(dir) {
    await make(dir, numbered('name', crowd / 5))
    for await (const { name } of await opendir(dir, { bufferSize: 8 })) await unlink(join(dir, name))
    deepEqual(await readdir(dir), [])
  },

  async 'of many who make the same name one wins'(dir) {
    for (let turn = 0; turn < 10; turn++) {
      const path = join(dir, `name-${turn}`)
      const made = await Promise.allSettled(
        Array.from({ length: lanes }, (_, i) =>
          i % 2 === 0 ? mkdir(path) : writeFile(path, `${i}`, { flag: 'wx' }),
        ),
      )
      equal(made.filter(({ status }) => status === 'fulfilled').length, 1)
      for (const each of made)
        if (each.status === 'rejected') equal((each.reason as NodeJS.ErrnoException).code, 'EEXIST')
    }
  },

  async 'of many who move, remove or link the same name each is told the truth'(dir) {
    for (let turn = 0; turn < 10; turn++) {
      await writeFile(join(dir, 'one'), `${turn}`)
      const moved = await Promise.allSettled(
        Array.from({ length: lanes }, (_, i) => rename(join(dir, 'one'), join(dir, `to-${i}`))),
      )
      const winner = moved.findIndex(({ status }) => status === 'fulfilled')
      equal(moved.filter(({ status }) => status === 'fulfilled').length, 1)
      deepEqual(await readdir(dir), [`to-${winner}`])
      equal(await readFile(join(dir, `to-${winner}`), 'utf8'), `${turn}`)
      const removed = await Promise.allSettled(
        Array.from({ length: lanes }, () => unlink(join(dir, `to-${winner}`))),
      )
      equal(removed.filter(({ status }) => status === 'fulfilled').length, 1)
    }
    await writeFile(join(dir, 'one'), 'linked')
    const linked = await Promise.allSettled(
      Array.from({ length: lanes }, () => link(join(dir, 'one'), join(dir, 'two'))),
    )
    equal(linked.filter(({ status }) => status === 'fulfilled').length, 1)
    equal(await readFile(join(dir, 'two'), 'utf8'), 'linked')
  },

  async 'many directories are made, filled, moved and removed at once'(dir) {
    const count = Math.min(100, crowd / 10)
    await each(numbered('dir', count), async name => {
      await mkdir(join(dir, name, 'inner'), { recursive: true })
      await writeFile(join(dir, name, 'inner/file'), name)
      await rename(join(dir, name, 'inner'), join(dir, `moved-${name}`))
      await rmdir(join(dir, name))
    })
    await each(numbered('moved-dir', count), async name => {
      equal(await readFile(join(dir, name, 'file'), 'utf8'), name.slice('moved-'.length))
      await refused(rmdir(join(dir, name)), 'ENOTEMPTY', 'EEXIST')
      await rm(join(dir, name), { recursive: true })
    })
    deepEqual(await readdir(dir), [])
  },
}
