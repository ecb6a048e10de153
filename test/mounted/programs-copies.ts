// Programs that copy, pack and look through trees.

import { equal, ok } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeTree } from './made-tree.ts'
import { needing, type Rule, type Rules } from './rule.ts'
import { run, sh } from './shell.ts'

/** How many small files a tree has. */
const many = 200

/** Every name with kind, mode, size, time to the nanosecond (directories' sizes apart) and target. */
const shapeOf = (dir: string, tree: string): Promise<string> =>
  sh(
    join(dir, tree),
    `find . \\( -type d -printf '%P d %m %T@\\n' -o -type l -printf '%P l %T@ %l\\n' \\
      -o -printf '%P %y %m %n %s %T@\\n' \\) | sort`,
  )

/** The same names, kinds, modes, times, links and bytes. */
async function same(dir: string, one: string, two: string): Promise<void> {
  equal(await run(dir, 'diff', ['-r', '--no-dereference', one, two]), '')
  equal(await shapeOf(dir, two), await shapeOf(dir, one))
}

const withTree = (needs: readonly string[], rule: Rule): Rule =>
  needing([...needs, 'find', 'diff'], async dir => {
    await makeTree(join(dir, 'tree'), many)
    await rule(dir)
  })

/** `-a`, names of one file as such, and times compared to the nanosecond. */
const exact = '-aH@-1'

