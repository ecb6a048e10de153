// The guest itself, before it judges anything: what it reports is what happened.

import test from 'ava'
import { bootGuest, buildInitramfs, type GuestOptions, whatIsMissing } from './guest.ts'

const missing = await whatIsMissing()
const guestly = missing === null || process.env['CI'] === 'true' ? test.serial : test.serial.skip
const why = missing === null ? '' : ` (${missing})`

const plain = async (script: string): Promise<GuestOptions> => ({
  initramfs: await buildInitramfs(),
  scripts: [`test/kernel/harness/${script}`],
  memoryMb: 384,
  timeoutMs: 60_000,
})

guestly(`a guest reports what passed, what failed, and what the failing command said${why}`, async t => {
  t.timeout(90_000)
  let asked = 0
  const on = {
    'count this': async () => void asked++,
    'refuse this': async () => Promise.reject(new Error('no')),
  }
  await using guest = await bootGuest({ ...(await plain('verdicts.sh')), env: { WORD: "it's" }, on })
  await guest.expect('something by hand')
  guest.send('ok')
  const { checks, notes, status } = await guest.done
  t.deepEqual(
    checks.map(({ name, ok }) => [name, ok]),
    [
      ['a command that succeeds', true],
      ['a command that fails in its middle', false],
      ['the words of the environment', true],
      ['a question that is answered', true],
      ['a question that is refused', false],
      ['a question answered by hand', true],
      ['the real programs are there', true],
    ],
  )
  t.is(checks[1]!.output, 'before\nstatus 1\n')
  t.regex(checks[4]!.output, /the test answered: Error: no/)
  t.is(notes.get('figure'), '42')
  t.is(status, 7)
  t.is(asked, 1)
})

guestly(`a check that never comes is an error, not a wait${why}`, async t => {
  t.timeout(90_000)
  await using guest = await bootGuest(await plain('short.sh'))
  t.true((await guest.verdict('the only one')).ok)
  await t.throwsAsync(guest.verdict('another'), { message: /never came to "another"/ })
})

guestly(`a guest that hangs is killed at its time, and the error says where it hung${why}`, async t => {
  t.timeout(90_000)
  await using guest = await bootGuest({ ...(await plain('hang.sh')), timeoutMs: 8_000 })
  await t.throwsAsync(guest.verdict('one that sleeps'), {
    message: /took longer than 8000 ms; last in "(one that sleeps|booting)"/,
  })
})

guestly(`a guest that crashes is an error with the kernel's words${why}`, async t => {
  t.timeout(90_000)
  await using guest = await bootGuest(await plain('crash.sh'))
  await t.throwsAsync(guest.done, { message: /sysrq triggered crash/ })
})

guestly(`an aborted guest ends${why}`, async t => {
  t.timeout(90_000)
  const stop = new AbortController()
  await using guest = await bootGuest({ ...(await plain('hang.sh')), signal: stop.signal })
  stop.abort()
  await t.throwsAsync(guest.done, { message: /was aborted/ })
})

guestly(`a guest with Node runs TypeScript and finds the production dependencies${why}`, async t => {
  t.timeout(120_000)
  const initramfs = await buildInitramfs({ node: true })
  await using guest = await bootGuest({
    ...(await plain('node.sh')),
    initramfs,
    memoryMb: 1024,
    timeoutMs: 100_000,
  })
  const verdict = await guest.verdict('node runs')
  t.true(verdict.ok, verdict.output)
})
