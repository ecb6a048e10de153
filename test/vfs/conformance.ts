// What every Vfs must do, written once: one rule, one test.
//
//   conforms('memfs', async () => ({ vfs, close: () => vfs.close() }), { write: true })
//
// `open` gives a file system that holds `tree` (tree.ts) and nothing else, a new one for each rule.

import test, { type ExecutionContext } from 'ava'
import type { Vfs } from '../../src/vfs/vfs.ts'
import { dataRules } from './rules-data.ts'
import { nameRules } from './rules-names.ts'
import { newsRules } from './rules-news.ts'
import { readRules } from './rules-read.ts'
import { refusalRules } from './rules-refuse.ts'
import { renameRules } from './rules-rename.ts'
import { repeatRules } from './rules-repeat.ts'
import { restartRules } from './rules-restart.ts'

export type Subject = {
  readonly vfs: Vfs
  close(): Promise<void>
  /** Sees whether what it did is right by other means too. */
  judge?(t: ExecutionContext): Promise<void>
  /** Ends it and begins again on what it kept; `close` closes the last one. */
  restart?(): Promise<Vfs>
}

export type Can = {
  readonly write: boolean
  /** Absent: yes. Where not, the subject's tree has no `link`. */
  readonly symlinks?: boolean
  /** Whether its subjects have `restart`. */
  readonly restart?: boolean
}

/** A rule's title is a sentence; its body gets a file system of its own. */
export type Spec = (
  title: string,
  body: (t: ExecutionContext, vfs: Vfs, restart: () => Promise<Vfs>) => Promise<void>,
) => void

export function conforms(name: string, open: () => Promise<Subject>, can: Can): void {
  const spec: Spec = (title, body) =>
    test(`${name}: ${title}`, async t => {
      const subject = await open()
      t.teardown(() => subject.close())
      await body(t, subject.vfs, () => {
        if (!subject.restart) throw new Error('this subject was said to restart, and cannot')
        return subject.restart()
      })
      await subject.judge?.(t)
    })
  readRules(spec, can)
  newsRules(spec, can)
  if (can.restart) restartRules(spec, can)
  const rules = can.write ? [nameRules, renameRules, dataRules, repeatRules] : [refusalRules]
  for (const each of rules) each(spec)
}
