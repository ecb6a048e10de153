// Where the root cap comes from: an alias in the node directory, a file, or standard
// input. Never the command line, which every user of the machine can read.

import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { FsError } from '../errors.ts'
import { type Cap, parseCap } from '../tahoe/cap.ts'
import { reason, USED_WRONGLY, Wrong } from './wrong.ts'

export type RootSource = {
  readonly root?: string | undefined
  readonly rootFile?: string | undefined
  readonly nodeDirectory: string
}

/** Bytes of a root file or of a list of aliases; a cap has a few hundred. */
const MAX_TEXT = 1 << 20

/** What `tahoe create-alias` takes for a name, and no more than a name is long. */
const aliasName = /^[^:/\s]{1,100}$/

export async function readRoot({ root, rootFile, nodeDirectory }: RootSource): Promise<Cap> {
  if (root !== undefined && rootFile !== undefined)
    throw new Wrong('give either --root or --root-file, not both', USED_WRONGLY)
  if (rootFile !== undefined) {
    if (rootFile === '-' && process.stdin.isTTY)
      console.error('tahoe-nfs: type or paste the root cap, then Enter and ^D')
    const where = rootFile === '-' ? 'standard input' : rootFile
    return directoryCap(
      await text(rootFile === '-' ? process.stdin : createReadStream(rootFile), where),
      where,
    )
  }
  const alias = (root ?? 'tahoe').replace(/:$/, '')
  if (!aliasName.test(alias))
    throw new Wrong(
      '--root takes the name of an alias; a cap on the command line can be seen by others: give it with --root-file FILE or --root-file - (standard input)',
      USED_WRONGLY,
    )
  const file = join(nodeDirectory, 'private', 'aliases')
  const lines = await text(createReadStream(file), file).catch((err: unknown) => {
    if (root !== undefined) throw err
    throw new Wrong(
      `no root: ${file} has no alias to begin with; give --root-file FILE, or --node-directory DIR and --root ALIAS`,
    )
  })
  for (const { name, cap } of aliasesIn(lines))
    if (name === alias) return directoryCap(cap, `alias ${alias} in ${file}`)
  throw new Wrong(`${file} has no alias ${alias}; name another with --root, or give --root-file FILE`)
}

/** What a list of aliases holds: names, and what should be caps. */
export const aliasesIn = (lines: string): { readonly name: string; readonly cap: string }[] =>
  lines.split('\n').flatMap(line => {
    const colon = line.indexOf(':')
    const [name, cap] = [line.slice(0, Math.max(0, colon)).trim(), line.slice(colon + 1).trim()]
    return name === '' || name.startsWith('#') || !/^\S+$/.test(cap) ? [] : [{ name, cap }]
  })

function directoryCap(text: string, where: string): Cap {
  if (text.trim() === '')
    throw new Wrong(`${where} is empty: it should hold one line that begins with URI:DIR2`)
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

/** The whole of it; also of a pipe, and never more than a cap could need. */
async function text(from: Readable, where: string): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      if ((size += chunk.length) > MAX_TEXT) throw new Wrong(`${where} is too large to hold a cap`)
    }
  } catch (err) {
    if (err instanceof Wrong) throw err
    throw new Wrong(`${where} cannot be read: ${reason(err)}`)
  }
  return Buffer.concat(chunks).toString()
}
