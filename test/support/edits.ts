// Edits of a directory, in the words of the tests.

import { type Cap, litCap } from '../../src/tahoe/cap.ts'
import type { Child, Edit, Metadata } from '../../src/tahoe/grid.ts'

export const lit = (text: string): Cap => litCap(Buffer.from(text))

export const child = (text: string, metadata: Metadata = {}): Child => ({ cap: lit(text), metadata })

export const set = (name: string, given: Child, expect: Cap | null = null): Edit => ({
  op: 'set',
  name,
  child: given,
  expect,
})

export const unlink = (name: string, expect: Cap, after?: string): Edit => ({
  op: 'unlink',
  name,
  expect,
  ...(after === undefined ? {} : { after }),
})
