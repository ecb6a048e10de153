// Second names of a file, and symlinks.

import { deepEqual, equal, ok } from 'node:assert/strict'
import {
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { type Rules, refused } from './rule.ts'

export const links: Rules = {
  async 'a second name is the same file, and each shows what was written through the other'(dir) {
    await mkdir(join(dir, 'sub'))
    await writeFile(join(dir, 'one'), 'first ')
    await link(join(dir, 'one'), join(dir, 'sub/two'))
    const [one, two] = [await stat(join(dir, 'one')), await stat(join(dir, 'sub/two'))]
    deepEqual([one.ino, one.nlink], [two.ino, 2])
    await writeFile(join(dir, 'sub/two'), 'second', { flag: 'a' })
    equal(await readFile(join(dir, 'one'), 'utf8'), 'first second')
    await unlink(join(dir, 'one'))
    equal(await readFile(join(dir, 'sub/two'), 'utf8'), 'first second')
    equal((await stat(join(dir, 'sub/two'))).nlink, 1)
  },

  async 'fifty names of one file go one by one'(dir) {
    await writeFile(join(dir, '0'), 'x')
    for (let i = 1; i < 50; i++) await link(join(dir, `${i - 1}`), join(dir, `${i}`))
    equal((await stat(join(dir, '7'))).nlink, 50)
    for (let i = 0; i < 49; i++) {
      await unlink(join(dir, `${i}`))
      equal((await stat(join(dir, '49'))).nlink, 49 - i)
    }
    equal(await readFile(join(dir, '49'), 'utf8'), 'x')
  },

  async 'a directory has no second name, and a taken name is not linked over'(dir) {
    await mkdir(join(dir, 'directory'))
    await writeFile(join(dir, 'file'), 'x')
    await writeFile(join(dir, 'taken'), 'y')
    await refused(link(join(dir, 'directory'), join(dir, 'second')), 'EPERM')
    await refused(link(join(dir, 'file'), join(dir, 'taken')), 'EEXIST')
    await refused(link(join(dir, 'missing'), join(dir, 'second')), 'ENOENT')
    equal(await readFile(join(dir, 'taken'), 'utf8'), 'y')
  },

  async 'one of two names is replaced, and the other stays'(dir) {
    await writeFile(join(dir, 'one'), 'kept')
    await link(join(dir, 'one'), join(dir, 'two'))
    await writeFile(join(dir, 'new'), 'new')
    await rename(join(dir, 'new'), join(dir, 'one'))
    equal(await readFile(join(dir, 'one'), 'utf8'), 'new')
    equal(await readFile(join(dir, 'two'), 'utf8'), 'kept')
    equal((await stat(join(dir, 'two'))).nlink, 1)
  },

  async 'a symlink keeps its target to the byte, up to the longest'(dir) {
    const targets = [
      'x',
      'größe/日本語',
      ' blank\nline ',
      '../../..',
      '/absolute',
      'x/'.repeat(500),
      't'.repeat(4095),
    ]
    for (const [i, target] of targets.entries()) {
      const path = join(dir, `link-${i}`)
      await symlink(target, path)
      equal(await readlink(path), target)
      const { size, nlink } = await lstat(path)
      deepEqual([size, nlink], [Buffer.byteLength(target), 1])
      ok((await lstat(path)).isSymbolicLink())
    }
    const kinds = await readdir(dir, { withFileTypes: true })
    ok(kinds.every(entry => entry.isSymbolicLink()))
    await refused(symlink('t'.repeat(4096), join(dir, 'too long')), 'ENAMETOOLONG')
  },

  async 'a symlink leads to what its target is at the time'(dir) {
    await mkdir(join(dir, 'sub/inner'), { recursive: true })
    await symlink('sub/inner/../file', join(dir, 'link'))
    await refused(stat(join(dir, 'link')), 'ENOENT')
    await writeFile(join(dir, 'sub/file'), 'one')
    equal(await readFile(join(dir, 'link'), 'utf8'), 'one')
    await writeFile(join(dir, 'link'), 'written through it')
    equal(await readFile(join(dir, 'sub/file'), 'utf8'), 'written through it')
    await rm(join(dir, 'sub/file'))
    await refused(readFile(join(dir, 'link')), 'ENOENT')
    await symlink('sub', join(dir, 'directory'))
    deepEqual(await readdir(join(dir, 'directory')), ['inner'])
    await unlink(join(dir, 'directory'))
    deepEqual(await readdir(join(dir, 'sub')), ['inner'])
  },

  async 'symlinks that lead in a circle are ELOOP, and can be removed'(dir) {
    await symlink('b', join(dir, 'a'))
    await symlink('a', join(dir, 'b'))
    await symlink('self', join(dir, 'self'))
    for (const name of ['a', 'b', 'self', 'a/below']) await refused(stat(join(dir, name)), 'ELOOP')
    for (const name of ['a', 'b', 'self']) await unlink(join(dir, name))
    deepEqual(await readdir(dir), [])
  },

  async 'a symlink is not made over a name, and what is no symlink has no target'(dir) {
    await writeFile(join(dir, 'file'), 'x')
    await symlink('file', join(dir, 'link'))
    for (const name of ['file', 'link']) await refused(symlink('y', join(dir, name)), 'EEXIST')
    await refused(readlink(join(dir, 'file')), 'EINVAL')
    await refused(readlink(dir), 'EINVAL')
  },
}
