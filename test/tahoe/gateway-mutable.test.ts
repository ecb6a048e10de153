// Mutable files of a real Tahoe-LAFS node.

import test, { type ExecutionContext } from 'ava'
import type { Cap } from '../../src/tahoe/cap.ts'
import { gateway } from '../../src/tahoe/gateway/gateway.ts'
import type { Grid } from '../../src/tahoe/grid.ts'
import { faultyGateway } from '../support/faulty-gateway.ts'
import { fresh, loseShares, put, type SharedNode, tahoeFor, web } from '../support/tahoe.ts'
import { bytesOf, drain, sourceOf } from '../support/tahoe-bytes.ts'

const MIB = 1 << 20
const all = { start: 0, end: MIB }

function real(
  title: string,
  body: (t: ExecutionContext, world: { node: SharedNode; grid: Grid }) => Promise<void>,
): void {
  test(`real node: ${title}`, async t => {
    const node = await tahoeFor(t)
    if (node === null) return
    const grid = gateway(node.url)
    t.teardown(() => grid.close())
    await body(t, { node, grid })
  })
}

/** Somebody else's write. */
const other = (node: SharedNode, cap: Cap, bytes: Uint8Array) =>
  web(node, 'PUT', `/uri/${encodeURIComponent(cap.uri())}`, bytes)

for (const format of ['SDMF', 'MDMF']) {
  real(`${format}: size and version are one moment's, and reading is by them`, async (t, { node, grid }) => {
    const bytes = fresh(300_000)
    const cap = await put(node, bytes, `?format=${format}`)
    const one = await grid.stat(cap)
    t.is(one.size, bytes.length)
    t.deepEqual(await grid.stat(cap.readonly()), one)
    const { version } = one
    t.deepEqual(await bytesOf(grid.read(cap, all, { version })), bytes)
    t.deepEqual(
      await bytesOf(grid.read(cap.readonly(), { start: 131_000, end: 140_000 }, { version })),
      bytes.subarray(131_000, 140_000),
    )
    t.is((await bytesOf(grid.read(cap, { start: 300_000, end: 400_000 }, { version }))).length, 0)
    t.deepEqual(await bytesOf(grid.read(cap, all)), bytes, 'without a version it is the present one')
  })

  real(`${format}: another version in the grid is ESTALE before any byte`, async (t, { node, grid }) => {
    const cap = await put(node, fresh(1000), `?format=${format}`)
    const { version } = await grid.stat(cap)
    await other(node, cap, fresh(1000))
    const { got, err } = await drain(grid.read(cap, all, { version }))
    t.is(got.length, 0)
    t.is((err as { code?: string }).code, 'ESTALE')
    t.not((await grid.stat(cap)).version, version)
  })

  real(
    `${format}: overwriting keeps the cap, changes the version, and reads back`,
    async (t, { node, grid }) => {
      const cap = await put(node, fresh(1000), `?format=${format}`)
      const first = await grid.stat(cap)
      for (const size of [200_000, 0, 5]) {
        const bytes = fresh(size)
        const { version: expected } = await grid.stat(cap)
        const after = await grid.overwrite(cap, sourceOf(bytes), { expected })
        t.is(after.size, size)
        t.not(after.version, first.version)
        t.deepEqual(await bytesOf(grid.read(cap, all, { version: after.version })), bytes)
      }
    },
  )

  real(
    `${format}: overwriting what is no longer at its version is ESTALE and writes nothing`,
    async (t, { node, grid }) => {
      const cap = await put(node, fresh(1000), `?format=${format}`)
      const { version: expected } = await grid.stat(cap)
      const theirs = fresh(1000)
      await other(node, cap, theirs)
      await t.throwsAsync(grid.overwrite(cap, sourceOf(fresh(1000)), { expected }), { code: 'ESTALE' })
      t.deepEqual(await bytesOf(grid.read(cap, all)), theirs)
    },
  )
}

real('a mutable file whose shares are gone is EAGAIN', async (t, { node, grid }) => {
  const cap = await put(node, fresh(1000), '?format=SDMF')
  const { version } = await grid.stat(cap)
  await loseShares(node, cap)
  await t.throwsAsync(grid.stat(cap), { code: 'EAGAIN' })
  await t.throwsAsync(bytesOf(grid.read(cap, all, { version })), { code: 'EAGAIN' })
})

real('more than 1 MiB at a time, or a version that is none, is EINVAL', async (t, { node, grid }) => {
  const cap = await put(node, fresh(MIB + 1), '?format=MDMF')
  await t.throwsAsync(bytesOf(grid.read(cap, { start: 0, end: MIB + 1 })), { code: 'EINVAL' })
  await t.throwsAsync(bytesOf(grid.read(cap, all, { version: 'yesterday' })), { code: 'EINVAL' })
})

real(
  'an overwrite whose answer is lost is found done, and one that never arrived is EAGAIN',
  async (t, { node }) => {
    const cap = await put(node, fresh(1000), '?format=SDMF')
    let how: 'whole' | 'lost' | 'refused' = 'whole'
    const between = await faultyGateway({
      fault: asked => {
        if (asked.method !== 'PUT' || how === 'whole') return null
        return how === 'lost' ? { answer: 'lost' } : { status: 500, body: 'UncoordinatedWriteError' }
      },
      async answer(asked, bytes) {
        if (asked.method === 'PUT' && how === 'refused') return { status: 500, text: '' }
        // A stand-in cannot pass on ranges of binary bytes as text, so it must not be asked for any.
        const init = { method: asked.method, ...(bytes.length > 0 ? { body: new Uint8Array(bytes) } : {}) }
        const answer = await fetch(node.url.replace(/\/$/, '') + asked.path, init)
        return { status: answer.status, text: await answer.text() }
      },
    })
    const grid = gateway(between.url)
    const straight = gateway(node.url)
    t.teardown(async () => {
      await grid.close()
      await straight.close()
      await between.close()
    })
    const { version: expected } = await straight.stat(cap)
    const bytes = fresh(500)
    how = 'refused'
    await t.throwsAsync(grid.overwrite(cap, sourceOf(bytes), { expected }), { code: 'EAGAIN' })
    t.is((await straight.stat(cap)).version, expected)
    t.is((await straight.overwrite(cap, sourceOf(bytes), { expected })).size, 500)
  },
)
