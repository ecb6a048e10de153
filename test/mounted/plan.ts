// What one process is to try.

import type { FsxPlan } from './fsx.ts'

export type Plan = {
  readonly titles: readonly string[]
  /** Milliseconds that one rule may take. */
  readonly limitMs: number
  readonly fsx: FsxPlan
}
