// Mutable files of a real Tahoe-LAFS node.

import test, { type ExecutionContext } from 'ava'
import type { Cap } from '../../src/tahoe/cap.ts'
import { gateway } from '../../src/tahoe/gateway/gateway.ts'
import type { Grid } from '../../src/tahoe/grid.ts'
import { faultyGateway } from '../support/faulty-gateway.ts'
import { fresh, loseShares, onTahoe, put, type SharedNode, web } from '../support/tahoe.ts'
import { bytesOf, drain, sourceOf } from '../support/tahoe-bytes.ts'

const MIB = 1 << 20
const all = { start: 0, end: MIB }

function real(
  title: string,
  body: (t: ExecutionContext, world: { node: SharedNode; grid: Grid }) => Promise<void>,
): void {
  onTahoe(test, title, async (t, node) => {
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
  'an overwrite whose answer is lost is found done; one that failed is EAGAIN; one overtaken is ESTALE',
  async (t, { node, grid }) => {
    const cap = await put(node, fresh(1000), '?format=SDMF')
    const ours = fresh(500)
    const theirs = fresh(500)
    let how: 'lost' | 'refused' | 'overtaken' = 'lost'
    const between = await faultyGateway({
      // What reads of the content are served, where the client asks for it.
      get file() {
        return how === 'overtaken' ? theirs : ours
      },
      fault: asked => {
        if (asked.method !== 'PUT') return null
        return how === 'refused' ? { status: 500, body: 'UncoordinatedWriteError' } : { answer: 'lost' }
      },
      async answer(asked, bytes) {
        const body = asked.method !== 'PUT' ? null : how === 'overtaken' ? theirs : bytes
        const init = { method: asked.method, ...(body === null ? {} : { body: new Uint8Array(body) }) }
        const answer = await fetch(node.url.replace(/\/$/, '') + asked.path, init)
        return { status: answer.status, text: await answer.text() }
      },
    })
    const through = gateway(between.url)
    t.teardown(async () => {
      await through.close()
      await between.close()
    })
    const overwrite = async () => {
      const { version: expected } = await grid.stat(cap)
      return await through.overwrite(cap, sourceOf(ours), { expected })
    }
    t.is((await overwrite()).size, 500)
    t.deepEqual(await bytesOf(grid.read(cap, all)), ours)
    how = 'refused'
    await t.throwsAsync(overwrite(), { code: 'EAGAIN' })
    how = 'overtaken'
    await t.throwsAsync(overwrite(), { code: 'ESTALE' })
    t.deepEqual(await bytesOf(grid.read(cap, all)), theirs)
  },
)
