// Which roots were served from folders of this machine, and where the state of each is: in the file
// `private/served` of the first folder, a storage index and a path in each line. No cap is in it.
// Whoever collects garbage must know all of them.

import { resolve } from 'node:path'
import type { Cap } from '../tahoe/cap.ts'
import { Private } from '../tahoe/native/private.ts'

export type Served = { readonly index: string; readonly stateDir: string }

const NAME = 'served'

/** Durable when it returns. */
export async function noteServed(dir: string, root: Cap, stateDir: string): Promise<void> {
  const index = root.storageIndex
  const all = await served(dir)
  if (index === null || all.some(each => each.index === index && each.stateDir === stateDir)) return
  const lines = [...all, { index, stateDir }].map(each => `${each.index} ${each.stateDir}\n`)
  await new Private(resolve(dir)).write(NAME, lines.join(''))
}

export async function served(dir: string): Promise<readonly Served[]> {
  const text = (await new Private(resolve(dir)).read(NAME)) ?? ''
  return text.split('\n').flatMap(line => {
    const [, index, stateDir] = /^([a-z2-7]{26}) (\/.*)$/.exec(line) ?? []
    return index === undefined ? [] : [{ index, stateDir: stateDir! }]
  })
}
