// The line from a process that tries rules to the test that started it: descriptor 3.

import { readSync, writeSync } from 'node:fs'

export const say = (line: string): void => {
  for (let rest = Buffer.from(`${line}\n`); rest.length > 0; ) rest = rest.subarray(writeSync(3, rest))
}

/** Asks the test to do something, and waits until it is done. Nothing else happens in this process meanwhile. */
export function ask(what: string): void {
  say(`ASK\t${what}`)
  let answer = ''
  for (const byte = Buffer.alloc(1); readSync(3, byte) === 1 && byte[0] !== 10; ) answer += byte.toString()
  if (answer !== 'ok') throw new Error(`"${what}" was answered: ${answer || 'nothing'}`)
}
