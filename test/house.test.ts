// What holds for the project as a whole: which room may know which, what files are called,
// what must not be in them, and that every paragraph of doc/SEMANTICS.md is tested.

import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, posix, relative, sep } from 'node:path'
import test from 'ava'

const root = join(import.meta.dirname, '..')

/** Every file of the project: what git tracks, or without git all but what is made. */
function tracked(): string[] {
  try {
    const list = execFileSync('git', ['ls-files', '-z'], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const files = list.split('\0').filter(name => name !== '' && existsSync(join(root, name)))
    if (files.length > 0) return files
  } catch {
    // no git here, or no repository: a published or unpacked copy
  }
  const made = new Set(['node_modules', '.git', 'build', 'tahoe'])
  return readdirSync(root, { withFileTypes: true })
    .filter(({ name }) => !made.has(name))
    .flatMap(entry => {
      if (!entry.isDirectory()) return [entry.name]
      const below = readdirSync(join(root, entry.name), { recursive: true, withFileTypes: true })
      return below
        .filter(each => each.isFile())
        .map(each => relative(root, join(each.parentPath, each.name)).replaceAll(sep, '/'))
    })
}

const files = tracked()
const read = (name: string) => readFileSync(join(root, name), 'utf8')

/** What each room may import besides itself. The four that speak to the outside do not know each other. */
const below: Record<string, readonly string[]> = {
  errors: [],
  log: [],
  tahoe: ['errors', 'log'],
  vfs: ['errors', 'log', 'tahoe'],
  nfs: ['errors', 'log', 'tahoe', 'vfs'],
  fuse: ['errors', 'log', 'tahoe', 'vfs'],
  zenfs: ['errors', 'log', 'tahoe', 'vfs'],
  control: ['errors', 'log', 'tahoe', 'vfs'],
  cli: ['errors', 'log', 'tahoe', 'vfs', 'nfs', 'fuse', 'zenfs', 'control'],
}

/** `src/vfs/tree/tree.ts` is in vfs, `src/log.ts` is log. */
const roomOf = (file: string): string => file.split('/')[1]!.replace(/\.ts$/, '')

/** The relative modules that a source text names: imports, exports, workers. */
const imported = (text: string): string[] =>
  [...text.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*|new URL\(\s*)(['"])(\.{1,2}\/[^'"]+)\1/g)].map(
    match => match[2]!,
  )

/** What is wrong with `file` importing `specifier`, or null. */
function wrong(file: string, specifier: string): string | null {
  const target = posix.join(posix.dirname(file), specifier)
  if (target === 'package.json' && roomOf(file) === 'cli') return null // its own version
  if (!target.startsWith('src/')) return `${file} imports ${specifier}, which is not in src`
  const [from, to] = [roomOf(file), roomOf(target)]
  if (from === to || below[from]?.includes(to)) return null
  return `${file}: ${from} does not know ${to}`
}

test('imports run one way: errors and log, tahoe, vfs, then nfs, fuse, zenfs and control apart, then cli', t => {
  const sources = files.filter(name => /^src\/.*\.ts$/.test(name))
  t.true(sources.length > 20)
  for (const name of sources) t.true(roomOf(name) in below, `${name} is in no room`)
  const found = sources.flatMap(name => imported(read(name)).map(specifier => wrong(name, specifier)))
  t.true(found.length > 50, 'imports are no longer found')
  t.deepEqual(
    found.filter(each => each !== null),
    [],
  )
})

test('an import against the direction would be found, however it is written', t => {
  const text = [
    "import { nfs } from '../nfs/server.ts'",
    "import type { A } from '../nfs/types.ts'",
    "export * from '../cli/main.ts'",
    "import '../fuse/mount.ts'",
    "const late = await import('../control/status.ts')",
    "new Worker(new URL('../zenfs/worker.ts', import.meta.url))",
    "import {\n  b,\n} from '../../test/support/memfs.ts'",
    "import { fine } from '../errors.ts'",
    "import { fine } from './names.ts'",
  ].join('\n')
  t.is(imported(text).length, 9)
  t.is(imported(text).filter(specifier => wrong('src/vfs/some.ts', specifier)).length, 7)
  t.truthy(wrong('src/nfs/server.ts', '../fuse/session.ts'))
  t.truthy(wrong('src/errors.ts', './log.ts'))
})

test('a file is called for what it holds, never util, helpers or common', t => {
  t.deepEqual(
    files.filter(name => /(^|[/._-])(utils?|helpers?|commons?|misc)([/._-]|$)/i.test(name)),
    [],
  )
})

/** What would tie the project to the machine it was written on. */
const forbidden: Record<string, RegExp> = {
  "a person's home": /(?<![\w.~$}])\/(home|Users)\/\w/,
  'a path of one machine': /(?<![\w.~$}])[/]work[/]\w/,
  'a folder beside the checkout': /\.\.\/shared\b/,
  'the host of a package registry':
    /https?:\/\/[^/\s'"]*(registry|npmjs|pypi|pythonhosted|artifact|mirror|proxy)/i,
  'where a package was downloaded': /^\s*"resolved": "(?!file:)/m,
  'another index for pip': /--(extra-)?index-url|--trusted[-]host/,
}

test('no file names a machine, a person or a package registry', t => {
  const found: string[] = []
  for (const name of files) {
    const text = read(name)
    if (text.includes('\0')) continue // bytes, not text
    for (const [what, pattern] of Object.entries(forbidden)) {
      const match = pattern.exec(text)
      if (match) found.push(`${name}:${text.slice(0, match.index).split('\n').length}: ${what}`)
    }
    if (root.split('/').length > 2 && text.includes(root)) found.push(`${name}: where this checkout is`)
  }
  t.deepEqual(found, [])
})

/** The first sentence of each paragraph and list item: what stands in the introduction, in tables and code is left out, and the tenets. */
function claims(text: string): string[] {
  const sections = text
    .replace(/^```[\s\S]*?^```/gm, '')
    .replace(/<!--[\s\S]*?-->/g, '')
    .split(/^(?=##+ )/m)
    .slice(1)
    .filter(section => !/^##+ .*tenets/i.test(section))
  return sections.flatMap(section =>
    section
      .replace(/^#+ .*$/gm, '')
      .split(/\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )/)
      .map(paragraph => paragraph.trim())
      .filter(paragraph => paragraph !== '' && !paragraph.startsWith('|') && !/^-{3,}$/.test(paragraph))
      .map(paragraph =>
        plain(/^.+?[.!?](?=\s|$)/s.exec(plain(paragraph))?.[0] ?? plain(paragraph)).replace(/[.!?:]$/, ''),
      ),
  )
}

/** Without marks of emphasis, code and links, in one line. */
const plain = (text: string): string =>
  text
    .replace(/^\s*(?:[-*>]|\d+\.)\s+/, '')
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/[`*]|\b_(?=\W|$)|(?<=^|\W)_\b/g, '')
    .replace(/\s+/g, ' ')
    .trim()

/** Every string in the tests: titles are among them. */
const strings = (text: string): string[] =>
  [...text.matchAll(/'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\\n]|\\.)*)`/g)].map(match =>
    plain((match[1] ?? match[2] ?? match[3] ?? '').replace(/\\(.)/g, '$1')),
  )

test('every paragraph of doc/SEMANTICS.md has a test whose title is its first sentence', t => {
  t.true(existsSync(join(root, 'doc/SEMANTICS.md')), 'doc/SEMANTICS.md is missing')
  const titles = files
    .filter(name => /^test\/.*\.(ts|sh)$/.test(name) && name !== 'test/house.test.ts')
    .flatMap(name => strings(read(name)))
    .map(title => title.toLowerCase())
  const claimed = claims(read('doc/SEMANTICS.md'))
  t.true(claimed.length > 0, 'doc/SEMANTICS.md says nothing')
  t.deepEqual(
    claimed.filter(claim => !titles.some(title => title.includes(claim.toLowerCase()))),
    [],
  )
})

test('the first sentences of a document are found, and of nothing else in it', t => {
  const text = [
    '# Title\n\nAn introduction. It is not tested.\n',
    '## Tenets\n\n1. Nothing is lost.\n',
    '## Reading\n\n`read` at the end says so.\nIt is empty. And more.\n\nA *removed* file\nis gone! Really.\n',
    '- An item is a [claim](x.md). So is this.\n- Another\n\n| a | table |\n|---|---|\n\n```\ncode. here.\n```\n',
    '### Deeper\n\nVersion 1.2 is 3.4 times as old: it stays_as it is.',
  ].join('\n')
  t.deepEqual(claims(text), [
    'read at the end says so',
    'A removed file is gone',
    'An item is a claim',
    'Another',
    'Version 1.2 is 3.4 times as old: it stays_as it is',
  ])
  t.deepEqual(strings("test('it\\'s `so`', t => {}) // \"and\""), ["it's so", 'and'])
})
