// git: what it keeps is whole, and it finds nothing changed that was not.

import { deepEqual, equal } from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeTree } from './made-tree.ts'
import { needing, type Rules } from './rule.ts'
import { run } from './shell.ts'

const env = {
  GIT_AUTHOR_NAME: 't',
  GIT_AUTHOR_EMAIL: 't@example.org',
  GIT_COMMITTER_NAME: 't',
  GIT_COMMITTER_EMAIL: 't@example.org',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
}

export const gits: Rules = {
  'git adds, commits, clones, collects garbage and finds no fault': needing(['git', 'diff'], async dir => {
    const repo = join(dir, 'repo')
    const git = (...args: string[]): Promise<string> => run(repo, 'git', args, { env })
    await run(dir, 'git', ['init', '-q', '-b', 'main', 'repo'], { env })
    await makeTree(join(repo, 'tree'), 300)
    await git('add', '.')
    await git('commit', '-qm', 'first')
    equal(await git('status', '--porcelain'), '')
    await writeFile(join(repo, 'tree/many/file 3'), 'changed\n', { flag: 'a' })
    await git('rm', '-q', 'tree/many/file 4')
    await git('mv', 'tree/many/file 5', 'tree/many/file five')
    await git('commit', '-qam', 'second')
    await git('checkout', '-qb', 'side', 'HEAD~')
    await writeFile(join(repo, 'side'), 'side\n')
    await git('add', 'side')
    await git('commit', '-qm', 'aside')
    await git('checkout', '-q', 'main')
    await git('merge', '-qm', 'merged', 'side')
    deepEqual((await git('log', '--format=%s')).trim().split('\n').sort(), [
      'aside',
      'first',
      'merged',
      'second',
    ])
    await git('fsck', '--full', '--strict')

    await run(dir, 'git', ['clone', '-q', 'repo', 'linked'], { env }) // by hard links
    await run(dir, 'git', ['clone', '-q', '--no-local', 'repo', 'copied'], { env }) // by a pack
    for (const clone of ['linked', 'copied']) {
      await run(join(dir, clone), 'git', ['fsck', '--full', '--strict'], { env })
      equal(await run(join(dir, clone), 'git', ['status', '--porcelain'], { env }), '')
      equal(
        await run(dir, 'diff', [
          '-r',
          '--no-dereference',
          '--exclude=.git',
          '--exclude=empty',
          'repo',
          clone,
        ]),
        '',
      )
    }

    await git('gc', '-q', '--prune=now')
    equal(await git('count-objects'), '0 objects, 0 kilobytes\n') // none is loose any more
    await git('fsck', '--full', '--strict')
    equal(await git('status', '--porcelain'), '')
    await git('stash', 'list')
    await run(join(dir, 'copied'), 'git', ['pull', '-q'], { env })
    equal(await readFile(join(dir, 'copied/side'), 'utf8'), 'side\n')
  }),
}
