// The rules themselves: a plain directory keeps all of them.

import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { mounted } from './mounted.ts'

mounted(test, 'a local directory', async () => {
  const dir = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'mounted-'))
  return { dir, close: () => rm(dir, { recursive: true, force: true }) }
})
