// What every mount must do is a function of a directory, which is empty and its own: it ends
// when that holds, and throws what does not. It knows nothing of what is mounted there. It runs over a plain
// directory, over FUSE, and over NFS in a kernel's guest; what they legitimately do each in its way stands in no rule:
// .nfs names and what they hold up, link counts of directories and of removed files, atime, names that are not UTF-8,
// device nodes, whether names that differ in their normal form alone are one.

import { rejects } from 'node:assert/strict'
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'

export type Rule = ((dir: string) => Promise<void>) & {
  /** Programs that it cannot be tried without. */
  readonly needs?: readonly string[]
}

/** By title, each a sentence. */
export type Rules = Readonly<Record<string, Rule>>

export const needing = (needs: readonly string[], rule: Rule): Rule =>
  Object.assign((dir: string) => rule(dir), { needs })

/** Programs are looked for beside those of an ordinary user's path, too. */
export const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`

/** The programs that `rule` needs and that are not here. */
export const missingFor = ({ needs = [] }: Rule): string[] =>
  needs.filter(program => !path.split(':').some(dir => isProgram(join(dir, program))))

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Several records as one. A title that two of them have is a mistake. */
export function joined(...all: readonly Rules[]): Rules {
  const titles = all.flatMap(rules => Object.keys(rules))
  const twice = titles.filter((title, i) => titles.indexOf(title) !== i)
  if (twice.length > 0) throw new Error(`two rules are called ${twice.join(', ')}`)
  return Object.assign({}, ...all) as Rules
}

/** `deed` fails with one of `codes`. */
export const refused = (deed: Promise<unknown>, ...codes: string[]): Promise<void> =>
  rejects(deed, (error: NodeJS.ErrnoException) => {
    if (codes.includes(error.code ?? '')) return true
    throw new Error(`${error.message}, and should be ${codes.join(' or ')}`, { cause: error })
  })
