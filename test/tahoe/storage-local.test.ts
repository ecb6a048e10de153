// A folder of share files.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LocalServer } from '../../src/tahoe/storage/local.ts'
import { conforms } from './storage-conformance.ts'

conforms('a folder', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tahoe-nfs-test-'))
  const server = await LocalServer.open({ dir })
  return {
    server,
    async close() {
      await server.close()
      await rm(dir, { recursive: true })
    },
  }
})
