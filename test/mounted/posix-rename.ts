// Names that move, and what they may replace.

import { deepEqual, equal, ok } from 'node:assert/strict'
import {
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { needing, type Rules, refused } from './rule.ts'
import { run } from './shell.ts'

export const renames: Rules = {
  async 'rename over a file replaces it'(dir) {
    await writeFile(join(dir, 'from'), 'from')
    await writeFile(join(dir, 'to'), 'the longer content of to')
    const { ino } = await stat(join(dir, 'from'))
    await rename(join(dir, 'from'), join(dir, 'to'))
    deepEqual(await readdir(dir), ['to'])
    equal(await readFile(join(dir, 'to'), 'utf8'), 'from')
    equal((await stat(join(dir, 'to'))).ino, ino)
  },

  async 'rename over an empty directory replaces it, over a full one it is ENOTEMPTY'(dir) {
    await mkdir(join(dir, 'from/inner'), { recursive: true })
    await mkdir(join(dir, 'empty'))
    await mkdir(join(dir, 'full/inner'), { recursive: true })
    await refused(rename(join(dir, 'from'), join(dir, 'full')), 'ENOTEMPTY', 'EEXIST')
    await rename(join(dir, 'from'), join(dir, 'empty'))
    deepEqual((await readdir(dir)).sort(), ['empty', 'full'])
    deepEqual(await readdir(join(dir, 'empty')), ['inner'])
  },

  async 'a file does not replace a directory, nor a directory a file'(dir) {
    await mkdir(join(dir, 'directory'))
    await writeFile(join(dir, 'file'), 'x')
    await refused(rename(join(dir, 'file'), join(dir, 'directory')), 'EISDIR')
    await refused(rename(join(dir, 'directory'), join(dir, 'file')), 'ENOTDIR')
    deepEqual((await readdir(dir)).sort(), ['directory', 'file'])
  },

  async 'a directory does not move into itself'(dir) {
    await mkdir(join(dir, 'a/b/c'), { recursive: true })
    await refused(rename(join(dir, 'a'), join(dir, 'a/d')), 'EINVAL')
    await refused(rename(join(dir, 'a'), join(dir, 'a/b/c/d')), 'EINVAL')
    await refused(rename(join(dir, 'a/b'), join(dir, 'a')), 'ENOTEMPTY', 'EEXIST')
    deepEqual(await readdir(dir, { recursive: true }), ['a', 'a/b', 'a/b/c'])
  },

  async 'rename to the same name, and to another name of the same file, changes nothing'(dir) {
    await writeFile(join(dir, 'one'), 'x')
    await link(join(dir, 'one'), join(dir, 'two'))
    await rename(join(dir, 'one'), join(dir, 'one'))
    await rename(join(dir, 'one'), join(dir, 'two'))
    deepEqual((await readdir(dir)).sort(), ['one', 'two'])
    equal((await stat(join(dir, 'one'))).nlink, 2)
  },

  async 'rename moves a symlink itself, and replaces one itself'(dir) {
    await writeFile(join(dir, 'target'), 'target')
    await symlink('target', join(dir, 'link'))
    await rename(join(dir, 'link'), join(dir, 'moved'))
    equal(await readlink(join(dir, 'moved')), 'target')
    await writeFile(join(dir, 'file'), 'file')
    await rename(join(dir, 'file'), join(dir, 'moved'))
    ok((await lstat(join(dir, 'moved'))).isFile())
    equal(await readFile(join(dir, 'target'), 'utf8'), 'target')
  },

  async 'two names change places through a third, a hundred times, between two directories'(dir) {
    await mkdir(join(dir, 'a'))
    await mkdir(join(dir, 'b'))
    await writeFile(join(dir, 'a/name'), 'first')
    await writeFile(join(dir, 'b/name'), 'second')
    for (let i = 0; i < 100; i++) {
      await rename(join(dir, 'a/name'), join(dir, 'between'))
      await rename(join(dir, 'b/name'), join(dir, 'a/name'))
      await rename(join(dir, 'between'), join(dir, 'b/name'))
      equal(await readFile(join(dir, 'a/name'), 'utf8'), i % 2 === 0 ? 'second' : 'first')
    }
    deepEqual((await readdir(dir)).sort(), ['a', 'b'])
  },

  async 'a name that is replaced again and again is never missing, and never half of two'(dir) {
    const path = join(dir, 'name')
    await writeFile(path, '0'.repeat(5000))
    let done = false
    const looking = async (): Promise<number> => {
      let looks = 0
      for (; !done; looks++) {
        const text = await readFile(path, 'utf8')
        equal(text.length, 5000)
        equal(text, text[0]!.repeat(5000))
        await stat(path)
        await using file = await open(path)
        equal((await file.stat()).size, 5000)
      }
      return looks
    }
    const looks = [looking(), looking()]
    const failed = Promise.all(looks)
    failed.catch(() => {}) // awaited below
    for (let i = 1; i <= 100; i++) {
      await writeFile(join(dir, 'next'), `${i % 10}`.repeat(5000))
      await rename(join(dir, 'next'), path)
    }
    done = true
    ok((await failed).every(count => count > 0))
  },

  async 'what is below a directory that moves is found at its new place at once'(dir) {
    await mkdir(join(dir, 'a/b/c'), { recursive: true })
    await writeFile(join(dir, 'a/b/c/file'), 'x')
    await mkdir(join(dir, 'z'))
    const { ino } = await stat(join(dir, 'a/b/c/file'))
    await rename(join(dir, 'a/b'), join(dir, 'z/b'))
    equal((await stat(join(dir, 'z/b/c/file'))).ino, ino)
    await refused(stat(join(dir, 'a/b/c/file')), 'ENOENT')
    await mkdir(join(dir, 'a/b/c'), { recursive: true })
    deepEqual(await readdir(join(dir, 'a/b/c')), [])
    await rename(join(dir, 'z'), join(dir, 'a/b/c/z'))
    equal(await readFile(join(dir, 'a/b/c/z/b/c/file'), 'utf8'), 'x')
  },

  'mv -n does not replace what is there': needing(['mv'], async dir => {
    await writeFile(join(dir, 'from'), 'from')
    await writeFile(join(dir, 'to'), 'to')
    await run(dir, 'mv', ['-n', 'from', 'to']).catch(() => '') // later ones say that they did nothing
    equal(await readFile(join(dir, 'to'), 'utf8'), 'to')
    equal(await readFile(join(dir, 'from'), 'utf8'), 'from')
    await run(dir, 'mv', ['-n', 'from', 'free'])
    equal(await readFile(join(dir, 'free'), 'utf8'), 'from')
    deepEqual((await readdir(dir)).sort(), ['free', 'to'])
  }),
}
