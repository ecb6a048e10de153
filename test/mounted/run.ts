// Tries rules in a directory, one after the other, each in a directory of its own below it. It must not be the process that
// serves the mount: a call into one's own mount waits for oneself.
//
//   node run.ts DIR PLAN     PLAN is a Plan in JSON
//
// Verdicts go to descriptor 3, as those of a script in a guest do, and what a rule asks; the answers come from there.

import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { say } from './asking.ts'
import type { Plan } from './plan.ts'
import { rulesOf } from './rules.ts'
import { lineOf } from './verdict.ts'

const [dir, text] = process.argv.slice(2) as [string, string]
const plan = JSON.parse(text) as Plan
const rules = rulesOf(plan)

/** What nobody waited for is a failure of the rule during which it came. */
let stray: (error: unknown) => void = () => {}
process.on('uncaughtException', error => stray(error))

async function tried(title: string, own: string): Promise<void> {
  const late = new AbortController()
  const strays = Promise.withResolvers<never>()
  stray = strays.reject
  const tooLong = sleep(plan.limitMs, null, { signal: late.signal }).then(() => {
    throw new Error(`did not end within ${plan.limitMs} ms`)
  })
  tooLong.catch(() => {})
  strays.promise.catch(() => {})
  try {
    await mkdir(own)
    await Promise.race([rules[title]!(own), tooLong, strays.promise])
    await rm(own, { recursive: true })
  } finally {
    late.abort()
  }
}

for (const [i, title] of plan.titles.entries()) {
  say(`RUN\t${title}`)
  const began = performance.now()
  const failure = await tried(title, join(dir, `rule-${i}`)).then(
    () => null,
    (error: unknown) => error,
  )
  const output = failure instanceof Error ? (failure.stack ?? failure.message) : String(failure)
  const ms = Math.round(performance.now() - began)
  say(lineOf({ name: title, ok: failure === null, ms, output: failure === null ? '' : output }))
}
process.exit() // whatever a failed rule still waits for
