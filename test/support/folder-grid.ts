// A grid of one folder of shares, which outlives whoever has it open.

import type { Grid } from '../../src/tahoe/grid.ts'
import { native } from '../../src/tahoe/native/native.ts'
import { Secrets } from '../../src/tahoe/native/secrets.ts'
import { LocalServer } from '../../src/tahoe/storage/local.ts'
import { goldenNode } from './golden.ts'

export const folderGrid = async (dir: string): Promise<Grid> =>
  native({
    servers: [await LocalServer.open({ dir })],
    secrets: new Secrets(goldenNode.convergence, goldenNode.leaseSecret),
    shares: { needed: 1, happy: 1, total: 1 },
  })