export const copies: Rules = {
  'cp -a copies bytes, modes, times, links and symlinks': withTree(['cp'], async dir => {
    equal(await run(dir, 'cp', ['-a', 'tree', 'copy']), '')
    await same(dir, 'tree', 'copy')
    await run(dir, 'cp', ['-a', '--attributes-only', 'tree/size-511', 'bare'])
    equal((await stat(join(dir, 'bare'))).mode & 0o777, 0o755)
    equal((await stat(join(dir, 'bare'))).size, 0)
    await run(dir, 'cp', ['-lR', 'tree/many', 'linked'])
    equal((await stat(join(dir, 'linked/file 3'))).nlink, 2)
  }),

  'cp copies a file with holes, whatever it is told of holes and clones': needing(
    ['cp', 'cmp'],
    async dir => {
      const file = await open(join(dir, 'holes'), 'w')
      for (let i = 0; i < 5; i++) await file.write(randomBytes(10_000 + i), 0, 10_000 + i, i * 1_000_000)
      await file.truncate(6_000_000)
      await file.close()
      for (const how of ['sparse=always', 'sparse=auto', 'sparse=never', 'reflink=auto']) {
        await run(dir, 'cp', [`--${how}`, 'holes', how])
        await run(dir, 'cmp', ['holes', how])
        equal((await stat(join(dir, how))).size, 6_000_000)
      }
      await writeFile(join(dir, 'zeros'), Buffer.alloc(1_000_000))
      await run(dir, 'cp', ['--sparse=always', 'zeros', 'holes'])
      await run(dir, 'cmp', ['zeros', 'holes'])
      await run(dir, 'cp', ['-u', 'holes', 'zeros'])
      await run(dir, 'cp', ['--remove-destination', 'zeros', 'holes'])
      await run(dir, 'cmp', ['zeros', 'holes'])
    },
  ),

  'rsync -a copies a tree, and finds nothing to do the second time': withTree(['rsync'], async dir => {
    await run(dir, 'rsync', [exact, 'tree/', 'copy/'])
    await same(dir, 'tree', 'copy')
    equal(await run(dir, 'rsync', [exact, '--itemize-changes', '--delete', 'tree/', 'copy/']), '')
    equal(await run(dir, 'rsync', [exact, '-c', '--itemize-changes', '--delete', 'tree/', 'copy/']), '')
    const { mtime } = await stat(join(dir, 'tree/size-262145'))
    const changing = await open(join(dir, 'tree/size-262145'), 'r+')
    await changing.write('changed', 100_000)
    await changing.utimes(mtime, new Date(mtime.getTime() + 5000))
    await changing.close()
    await run(dir, 'rsync', ['-a', '--inplace', '--no-whole-file', 'tree/', 'copy/'])
    await run(dir, 'rsync', [exact, '--delete', '--exclude=many', '--delete-excluded', 'tree/', 'copy/'])
    equal(await run(dir, 'diff', ['-r', '--no-dereference', '--exclude=many', 'tree', 'copy']), '')
  }),

  'tar packs and unpacks a tree as it is': withTree(['tar', 'gzip'], async dir => {
    await run(dir, 'tar', ['-C', 'tree', '--format=posix', '-cf', 'all.tar', '.'])
    await mkdir(join(dir, 'copy'))
    await run(dir, 'tar', ['-C', 'copy', '-xpf', 'all.tar'])
    await same(dir, 'tree', 'copy')
    equal(await run(dir, 'tar', ['-C', 'copy', '-df', 'all.tar']), '')
    await writeFile(join(dir, 'copy/added'), 'x')
    await run(dir, 'tar', ['-C', 'copy', '--format=posix', '-rf', 'all.tar', './added'])
    await run(dir, 'gzip', ['-k', 'all.tar'])
    equal(
      await sh(dir, 'tar -tzf all.tar.gz | wc -l').then(Number),
      (await shapeOf(dir, 'copy')).trim().split('\n').length,
    )
    await run(dir, 'gzip', ['-t', 'all.tar.gz'])
  }),

  'zip and unzip keep a tree': withTree(['zip', 'unzip'], async dir => {
    await run(dir, 'zip', ['-qry', 'all.zip', 'tree'])
    await run(dir, 'zip', ['-q', '-d', 'all.zip', 'tree/size-1']) // rewritten beside it, and renamed over it
    await run(dir, 'unzip', ['-tq', 'all.zip'])
    await run(dir, 'unzip', ['-q', 'all.zip', '-d', 'out'])
    equal(await run(dir, 'diff', ['-r', '--no-dereference', '--exclude=size-1', 'tree', 'out/tree']), '')
  }),

  'find tells by kind, size, time, mode, link and name, and removes': withTree([], async dir => {
    const count = async (...args: string[]): Promise<number> =>
      (await run(dir, 'find', [...args, '-printf', 'x'])).length
    equal(await count('tree', '-type', 'd'), 7)
    equal(await count('tree', '-type', 'l'), 3)
    equal(await count('tree', '-type', 'f'), many + 14)
    equal(await count('tree', '-type', 'f', '-empty'), 2)
    equal(await count('tree', '-type', 'd', '-empty'), 1)
    equal(await count('tree', '-size', '+1000k'), 1)
    equal(await count('tree', '-links', '2', '-type', 'f'), 2)
    equal(await count('tree', '-samefile', 'tree/size-4097'), 2)
    equal(await count('tree', '-perm', '600'), 1)
    equal(await count('tree', '-perm', '-111', '-type', 'f'), 1)
    equal(await count('tree', '!', '-newermt', '1999-01-01'), 1)
    equal(await count('tree', '-newer', 'tree/empty', '-name', 'size-1'), 1)
    equal(await count('tree', '-iname', '*ÜNÏ*'.toLowerCase()), 1)
    equal(await count('tree', '-path', '*/er/*'), 2)
    equal(await count('-L', 'tree', '-name', 'inner.txt'), 2)
    equal(await count('tree', '-xtype', 'l'), 1)
    equal(await count('tree', '-maxdepth', '1', '-mindepth', '1', '-name', 'size-*'), 11)
    await run(dir, 'find', ['tree', '-name', 'file 1*', '-delete'])
    equal(await count('tree/many', '-type', 'f'), many - 111)
    await run(dir, 'find', ['tree', '-mindepth', '1', '-delete'])
    equal(await count('tree'), 1)
  }),

  'dd reads and writes, in blocks, with skips, directly and with fsync': needing(['dd'], async dir => {
    const data = randomBytes(3_000_000)
    await writeFile(join(dir, 'in'), data)
    await run(dir, 'dd', ['if=in', 'of=direct', 'bs=1M', 'iflag=direct'])
    ok(data.equals(await readFile(join(dir, 'direct'))))
    await run(dir, 'dd', ['if=in', 'of=odd', 'bs=4093', 'conv=fsync'])
    ok(data.equals(await readFile(join(dir, 'odd'))))
    await run(dir, 'dd', [
      'if=in',
      'of=odd',
      'bs=1000',
      'skip=10',
      'seek=100',
      'count=7',
      'conv=notrunc,fdatasync',
    ])
    data.copy(data, 100_000, 10_000, 17_000)
    ok(data.equals(await readFile(join(dir, 'odd'))))
    await truncate(join(dir, 'in'), 2 ** 20)
    await run(dir, 'dd', ['if=in', 'of=written', 'bs=64k', 'oflag=direct,sync'])
    ok((await readFile(join(dir, 'in'))).equals(await readFile(join(dir, 'written'))))
    await run(dir, 'dd', ['if=in', 'of=written', 'bs=64k', 'oflag=append', 'conv=notrunc'])
    equal((await stat(join(dir, 'written'))).size, 2 ** 21)
  }),
}
