// What every mount must do, over a place that a test opens: one ava test for each rule. The rules run in a
// process of their own, so that the place may be served by whoever opened it.
//
//   mounted(test, 'local', async () => ({ dir, close: () => rm(dir, { recursive: true }) }))

import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import type { TestFn } from 'ava'
import type { FsxPlan } from './fsx.ts'
import { fsxTitles } from './fsx.ts'
import type { Plan } from './plan.ts'
import { missingFor } from './rule.ts'
import { rulesOf } from './rules.ts'
import { type Verdict, verdictOf } from './verdict.ts'

export type Place = {
  /** Is empty. */
  readonly dir: string
  close(): Promise<void>
  /** What the rules may ask for. */
  readonly on?: Readonly<Record<string, () => Promise<void>>>
}

export type MountedOptions = {
  /** Steps, and what happens in between. The seed is drawn, or is FSX_SEED. */
  readonly fsx?: Partial<FsxPlan>
  /** Rules that cannot be tried here, and why. */
  readonly except?: Readonly<Record<string, string>>
  /** Milliseconds for one rule. */
  readonly limitMs?: number
  /** Why none of it can run here, and what mends it. */
  readonly missing?: string | null
}

export const fsxPlan = (given: Partial<FsxPlan> = {}): FsxPlan => ({
  seed: Number(process.env['FSX_SEED'] ?? Math.floor(Math.random() * 2 ** 32)),
  steps: 10_000,
  between: [],
  ...given,
})

export function mounted(
  test: TestFn,
  title: string,
  open: () => Promise<Place>,
  { fsx, except = {}, limitMs = 120_000, missing = null }: MountedOptions = {},
): void {
  const plan = fsxPlan(fsx)
  const rules = rulesOf({ fsx: plan })
  const unknown = Object.keys(except).filter(name => !(name in rules))
  if (unknown.length > 0) throw new Error(`there is no rule called ${unknown.join(', ')}`)
  const only = process.env['ONLY'] // a part of the titles, for whoever mends something
  const lacking = new Map<string, string>()
  for (const [name, rule] of Object.entries(rules)) {
    const programs = missingFor(rule)
    const why = missing ?? except[name] ?? (programs.length > 0 ? `needs ${programs.join(', ')}` : null)
    if (why !== null) lacking.set(name, why)
  }
  const titles = Object.keys(rules).filter(name => !lacking.has(name) && name.includes(only ?? ''))

  let place: Place | undefined
  let trying: Trying | undefined
  test.before(async t => {
    t.timeout(limitMs)
    if (titles.length === 0) return
    place = await open()
    trying = new Trying(place, { titles, limitMs, fsx: plan })
  })
  test.after.always(async () => {
    trying?.end()
    await place?.close()
  })
  for (const name of Object.keys(rules)) {
    if (lacking.has(name)) {
      const mustRun = process.env['CI'] === 'true' && !(name in except)
      if (mustRun) test(`${title}: ${name}`, t => t.fail(lacking.get(name)))
      else test.skip(`${title}: ${name} (${lacking.get(name)})`, t => t.fail())
    } else if (titles.includes(name))
      test.serial(`${title}: ${name}`, async t => {
        t.timeout(limitMs * 1.5)
        const { ok, output, ms } = await trying!.verdict(name)
        t.true(ok, output)
        t.log(`${ms} ms${fsxTitles.includes(name) ? `, seed ${plan.seed}` : ''}`)
      })
  }
}

/** A process that tries rules, and what it has said so far. */
class Trying {
  readonly #child: ChildProcess
  readonly #on: NonNullable<Place['on']>
  readonly #verdicts = new Map<string, PromiseWithResolvers<Verdict>>()
  #running = 'nothing yet'

  constructor({ dir, on = {} }: Place, plan: Plan) {
    this.#on = on
    for (const title of plan.titles) {
      const verdict = Promise.withResolvers<Verdict>()
      verdict.promise.catch(() => {}) // whoever asks for it is told
      this.#verdicts.set(title, verdict)
    }
    const args = [join(import.meta.dirname, 'run.ts'), dir, JSON.stringify(plan)]
    this.#child = spawn(process.execPath, args, {
      stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
      env: { ...process.env, UV_THREADPOOL_SIZE: '16' }, // a call that hangs must not hold up all others
    })
    const line = this.#child.stdio[3] as Duplex
    line.on('error', () => {}) // it was killed, and that has its own word
    createInterface({ input: line })
      .on('line', text => this.#hear(text, line))
      .on('error', () => {})
    this.#child.on('close', (code, signal) => {
      const gone = new Error(
        `the process that tries the rules ended (${signal ?? code}) in "${this.#running}"`,
      )
      for (const { reject } of this.#verdicts.values()) reject(gone)
    })
  }

  async verdict(title: string): Promise<Verdict> {
    return await this.#verdicts.get(title)!.promise
  }

  /** One that hangs in a call is not waited for: it goes when the mount does. */
  end(): void {
    this.#child.kill('SIGKILL')
  }

  #hear(text: string, line: Duplex): void {
    const [word, ...rest] = text.split('\t')
    if (word === 'RUN') this.#running = rest[0]!
    else if (word === 'CHECK') this.#verdicts.get(rest[1]!)?.resolve(verdictOf(rest))
    else if (word === 'ASK') {
      const deed = this.#on[rest[0]!] ?? (() => Promise.reject(new Error('the test does not know how')))
      deed().then(
        () => line.write('ok\n'),
        (error: unknown) => line.write(`${String(error).replaceAll('\n', ' ')}\n`),
      )
    }
  }
}
