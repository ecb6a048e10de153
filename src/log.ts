// What every room may say, and to whom. The cli decides where it goes.

import type { Logger } from 'pino'

/** Structured first, a sentence second: `log.warn({ proc: 'READ' }, 'the grid does not answer')`. Never a cap. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>

export const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }
