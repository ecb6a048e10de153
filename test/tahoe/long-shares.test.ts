// Shares of layout 2, in which everything may lie beyond 4 GiB. The files are sparse, so that they cost nothing.

import { mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import test from 'ava'
import { silent } from '../../src/log.ts'
import { parseCap } from '../../src/tahoe/cap.ts'
import { ChkEncoder, planOf } from '../../src/tahoe/format/chk/encoder.ts'
import { storageIndexOf } from '../../src/tahoe/format/chk/hashes.ts'
import { type Layout, layoutOf, shapeOf, writeHeader } from '../../src/tahoe/format/chk/shape.ts'
import { Downloads } from '../../src/tahoe/native/immutable/download.ts'
import { IMMUTABLE_HEADER, packImmutableHeader } from '../../src/tahoe/storage/immutable-container.ts'
import { Folders } from '../support/folders.ts'
import { bytesOf } from '../support/tahoe-bytes.ts'

const GIB = 2 ** 30

/** The same, with everything behind the header so many bytes later. */
const shifted = ({ version, ...offsets }: Layout, gap: number): Layout => ({
  version,
  ...(Object.fromEntries(Object.entries(offsets).map(([name, at]) => [name, at + gap])) as typeof offsets),
})

for (const gap of [0, 4 * GIB - 200, 5 * GIB])
  for (const [needed, total, size] of [
    [2, 3, 300_001],
    [256, 256, 70_000],
  ] as const)
    test(`a share of layout 2 of ${needed} of ${total} that begins at ${gap} is read`, async t => {
      const folders = await Folders.open(t, 1)
      const shape = shapeOf(size, needed, total, 65_536)
      const content = Buffer.alloc(size, 'content ')
      const key = Buffer.alloc(16, 7)
      const plan = planOf(shape, 2)
      const encoder = new ChkEncoder(key, shape, plan)
      const blocks: Uint8Array[][] = []
      for (let at = 0; at < size; at += shape.segmentSize)
        blocks.push(encoder.segment(content.subarray(at, at + shape.segmentSize)))
      const { cap, tails } = encoder.finish()
      const index = storageIndexOf(key)
      for (const [share, tail] of tails.entries()) {
        const path = join(folders.dir, '0', 'storage', 'shares', index.slice(0, 2), index, String(share))
        await mkdir(dirname(path), { recursive: true })
        const file = await open(path, 'wx')
        const length = plan.length + gap
        await file.write(packImmutableHeader({ version: 2, length, leases: 0 }), 0, 12, 0)
        const header = writeHeader(shifted(plan.layout, gap), shape)
        await file.write(header, 0, header.length, IMMUTABLE_HEADER)
        const body = Buffer.concat([...blocks.map(each => each[share]!), tail])
        await file.write(body, 0, body.length, IMMUTABLE_HEADER + header.length + gap)
        await file.close()
      }
      const downloads = new Downloads(() => folders.servers, silent)
      const range = { start: 0, end: size }
      t.true((await bytesOf(downloads.read(parseCap(cap), range))).equals(content))
    })

test('the layout is 2 only where offsets do not fit into 32 bits', t => {
  const links = 4
  const around = [11, 12].map(gib => layoutOf(shapeOf(gib * GIB, 3, 10), links))
  t.deepEqual(
    around.map(({ version }) => version),
    [1, 2],
  )
  for (const { data, extension } of around) t.true(extension > data && Number.isSafeInteger(extension))
})
