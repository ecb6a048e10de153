// A test that needs what not every machine has: skipped with its reason, but in CI,
// where everything must be there, run, and so failed.

import test, { type ExecutionContext } from 'ava'

type Body = (t: ExecutionContext) => Promise<void>

export const needs =
  (there: boolean, what: string, run: typeof test | typeof test.serial = test) =>
  (title: string, body: Body): void => {
    if (there || process.env.CI === 'true') run(title, body)
    else test.skip(`${title} (skipped: needs ${what})`, body)
  }
