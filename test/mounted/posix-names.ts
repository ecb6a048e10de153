// Names and directories.

import { deepEqual, equal, ok } from 'node:assert/strict'
import {
  access,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { type Rules, refused } from './rule.ts'
import { sh, started } from './shell.ts'

/** Names of one directory that a careless program stumbles over. */
const odd = [
  ' blanks  around ',
  '-rf',
  '...',
  '.hidden',
  'two\nlines',
  'tab\tand\rreturn',
  'back\\slash "quoted" \'twice\'',
  '* ? [a] {b} $HOME `c` ; & | < >',
  'a % b + c & d # e ? f = g ; h %2e%2e%2f',
  'größe 日本語 \u{1f600}',
  '\u0001\u007f',
  '~',
]

export const names: Rules = {
  async 'a directory keeps its inode and what is in it across rename'(dir) {
    await mkdir(join(dir, 'a'))
    await writeFile(join(dir, 'a/before'), 'x')
    const { ino } = await stat(join(dir, 'a'))
    await rename(join(dir, 'a'), join(dir, 'b'))
    await writeFile(join(dir, 'b/after'), 'y')
    deepEqual((await readdir(join(dir, 'b'))).sort(), ['after', 'before'])
    equal((await stat(join(dir, 'b'))).ino, ino)
    await refused(stat(join(dir, 'a')), 'ENOENT')
    await refused(readFile(join(dir, 'a/before')), 'ENOENT')
  },

  async 'a missing name is ENOENT, and a file in the middle of a path ENOTDIR'(dir) {
    await writeFile(join(dir, 'file'), 'x')
    for (const path of ['missing', 'missing/below']) {
      await refused(stat(join(dir, path)), 'ENOENT')
      await refused(open(join(dir, path)), 'ENOENT')
      await refused(unlink(join(dir, path)), 'ENOENT')
      await refused(rmdir(join(dir, path)), 'ENOENT')
      await refused(rename(join(dir, path), join(dir, 'other')), 'ENOENT')
    }
    for (const path of ['file/below', 'file/']) await refused(stat(`${dir}/${path}`), 'ENOTDIR')
    await refused(mkdir(join(dir, 'file/below')), 'ENOTDIR')
    await refused(readdir(join(dir, 'file')), 'ENOTDIR')
    deepEqual(await readdir(dir), ['file'])
  },

  async 'a name is there once it is made, and not before nor after'(dir) {
    const path = join(dir, 'name')
    for (let turn = 0; turn < 20; turn++) {
      await refused(stat(path), 'ENOENT')
      if (turn % 2 === 0) await writeFile(path, `${turn}`)
      else await mkdir(path)
      equal((await stat(path)).isDirectory(), turn % 2 === 1)
      deepEqual(await readdir(dir), ['name'])
      await rm(path, { recursive: true })
      deepEqual(await readdir(dir), [])
    }
  },

  async 'a taken name is EEXIST, whatever has it'(dir) {
    await mkdir(join(dir, 'directory'))
    await writeFile(join(dir, 'file'), 'x')
    for (const name of ['directory', 'file']) {
      await refused(mkdir(join(dir, name)), 'EEXIST')
      await refused(open(join(dir, name), 'wx'), 'EEXIST')
    }
    equal(await readFile(join(dir, 'file'), 'utf8'), 'x')
  },

  async 'a directory is removed only as one, and only when it is empty'(dir) {
    await mkdir(join(dir, 'full/inner'), { recursive: true })
    await writeFile(join(dir, 'file'), 'x')
    await refused(rmdir(join(dir, 'full')), 'ENOTEMPTY', 'EEXIST')
    await refused(unlink(join(dir, 'full/inner')), 'EISDIR', 'EPERM')
    await refused(rmdir(join(dir, 'file')), 'ENOTDIR')
    await refused(rmdir(`${dir}/full/.`), 'EINVAL')
    await refused(rmdir(`${dir}/full/inner/..`), 'ENOTEMPTY', 'EEXIST')
    await rmdir(join(dir, 'full/inner'))
    await rmdir(join(dir, 'full'))
    deepEqual(await readdir(dir), ['file'])
  },

  async 'a file is no directory, and a directory no file'(dir) {
    await mkdir(join(dir, 'directory'))
    await refused(open(join(dir, 'directory'), 'r+'), 'EISDIR')
    await refused(open(join(dir, 'directory'), 'w'), 'EISDIR')
    await refused(readFile(join(dir, 'directory')), 'EISDIR')
    await refused(writeFile(join(dir, 'directory'), 'x'), 'EISDIR')
    ok((await lstat(join(dir, 'directory'))).isDirectory())
  },

  async '.. leads back, also from a directory that has moved'(dir) {
    await mkdir(join(dir, 'one/inner'), { recursive: true })
    await mkdir(join(dir, 'two'))
    const ino = async (path: string) => (await stat(`${dir}/${path}`)).ino
    equal(await ino('one/inner/..'), await ino('one'))
    equal(await ino('one/inner/../..'), (await stat(dir)).ino)
    await rename(join(dir, 'one/inner'), join(dir, 'two/inner'))
    equal(await ino('two/inner/..'), await ino('two'))
    equal(await ino('two/inner/./../inner/..'), await ino('two'))
    equal(await realpath(`${dir}/two/inner/../../one`), join(await realpath(dir), 'one'))
  },

  async 'a name of 255 bytes is kept, and one of 256 is ENAMETOOLONG'(dir) {
    const longest = ['n'.repeat(255), '日'.repeat(85), `${'\u{1f600}'.repeat(63)}xyz`]
    for (const name of longest) {
      await writeFile(join(dir, name), name)
      await refused(stat(join(dir, `${name}n`)), 'ENAMETOOLONG')
      await refused(writeFile(join(dir, `${name}n`), ''), 'ENAMETOOLONG')
      await refused(mkdir(join(dir, `${name}n`)), 'ENAMETOOLONG')
      await refused(rename(join(dir, name), join(dir, `${name}n`)), 'ENAMETOOLONG')
    }
    deepEqual((await readdir(dir)).sort(), longest.sort())
    for (const name of longest) equal(await readFile(join(dir, name), 'utf8'), name)
    await rename(join(dir, longest[0]!), join(dir, 'm'.repeat(255)))
    await rm(join(dir, 'm'.repeat(255)))
  },

  async 'names of any characters are shown as they were made'(dir) {
    for (const name of odd) await writeFile(`${dir}/${name}`, name)
    deepEqual((await readdir(dir)).sort(), [...odd].sort())
    for (const name of odd) equal(await readFile(`${dir}/${name}`, 'utf8'), name)
    for (const name of odd) await rename(`${dir}/${name}`, `${dir}/${name}${name}`)
    for (const name of odd) await unlink(`${dir}/${name}${name}`)
    deepEqual(await readdir(dir), [])
  },

  async 'a name is shown in the normal form that it was made in'(dir) {
    const name = 'Crème brûlée'
    for (const form of ['NFC', 'NFD']) {
      await mkdir(join(dir, form))
      const made = join(dir, form, name.normalize(form))
      await writeFile(made, form)
      deepEqual(await readdir(join(dir, form)), [name.normalize(form)])
      equal(await readFile(made, 'utf8'), form)
      await rename(made, `${made}2`)
      await rename(`${made}2`, made)
      deepEqual(await readdir(join(dir, form)), [name.normalize(form)])
      await unlink(made)
      await refused(stat(made), 'ENOENT')
      await rmdir(join(dir, form))
    }
  },

  async 'names that differ in case are two'(dir) {
    await writeFile(join(dir, 'Name'), 'upper')
    await writeFile(join(dir, 'name'), 'lower')
    deepEqual((await readdir(dir)).sort(), ['Name', 'name'])
    equal(await readFile(join(dir, 'Name'), 'utf8'), 'upper')
  },

  async 'a path of thirty levels is walked, listed and removed'(dir) {
    const levels = Array.from({ length: 30 }, (_, i) => `level ${i}`)
    const deepest = join(dir, ...levels)
    await mkdir(deepest, { recursive: true })
    await writeFile(join(deepest, 'treasure'), 'x')
    const found = await readdir(dir, { recursive: true })
    equal(found.length, 31)
    await access(join(deepest, ...levels.map(() => '..'), ...levels, 'treasure'))
    await rm(join(dir, 'level 0'), { recursive: true })
    deepEqual(await readdir(dir), [])
  },

  async 'a working directory that moved is found under its new name'(dir) {
    await mkdir(join(dir, 'old/inner'), { recursive: true })
    const said = await sh(join(dir, 'old/inner'), 'mv ../../old ../../new; echo x >made; /bin/pwd; ls ..')
    equal(said, `${await realpath(join(dir, 'new/inner'))}\ninner\n`)
    equal(await readFile(join(dir, 'new/inner/made'), 'utf8'), 'x\n')
  },

  async 'a directory that somebody is in can be removed, and nothing is made in it any more'(dir) {
    await mkdir(join(dir, 'left'))
    const inside = started(join(dir, 'left'), 'sh', ['-c', 'read go; : >made && exit 9; : >../made'])
    const left = new Promise<number | null>(resolve => inside.on('close', resolve))
    inside.stderr!.resume()
    await rmdir(join(dir, 'left'))
    inside.stdin!.end('go\n')
    await left // whether it may still leave by .. is the file system's own affair
    await rm(join(dir, 'made'), { force: true })
    await refused(stat(join(dir, 'left')), 'ENOENT')
    await mkdir(join(dir, 'left'))
    deepEqual(await readdir(join(dir, 'left')), [])
    equal(inside.exitCode === 9, false, 'a name was made in a directory that had been removed')
  },
}
