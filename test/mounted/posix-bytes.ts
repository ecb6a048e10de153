// Reading and writing: sizes, places, holes, cutting and growing.

import { deepEqual, equal, ok } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { constants, copyFile, open, readFile, rm, stat, truncate, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { needing, type Rules, refused } from './rule.ts'
import { ended, run, started } from './shell.ts'

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = constants

/** Around what is a block, a page, or a request somewhere. */
const sizes = [0, 1, 511, 512, 513, 4095, 4096, 4097, 65_535, 65_536, 131_072, 131_073, 1_048_577, 5_000_001]

export const bytes: Rules = {
  async 'every size comes back as it was written'(dir) {
    for (const size of sizes) {
      const data = randomBytes(size)
      await writeFile(join(dir, `size-${size}`), data)
      equal((await stat(join(dir, `size-${size}`))).size, size)
      ok(data.equals(await readFile(join(dir, `size-${size}`))), `${size} bytes`)
    }
  },

  async 'reading in odd pieces, forwards and backwards, is reading the whole'(dir) {
    const data = randomBytes(1_000_003)
    await writeFile(join(dir, 'file'), data)
    await using file = await open(join(dir, 'file'))
    for (const piece of [4093, 65_537, 300_000]) {
      const places = Array.from({ length: Math.ceil(data.length / piece) }, (_, i) => i * piece)
      for (const position of [...places, ...places.reverse()]) {
        const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(piece), position })
        ok(data.subarray(position, position + piece).equals(buffer.subarray(0, bytesRead)), `at ${position}`)
      }
    }
  },

  async 'writes of every length land where they should, over and beside each other'(dir) {
    const want = Buffer.alloc(300_000)
    await using file = await open(join(dir, 'file'), 'w+')
    await file.truncate(want.length)
    for (let i = 0; i < 200; i++) {
      const length = 1 + (randomBytes(4).readUInt32BE() % 20_000)
      const position = randomBytes(4).readUInt32BE() % (want.length - length)
      const data = randomBytes(length)
      data.copy(want, position)
      await file.write(data, 0, length, position)
    }
    ok(want.equals(await readFile(join(dir, 'file'))))
  },

  async 'a thousand small pieces written at once are one file'(dir) {
    const pieces = Array.from({ length: 1000 }, (_, i) => randomBytes(i))
    const file = await open(join(dir, 'file'), 'w')
    const { bytesWritten } = await file.writev(pieces)
    await file.close()
    const want = Buffer.concat(pieces)
    equal(bytesWritten, want.length)
    ok(want.equals(await readFile(join(dir, 'file'))))
  },

  async 'reading at the end and beyond gives nothing'(dir) {
    await writeFile(join(dir, 'file'), 'ten bytes.')
    await using file = await open(join(dir, 'file'))
    for (const [position, count] of [
      [9, 1],
      [10, 0],
      [11, 0],
      [5_000_000_000, 0],
    ] as const)
      equal((await file.read(Buffer.alloc(100), 0, 100, position)).bytesRead, count)
  },

  async 'a write of nothing changes nothing'(dir) {
    await writeFile(join(dir, 'file'), 'x')
    const before = await stat(join(dir, 'file'), { bigint: true })
    await using file = await open(join(dir, 'file'), 'r+')
    equal((await file.write(Buffer.alloc(0), 0, 0, 1000)).bytesWritten, 0)
    const after = await file.stat({ bigint: true })
    deepEqual([after.size, after.mtimeNs], [1n, before.mtimeNs])
  },

  async 'a write beyond the end leaves zeros before it'(dir) {
    for (const hole of [1, 4095, 4096, 100_000, 3_000_000]) {
      const path = join(dir, `hole-${hole}`)
      await writeFile(path, 'begin')
      const file = await open(path, 'r+')
      await file.write('end', 5 + hole)
      await file.close()
      const want = Buffer.concat([Buffer.from('begin'), Buffer.alloc(hole), Buffer.from('end')])
      ok(want.equals(await readFile(path)), `${hole} bytes`)
    }
  },

  async 'what is cut off shows as zeros when the file grows again'(dir) {
    const path = join(dir, 'file')
    for (const [size, cut, grown] of [
      [10, 3, 10],
      [10_000, 4097, 9000],
      [10_000, 0, 5000],
      [200_000, 65_537, 300_000],
      [3_000_000, 1_048_577, 2_999_999],
    ] as const) {
      const data = randomBytes(size)
      const want = Buffer.alloc(grown)
      data.copy(want, 0, 0, cut)
      await writeFile(path, data)
      await truncate(path, cut)
      equal((await stat(path)).size, cut)
      await truncate(path, grown)
      ok(want.equals(await readFile(path)), `by path, ${size}, ${cut}, ${grown}`)
      const file = await open(path, 'w+')
      await file.write(data)
      await file.truncate(cut)
      await file.truncate(grown)
      equal((await file.stat()).size, grown)
      ok(want.equals(await readFile(path)), `by descriptor, ${size}, ${cut}, ${grown}`)
      await file.close()
    }
  },

  async 'a file may have holes and more than 4 GiB'(dir) {
    const path = join(dir, 'large')
    const end = 5 * 2 ** 30 + 7
    const file = await open(path, 'w+')
    await file.write('across', 2 ** 32 - 3)
    await file.write('end', end - 3)
    equal((await stat(path)).size, end)
    const at = async (position: number, length: number): Promise<string> =>
      (await file.read(Buffer.alloc(length), 0, length, position)).buffer.toString('latin1')
    equal(await at(2 ** 32 - 5, 10), '\0\0across\0\0')
    equal(await at(2 ** 31, 3), '\0\0\0')
    equal(await at(end - 4, 4), '\0end')
    await file.truncate(2 ** 32)
    equal(await at(2 ** 32 - 5, 5), '\0\0acr')
    equal((await file.stat()).size, 2 ** 32)
    await file.close()
    await rm(path)
  },

  async 'what is appended goes to the end, whatever was read or written elsewhere'(dir) {
    const path = join(dir, 'file')
    await writeFile(path, 'one ')
    await using file = await open(path, 'a+')
    equal((await file.read(Buffer.alloc(3), 0, 3, 0)).buffer.toString(), 'one')
    await file.write('two ')
    await writeFile(path, 'three ', { flag: 'a' })
    await file.write('four')
    equal(await readFile(path, 'utf8'), 'one two three four')
    await truncate(path, 3)
    await file.write('!')
    equal(await readFile(path, 'utf8'), 'one!')
  },

  async 'O_TRUNC empties a file, also for whoever has it open'(dir) {
    const path = join(dir, 'file')
    await writeFile(path, 'a'.repeat(10_000))
    const { ino } = await stat(path)
    await using reader = await open(path)
    const writer = await open(path, O_WRONLY | O_TRUNC)
    equal((await reader.stat()).size, 0)
    equal((await reader.read(Buffer.alloc(10), 0, 10, 0)).bytesRead, 0)
    await writer.write('b')
    await writer.close()
    equal((await reader.read(Buffer.alloc(10), 0, 10, 0)).bytesRead, 1)
    equal((await stat(path)).ino, ino)
    equal(await readFile(path, 'utf8'), 'b')
  },

  async 'O_CREAT makes a file once, O_EXCL refuses the second, and O_NOFOLLOW a symlink'(dir) {
    const path = join(dir, 'file')
    await using first = await open(path, O_RDWR | O_CREAT | O_EXCL, 0o600)
    await first.write('first')
    await refused(open(path, O_RDWR | O_CREAT | O_EXCL), 'EEXIST')
    await using again = await open(path, O_RDWR | O_CREAT)
    equal((await again.readFile()).toString(), 'first')
    await run(dir, 'ln', ['-s', 'nowhere', 'dangling'])
    await refused(open(join(dir, 'dangling'), O_RDWR | O_CREAT | O_EXCL), 'EEXIST')
    await refused(open(join(dir, 'dangling'), O_RDONLY | O_NOFOLLOW), 'ELOOP')
    await refused(open(join(dir, 'dangling')), 'ENOENT')
    await writeFile(join(dir, 'dangling'), 'made through it')
    equal(await readFile(join(dir, 'nowhere'), 'utf8'), 'made through it')
  },

  async 'a file that may not be written when it is made can be written by who made it'(dir) {
    const path = join(dir, 'file')
    const file = await open(path, 'wx', 0o400)
    await file.write('once') // git and tar do so
    await file.close()
    equal(await readFile(path, 'utf8'), 'once')
    equal((await stat(path)).mode & 0o777, 0o400)
  },

  async 'fsync and fdatasync of a file succeed, and fsync of a directory'(dir) {
    const path = join(dir, 'file')
    await using file = await open(path, 'w')
    for (let i = 0; i < 10; i++) {
      await file.write(randomBytes(10_000))
      await (i % 2 === 0 ? file.sync() : file.datasync())
    }
    await using above = await open(dir)
    await above.sync()
    await using reader = await open(path)
    await reader.sync()
    equal((await reader.stat()).size, 100_000)
  },

  async 'a file is copied byte for byte, and not over another one that must stay'(dir) {
    const data = randomBytes(1_234_567)
    await writeFile(join(dir, 'from'), data)
    await copyFile(join(dir, 'from'), join(dir, 'to'))
    await copyFile(join(dir, 'from'), join(dir, 'to'), constants.COPYFILE_FICLONE)
    await refused(copyFile(join(dir, 'from'), join(dir, 'to'), constants.COPYFILE_EXCL), 'EEXIST')
    ok(data.equals(await readFile(join(dir, 'to'))))
  },

  'direct reads and writes agree with those through the cache': needing(['dd'], async dir => {
    const data = randomBytes(2 ** 20)
    await writeFile(join(dir, 'file'), data)
    const block = randomBytes(8192)
    await writeFile(join(dir, 'block'), block)
    await run(dir, 'dd', 'if=block of=file bs=4096 seek=7 oflag=direct conv=notrunc'.split(' '))
    block.copy(data, 7 * 4096)
    ok(data.equals(await readFile(join(dir, 'file'))))
    await using file = await open(join(dir, 'file'), 'r+')
    await file.write('through the cache', 100_000)
    data.write('through the cache', 100_000)
    await run(dir, 'dd', 'if=file of=copy bs=64k iflag=direct'.split(' '))
    ok(data.equals(await readFile(join(dir, 'copy'))))
  }),

  'what is mapped is what is written and read': needing(['xfs_io'], async dir => {
    const data = randomBytes(50_000)
    await writeFile(join(dir, 'file'), data)
    await using file = await open(join(dir, 'file'), 'r+')
    const mapped = (...commands: string[]): Promise<string> =>
      run(dir, 'xfs_io', [...commands.flatMap(command => ['-c', command]), 'file'])
    await mapped('mmap -rw 0 50000', 'mwrite -S 0x61 4000 5000', 'mwrite -S 0x62 40000 9999', 'msync -s')
    data.fill('a', 4000, 9000).fill('b', 40_000, 49_999)
    ok(data.equals(await readFile(join(dir, 'file'))), 'mapped writing, then reading')
    await mapped('mmap -rw 0 50000', 'mwrite -S 0x63 10000 10') // without msync
    data.fill('c', 10_000, 10_010)
    ok(data.equals(await readFile(join(dir, 'file'))), 'mapped writing without msync, then reading')
    await file.write('dddd', 20_000)
    const seen = await mapped('mmap -r 0 50000', 'mread -v 19998 8')
    const hex = [data[19_998], data[19_999], 100, 100, 100, 100, data[20_004], data[20_005]]
    ok(seen.includes(hex.map(byte => byte!.toString(16).padStart(2, '0')).join(' ')), seen)
    equal((await file.stat()).size, 50_000)
  }),

  'what is mapped stays when the file is removed': needing(['xfs_io'], async dir => {
    await writeFile(join(dir, 'file'), 'x'.repeat(10_000))
    const mapping = started(dir, 'xfs_io', ['file'])
    mapping.stdin!.write('mmap -rw 0 10000\n')
    while (!(await readFile(`/proc/${mapping.pid}/maps`, 'utf8')).includes(join(dir, 'file'))) await sleep(10)
    await unlink(join(dir, 'file'))
    mapping.stdin!.end('mwrite -S 0x79 5000 2\nmsync -s\nmread -v 4999 4\nquit\n')
    const seen = (await mapping.stdout!.setEncoding('utf8').toArray()).join('')
    ok(seen.includes('78 79 79 78'), seen)
    await refused(stat(join(dir, 'file')), 'ENOENT')
  }),

  'room that is asked for beforehand, and a hole that is to be made, are there or refused properly': needing(
    ['xfs_io'],
    async dir => {
      const data = randomBytes(100_000)
      await writeFile(join(dir, 'file'), data)
      for (const command of ['falloc -k 0 200000', 'falloc 0 200000', 'fpunch 8192 8192', 'fzero 0 4096']) {
        const { status, stdout, stderr } = await ended(dir, 'xfs_io', ['-c', command, 'file'])
        const said = stdout + stderr
        if (said !== '') {
          ok(said.includes('Operation not supported'), `${command}: ${status}, ${said}`)
          continue
        }
        if (command.startsWith('fpunch')) data.fill(0, 8192, 16_384)
        if (command.startsWith('fzero')) data.fill(0, 0, 4096)
      }
      const { size } = await stat(join(dir, 'file'))
      ok(size === 100_000 || size === 200_000)
      ok(Buffer.concat([data, Buffer.alloc(size - 100_000)]).equals(await readFile(join(dir, 'file'))))
    },
  ),
}
