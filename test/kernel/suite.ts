// One guest, one ava test for each `check 'sentence'` in its scripts, and for what they are said to check besides:
// a check that fails, or that they never came to, is a failing test of that name.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestFn } from 'ava'
import type { GuestOptions } from './guest.ts'
import { bootGuest, buildInitramfs, type Guest, whatIsMissing } from './guest.ts'
import { checkout, type ImageOptions } from './image.ts'

export type World = Pick<GuestOptions, 'env' | 'files' | 'on'>

export type Suite = {
  readonly scripts: readonly string[]
  /** By script: checks that its programs make by themselves, in their order, after its own. */
  readonly besides?: Readonly<Record<string, readonly string[]>>
  readonly image?: ImageOptions
  readonly memoryMb: number
  readonly cpus?: number
  readonly diskBytes?: number
  readonly timeoutMs: number
  /** What else is missing here, and what mends it. */
  readonly missing?: string | null
  /** What the guest meets: starts it, and hands its end to `teardown`. */
  readonly world: (teardown: (end: () => Promise<void>) => void) => Promise<World>
}

/** The checks of a script, in its order. Only literal names in single quotes at the start of a line count. */
export const checksIn = (script: string): string[] =>
  [...readFileSync(join(checkout, script), 'utf8').matchAll(/^check '([^']+)'/gm)].map(match => match[1]!)

export async function judged(test: TestFn, title: string, suite: Suite): Promise<void> {
  const missing = (await whatIsMissing()) ?? suite.missing ?? null
  const names = suite.scripts.flatMap(script => [...checksIn(script), ...(suite.besides?.[script] ?? [])])
  if (missing !== null) {
    if (process.env['CI'] === 'true') test(`${title}: a guest can run`, t => t.fail(missing))
    else for (const name of names) test.skip(`${title}: ${name} (${missing})`, t => t.fail())
    return
  }

  const ends: (() => Promise<void>)[] = []
  let guest: Guest | undefined
  const { timeoutMs } = suite
  test.before(async t => {
    t.timeout(timeoutMs)
    const [initramfs, world] = await Promise.all([
      buildInitramfs(suite.image),
      suite.world(end => void ends.push(end)),
    ])
    const { scripts, memoryMb, cpus = 1, diskBytes = 0 } = suite
    guest = await bootGuest({ initramfs, scripts, memoryMb, cpus, diskBytes, timeoutMs, ...world })
  })
  test.after.always(async () => {
    await guest?.stop()
    for (const end of ends.reverse()) await end()
  })

  for (const name of names) {
    test.serial(`${title}: ${name}`, async t => {
      t.timeout(timeoutMs)
      const verdict = await guest!.verdict(name).catch((error: Error) => error)
      if (verdict instanceof Error) return t.fail(verdict.message)
      t.true(verdict.ok, verdict.output)
      t.log(`${verdict.ms} ms`)
    })
  }
  test.serial(`${title}: the guest ends by itself`, async t => {
    t.timeout(timeoutMs)
    const { status, checks, notes, bootMs, totalMs } = await guest!.done
    t.is(status, 0)
    t.deepEqual(
      checks.map(check => check.name),
      names,
    )
    t.log(`booted after ${Math.round(bootMs)} ms, ended after ${Math.round(totalMs)} ms`)
    for (const [what, value] of notes) t.log(`${what}: ${value}`)
  })
}
