// Files that are open while their names change or go.

import { deepEqual, equal, ok } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import {
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rmdir,
  stat,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Rules, refused } from './rule.ts'
import { sh } from './shell.ts'

/** Longer than a mount waits before it takes a file for complete, and a client for what it has cached. */
const idleMs = 4000

async function contentOf(file: FileHandle): Promise<string> {
  const { size } = await file.stat()
  const { buffer, bytesRead } = await file.read(Buffer.alloc(size + 1), 0, size + 1, 0)
  return buffer.toString('utf8', 0, bytesRead)
}

export const openFiles: Rules = {
  async 'a removed file reads, writes and shrinks on through what has it open'(dir) {
    const path = join(dir, 'file')
    await writeFile(path, 'before ')
    const file = await open(path, 'r+')
    await unlink(path)
    await refused(stat(path), 'ENOENT')
    equal(await contentOf(file), 'before ')
    await file.write('after', 7)
    equal(await contentOf(file), 'before after')
    await file.truncate(3)
    await file.chmod(0o640)
    await file.utimes(1, 2)
    await file.sync()
    equal(await contentOf(file), 'bef')
    const { mtimeMs, mode } = await file.stat()
    deepEqual([mtimeMs, mode & 0o777], [2000, 0o640])
    await file.close()
    deepEqual(await readdir(dir), [])
  },

  async 'a temporary file has its name removed first and is used after'(dir) {
    const data = randomBytes(1_500_000)
    const file = await open(join(dir, 'tmp'), 'wx+', 0o600)
    await unlink(join(dir, 'tmp'))
    await file.write(data)
    await file.sync()
    const { buffer } = await file.read(Buffer.alloc(data.length), 0, data.length, 0)
    ok(data.equals(buffer))
    await file.close()
    deepEqual(await readdir(dir), [])
  },

  async 'a replaced file is what it was for whoever has it open, and the new one for others'(dir) {
    await writeFile(join(dir, 'file'), 'old')
    await using old = await open(join(dir, 'file'), 'r+')
    await writeFile(join(dir, 'new'), 'new')
    await rename(join(dir, 'new'), join(dir, 'file'))
    await old.write(' and written to', 3)
    equal(await contentOf(old), 'old and written to')
    equal(await readFile(join(dir, 'file'), 'utf8'), 'new')
  },

  async 'a file that is open follows its names, and those of the directories above'(dir) {
    await mkdir(join(dir, 'a/b'), { recursive: true })
    await using file = await open(join(dir, 'a/b/file'), 'w+')
    await file.write('one ')
    await rename(join(dir, 'a/b/file'), join(dir, 'a/b/moved'))
    await file.write('two ')
    await rename(join(dir, 'a/b'), join(dir, 'c'))
    await file.write('three')
    equal(await readFile(join(dir, 'c/moved'), 'utf8'), 'one two three')
    await writeFile(join(dir, 'c/moved'), 'written anew')
    equal(await contentOf(file), 'written anew')
  },

  async 'files that were removed under one name one after the other are each their own'(dir) {
    const path = join(dir, 'file')
    const files = []
    for (let i = 0; i < 5; i++) {
      const file = await open(path, 'wx+')
      await file.write(`number ${i}`)
      await unlink(path)
      files.push(file)
    }
    await writeFile(path, 'the one that stays')
    for (const [i, file] of files.entries()) {
      await file.write('!', 8)
      equal(await contentOf(file), `number ${i}!`)
      await file.close()
    }
    equal(await readFile(path, 'utf8'), 'the one that stays')
    deepEqual(await readdir(dir), ['file'])
  },

  async 'what is removed, replaced or renamed while it is open stays what it is, however long it is idle'(
    dir,
  ) {
    const opened = async (name: string): Promise<FileHandle> => {
      const file = await open(join(dir, name), 'wx+')
      await file.write(`${name} before `)
      return file
    }
    await mkdir(join(dir, 'sub'))
    const removed = await opened('removed')
    const unwritten = await open(join(dir, 'unwritten'), 'wx+')
    const replaced = await opened('replaced')
    const renamed = await opened('renamed')
    const linked = await opened('linked')
    const below = await opened('sub/below')
    await unlink(join(dir, 'removed'))
    await unlink(join(dir, 'unwritten'))
    await writeFile(join(dir, 'other'), 'the other')
    await rename(join(dir, 'other'), join(dir, 'replaced'))
    await rename(join(dir, 'renamed'), join(dir, 'sub/renamed'))
    await link(join(dir, 'linked'), join(dir, 'sub/linked'))
    await unlink(join(dir, 'linked'))
    await rename(join(dir, 'sub'), join(dir, 'moved'))
    const all = { removed, replaced, renamed, linked, 'sub/below': below }
    const times = await Promise.all(Object.values(all).map(async file => (await file.stat()).mtimeMs))

    await sleep(idleMs)
    for (const [name, file] of Object.entries(all)) equal(await contentOf(file), `${name} before `)
    deepEqual(await Promise.all(Object.values(all).map(async file => (await file.stat()).mtimeMs)), times)
    equal(await contentOf(unwritten), '')
    for (const file of Object.values(all)) await file.appendFile('after')
    await unwritten.write('after all')
    await removed.sync()

    await sleep(idleMs / 2)
    for (const [name, file] of Object.entries(all)) equal(await contentOf(file), `${name} before after`)
    equal(await contentOf(unwritten), 'after all')
    equal(await readFile(join(dir, 'replaced'), 'utf8'), 'the other')
    equal(await readFile(join(dir, 'moved/renamed'), 'utf8'), 'renamed before after')
    equal(await readFile(join(dir, 'moved/linked'), 'utf8'), 'linked before after')
    equal(await readFile(join(dir, 'moved/below'), 'utf8'), 'sub/below before after')
    for (const file of [unwritten, ...Object.values(all)]) await file.close()
    const names = async () => (await readdir(dir)).sort()
    // Over NFS what was removed while it was open goes a moment after it is closed.
    for (let tries = 0; tries < 100 && (await names()).length > 2; tries++) await sleep(100)
    deepEqual(await names(), ['moved', 'replaced'])
  },

  async 'a file that is removed in several processes at once is there for each of them until its end'(dir) {
    await writeFile(join(dir, 'file'), 'x'.repeat(10_000))
    await using file = await open(join(dir, 'file'), 'r+')
    const script = 'exec 4<>file; rm -f file; cat <&3 | wc -c; printf end >&4; cat <&4 | wc -c'
    const said = await sh(dir, script, { inherit: [file.fd] })
    deepEqual(said.trim().split(/\s+/), ['10000', '9997'])
    equal((await contentOf(file)).slice(0, 4), 'endx')
  },

  async 'a directory in which an open file was removed can be removed after it was closed'(dir) {
    await mkdir(join(dir, 'sub'))
    const file = await open(join(dir, 'sub/file'), 'wx')
    await unlink(join(dir, 'sub/file'))
    await file.write('x')
    await file.close()
    await rmdir(join(dir, 'sub'))
    deepEqual(await readdir(dir), [])
  },

  async 'a reader at the end sees what is appended later'(dir) {
    await writeFile(join(dir, 'log'), 'one\n')
    await using reader = await open(join(dir, 'log'))
    const more = async (): Promise<string> => {
      const { buffer, bytesRead } = await reader.read(Buffer.alloc(100), 0, 100, null)
      return buffer.toString('utf8', 0, bytesRead)
    }
    equal(await more(), 'one\n')
    equal(await more(), '')
    for (const line of ['two\n', 'three\n']) {
      await writeFile(join(dir, 'log'), line, { flag: 'a' })
      equal(await more(), line)
      equal(await more(), '')
    }
  },

  async 'a hundred files are open at once, and each is its own'(dir) {
    const files = await Promise.all(
      Array.from({ length: 100 }, (_, i) => open(join(dir, `file-${i}`), 'wx+')),
    )
    await Promise.all(files.map((file, i) => file.write(`file ${i}`)))
    await Promise.all(files.map((_, i) => (i % 2 === 0 ? unlink(join(dir, `file-${i}`)) : null)))
    deepEqual(
      await Promise.all(files.map(contentOf)),
      files.map((_, i) => `file ${i}`),
    )
    await Promise.all(files.map(file => file.close()))
    equal((await readdir(dir)).length, 50)
  },
}
