// Several who use one file at the same time, in one kernel.

import { deepEqual, equal, ok } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { open, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { needing, type Rules } from './rule.ts'
import { ended, run, sh, started } from './shell.ts'

export const shared: Rules = {
  async 'two descriptors see each other at once'(dir) {
    const path = join(dir, 'file')
    await using one = await open(path, 'w+')
    await using two = await open(path, 'r+')
    for (let i = 0; i < 50; i++) {
      const [writer, reader] = i % 2 === 0 ? [one, two] : [two, one]
      const data = randomBytes(5000)
      await writer.write(data, 0, 5000, i * 4321)
      const { buffer } = await reader.read(Buffer.alloc(5000), 0, 5000, i * 4321)
      ok(data.equals(buffer))
      equal((await reader.stat()).size, i * 4321 + 5000)
      equal((await stat(path)).size, i * 4321 + 5000)
    }
    await one.truncate(100)
    equal((await two.stat()).size, 100)
    equal((await two.read(Buffer.alloc(200), 0, 200, 0)).bytesRead, 100)
  },

  async 'two processes see each other at once'(dir) {
    const child = started(dir, 'sh', [
      '-c',
      'while read -r word; do printf "%s" "$word" >file; echo done; done',
    ])
    child.stderr!.resume()
    for (const word of ['one', 'two', 'a longer one', 'x']) {
      child.stdin!.write(`${word}\n`)
      await once(child.stdout!, 'data')
      equal(await readFile(join(dir, 'file'), 'utf8'), word)
    }
    child.stdin!.end()
    await once(child, 'close')
  },

  async 'lines that two processes append are all there, none of them torn'(dir) {
    const script = `exec >>log; i=0; while [ $i -lt 300 ]; do echo "$NAME $i ${'-'.repeat(50)}"; i=$((i + 1)); done`
    const both = ['one', 'two'].map(name => sh(dir, script, { env: { NAME: name } }))
    for (let i = 0; i < 100; i++)
      await writeFile(join(dir, 'log'), `three ${i} ${'-'.repeat(50)}\n`, { flag: 'a' })
    await Promise.all(both)
    const lines = (await readFile(join(dir, 'log'), 'utf8')).trim().split('\n')
    for (const [name, count] of Object.entries({ one: 300, two: 300, three: 100 }))
      deepEqual(
        lines.filter(line => line.startsWith(`${name} `)),
        Array.from({ length: count }, (_, i) => `${name} ${i} ${'-'.repeat(50)}`),
      )
    equal(lines.length, 700)
  },

  'several who write to different places of one file all find their bytes': needing(['dd'], async dir => {
    const [block, writers, rounds] = [4093, 4, 15]
    const parts = Array.from({ length: writers }, () => randomBytes(block * rounds))
    for (const [i, part] of parts.entries()) await writeFile(join(dir, `part-${i}`), part)
    await writeFile(join(dir, 'file'), '')
    const script = `i=0; while [ $i -lt ${rounds} ]; do
        dd if=part-$ME of=file bs=${block} skip=$i seek=$((i * ${writers} + ME)) count=1 conv=notrunc status=none
        i=$((i + 1)); done`
    await Promise.all(parts.map((_, i) => sh(dir, script, { env: { ME: `${i}` } })))
    const all = await readFile(join(dir, 'file'))
    equal(all.length, block * writers * rounds)
    for (let i = 0; i < writers * rounds; i++) {
      const from = Math.floor(i / writers) * block
      const want = parts[i % writers]!.subarray(from, from + block)
      ok(want.equals(all.subarray(i * block, (i + 1) * block)), `block ${i}`)
    }
  }),

  async 'many writes and reads of one file at once are each whole'(dir) {
    const pieces = Array.from({ length: 200 }, () => randomBytes(6000))
    await using file = await open(join(dir, 'file'), 'w+')
    await Promise.all(pieces.map((piece, i) => file.write(piece, 0, piece.length, i * piece.length)))
    await Promise.all(
      pieces.map(async (piece, i) => {
        const { buffer } = await file.read(Buffer.alloc(6000), 0, 6000, i * 6000)
        ok(piece.equals(buffer), `piece ${i}`)
      }),
    )
    equal((await stat(join(dir, 'file'))).size, 200 * 6000)
  },

  async 'a file that is cut while others write to it has the size that came last'(dir) {
    const path = join(dir, 'file')
    await writeFile(path, '')
    await using file = await open(path, 'r+')
    for (let i = 0; i < 30; i++) {
      await Promise.all([file.write(randomBytes(9000), 0, 9000, 0), truncate(path, 5000), file.sync()])
      const { size } = await file.stat()
      ok(size === 9000 || size === 5000, `${size}`)
      await truncate(path, 0)
      equal((await file.stat()).size, 0)
    }
  },

  'a lock of one process holds off another, and goes with it': needing(['flock'], async dir => {
    await writeFile(join(dir, 'lock'), '')
    const holder = started(dir, 'flock', ['lock', 'sh', '-c', 'echo held; read go'])
    holder.stderr!.resume()
    await once(holder.stdout!, 'data')
    equal((await ended(dir, 'flock', ['-n', 'lock', 'true'])).status, 1)
    equal((await ended(dir, 'flock', ['-n', '-s', 'lock', 'true'])).status, 1)
    const waiting = run(dir, 'flock', ['lock', 'echo', 'mine'])
    holder.stdin!.end()
    equal(await waiting, 'mine\n')
    await run(dir, 'flock', ['-s', 'lock', 'flock', '-n', '-s', 'lock', 'true'])
  }),

  'a lock of a range holds off another process': needing(['sqlite3'], async dir => {
    await run(dir, 'sqlite3', ['base.db', 'create table t(a); insert into t values(1);'])
    const holder = started(dir, 'sqlite3', ['base.db'])
    holder.stderr!.resume()
    holder.stdin!.write('begin exclusive; select a from t;\n')
    await once(holder.stdout!, 'data')
    const second = await ended(dir, 'sqlite3', ['base.db', 'insert into t values(2);'])
    ok(second.status !== 0 && second.stderr.includes('locked'), second.stderr)
    holder.stdin!.end('commit;\n')
    await once(holder, 'close')
    await run(dir, 'sqlite3', ['base.db', 'insert into t values(3);'])
    equal(await run(dir, 'sqlite3', ['base.db', 'select a from t order by a;']), '1\n3\n')
  }),
}
