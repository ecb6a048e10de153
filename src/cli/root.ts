// Where the root cap comes from: an alias in the node directory, a file, or standard
// input. Never the command line, which every user of the machine can read.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FsError } from '../errors.ts'
import { type Cap, parseCap } from '../tahoe/cap.ts'
import { USED_WRONGLY, Wrong } from './wrong.ts'

export type RootSource = {
  readonly root?: string | undefined
  readonly rootFile?: string | undefined
  readonly nodeDirectory: string
}

/** Bytes of a root file; a cap has a few hundred. */
const MAX_ROOT = 65_536

export async function readRoot({ root, rootFile, nodeDirectory }: RootSource): Promise<Cap> {
  if (root !== undefined && rootFile !== undefined)
    throw new Wrong('give either --root or --root-file, not both', USED_WRONGLY)
  if (root?.includes('URI'))
    throw new Wrong(
      '--root takes the name of an alias; a cap on the command line can be seen by others: give it with --root-file FILE or --root-file - (standard input)',
      USED_WRONGLY,
    )
  if (rootFile !== undefined) {
    const where = rootFile === '-' ? 'standard input' : rootFile
    return directoryCap(await (rootFile === '-' ? readInput() : readText(rootFile)), where)
  }
  const alias = (root ?? 'tahoe').replace(/:$/, '')
  const file = join(nodeDirectory, 'private', 'aliases')
  const text = await readText(file).catch((err: unknown) => {
    if (root !== undefined) throw err
    throw new Wrong(
      `no root: ${file} has no alias to begin with; give --root-file FILE, or --node-directory DIR and --root ALIAS`,
    )
  })
  for (const line of text.split('\n')) {
    const [, name, cap] = /^\s*([^#:\s][^:]*?)\s*:\s*(\S+)\s*$/.exec(line) ?? []
    if (name === alias && cap !== undefined) return directoryCap(cap, `alias ${alias} in ${file}`)
  }
  throw new Wrong(`${file} has no alias ${alias}; name another with --root, or give --root-file FILE`)
}

function directoryCap(text: string, where: string): Cap {
  let cap: Cap
  try {
    cap = parseCap(text.trim())
  } catch (err) {
    if (!(err instanceof FsError)) throw err
    throw new Wrong(`what ${where} holds is not a cap: it should be one line that begins with URI:DIR2`)
  }
  if (cap.type === 'directory' && cap.authority !== 'verify') return cap
  const what =
    cap.type === 'directory'
      ? 'can only be verified'
      : cap.type === 'file'
        ? 'is a file'
        : 'is of a kind unknown here'
  throw new Wrong(`the root in ${where} ${what}; a directory is needed (URI:DIR2…)`)
}

async function readText(file: string): Promise<string> {
  try {
    const text = await readFile(file, 'utf8')
    if (text.length > MAX_ROOT) throw new Wrong(`${file} is too large to be what it should be`)
    return text
  } catch (err) {
    if (err instanceof Wrong) throw err
    throw new Wrong(`${file} cannot be read (${(err as NodeJS.ErrnoException).code})`)
  }
}

async function readInput(): Promise<string> {
  let text = ''
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += chunk
    if (text.length > MAX_ROOT) throw new Wrong('standard input is too large to be a cap')
  }
  return text
}
