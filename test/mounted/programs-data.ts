// Programs that keep one file: databases, editors, players.

import { deepEqual, equal, ok } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmod, open, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { needing, type Rules } from './rule.ts'
import { run, sh } from './shell.ts'

const rows = `with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000)
  insert into t(a, b) select i, hex(randomblob(40)) from n;`

/** A database of 2,000 rows in journal mode `mode`, changed, and looked through; two processes then add 40 rows each. */
async function database(dir: string, mode: 'delete' | 'wal'): Promise<void> {
  const sql = (text: string): Promise<string> => run(dir, 'sqlite3', ['-bail', 'base.db', text])
  equal((await sql(`pragma journal_mode = ${mode}; create table t(a, b);`)).trim(), mode)
  await sql(rows)
  await sql(
    'create index tb on t(b); update t set b = b || a where a % 7 = 0; delete from t where a % 11 = 0;',
  )
  await sql("begin; insert into t values(5000, 'kept'); commit; begin; delete from t; rollback;")
  equal(await sql('pragma integrity_check; select count(*) from t;'), 'ok\n1820\n')

  const adding = (from: number): Promise<string> => {
    const inserts = Array.from({ length: 40 }, (_, i) => `insert into t values(${from + i}, 'both');\n`)
    return run(dir, 'sqlite3', ['-bail', '-cmd', '.timeout 60000', 'base.db'], { input: inserts.join('') })
  }
  await Promise.all([adding(10_000), adding(20_000)])
  equal(await sql("pragma integrity_check; select count(*) from t where b = 'both';"), 'ok\n80\n')
  await sql('vacuum;')
  equal(await sql('pragma integrity_check; select count(*) from t;'), 'ok\n1900\n')
  deepEqual(await readdir(dir), ['base.db'])
}

export const data: Rules = {
  'sqlite keeps a database whole with a rollback journal, and for two processes': needing(['sqlite3'], dir =>
    database(dir, 'delete'),
  ),

  'sqlite keeps a database whole with a write-ahead log, and for two processes': needing(['sqlite3'], dir =>
    database(dir, 'wal'),
  ),

  'vim saves with a backup, with a swap file, by renaming and in place': needing(['vim'], async dir => {
    await writeFile(join(dir, 'text'), 'one\ntwo\n', { mode: 0o640 })
    await chmod(join(dir, 'text'), 0o640)
    const edit = (...commands: string[]): Promise<string> => {
      const all = ['set nocompatible backupskip=', 'set directory=. swapfile', ...commands, 'wq']
      return run(dir, 'vim', ['-u', 'NONE', '-i', 'NONE', '-es', ...all.flatMap(c => ['-c', c]), 'text'])
    }
    await edit('set backup backupdir=. backupcopy=no fsync', '%s/one/first/')
    equal(await readFile(join(dir, 'text'), 'utf8'), 'first\ntwo\n')
    equal(await readFile(join(dir, 'text~'), 'utf8'), 'one\ntwo\n')
    equal((await stat(join(dir, 'text'))).mode & 0o777, 0o640)
    await edit('set backup backupdir=. backupcopy=yes', '$put =range(1, 2000)', 'preserve')
    equal((await readFile(join(dir, 'text'), 'utf8')).split('\n').length, 2003)
    equal(await readFile(join(dir, 'text~'), 'utf8'), 'first\ntwo\n')
    await edit('set nobackup nowritebackup', '3,$d')
    equal(await readFile(join(dir, 'text'), 'utf8'), 'first\ntwo\n')
    deepEqual((await readdir(dir)).sort(), ['text', 'text~'])
  }),

  'sed -i, sort -o and install change a file in its place': needing(['sed', 'sort', 'install'], async dir => {
    await writeFile(join(dir, 'text'), 'b\na\nc\n', { mode: 0o755 })
    await sh(dir, 'sed -i.old s/a/z/ text; sort -o text text; install -m 600 text private')
    equal(await readFile(join(dir, 'text'), 'utf8'), 'b\nc\nz\n')
    equal(await readFile(join(dir, 'text.old'), 'utf8'), 'b\na\nc\n')
    equal((await stat(join(dir, 'private'))).mode & 0o777, 0o600)
    await sh(dir, 'mktemp ./XXXXXX; mktemp -d ./XXXXXX; tac text | sort | cmp - text')
    equal((await readdir(dir)).length, 5)
  }),

  async 'a player finds every part of a large file where it is'(dir) {
    const film = randomBytes(24 * 2 ** 20 + 12_345)
    await writeFile(join(dir, 'film'), film)
    const file = await open(join(dir, 'film'))
    const part = async (position: number, length: number): Promise<void> => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position)
      ok(film.subarray(position, position + length).equals(buffer.subarray(0, bytesRead)), `at ${position}`)
    }
    await part(0, 64 * 1024) // what it is
    await part(film.length - 100_000, 200_000) // the index at its end
    for (const minute of [0.5, 0.1, 0.9, 0.3, 0.75, 0]) {
      const from = Math.floor(film.length * minute)
      for (let i = 0; i < 20; i++) await part(from + i * 65_536, 65_536) // it plays a while
      await Promise.all([part(from + 5, 10), part(film.length - 4096, 4096), part(from + 2 ** 20, 300_000)])
    }
    await file.close()
    ok(film.equals(await readFile(join(dir, 'film'))))
  },

  'Python compiles, imports, maps and packs files': needing(['python3'], async dir => {
    const script = `
import compileall, mmap, os, shutil, sys, tempfile, zipfile
os.makedirs('package')
for i in range(20):
    open(f'package/m{i}.py', 'w').write(f'value = {i}\\n')
assert compileall.compile_dir('package', quiet=1)
sys.path.insert(0, '.')
import package.m7
assert package.m7.value == 7
with tempfile.TemporaryFile(dir='.') as f:
    f.write(b'x' * 100000)
    f.flush()
    m = mmap.mmap(f.fileno(), 0)
    m[50000:50003] = b'yyy'
    f.seek(49999)
    assert f.read(5) == b'xyyyx', 'the map does not show in the file'
    m.flush()
    m.close()
with zipfile.ZipFile('all.zip', 'w') as z:
    for i in range(20):
        z.write(f'package/m{i}.py')
assert zipfile.ZipFile('all.zip').testzip() is None
shutil.copytree('package', 'copy')
shutil.move('copy', 'moved')
shutil.rmtree('package')
assert len(os.listdir('moved')) == 21
fd = os.open('.', os.O_RDONLY)
os.fsync(fd)
`
    await run(dir, 'python3', ['-c', script])
    deepEqual((await readdir(dir)).sort(), ['all.zip', 'moved'])
  }),
}
