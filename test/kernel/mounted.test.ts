// The kernel's client over a folder of shares: what every mount must do.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { fsxPlan } from '../mounted/mounted.ts'
import type { Plan } from '../mounted/plan.ts'
import { rulesOf } from '../mounted/rules.ts'
import { treeOf } from './image.ts'
import { heldIn, mustEqual } from './listing.ts'
import { Served } from './served.ts'
import { judged } from './suite.ts'

const remount = ['umount $MNT', 'mount 10.0.2.2 $PORT / $MNT'].map(
  words => `sh /project/scripts/mount-nfs.sh ${words}`,
)

const fsx = fsxPlan({
  steps: 2000,
  between: [
    { happens: { sh: 'sync; echo 3 >/proc/sys/vm/drop_caches' }, every: 60, files: 'stay' },
    { happens: { ask: 'kill the server' }, every: 400, files: 'stay' }, // a hard mount: programs wait
    { happens: { sh: ['cd /', ...remount].join(' && ') }, every: 400, files: 'closed' },
  ],
})

/** Judged by readwrite.sh, or by programs that are not in the guest. */
const elsewhere = /^(git|rsync|tar|cp -a|find|zip|vim|Python) |^sqlite .* rollback journal/

const titles = Object.keys(rulesOf({ fsx })).filter(title => !elsewhere.test(title))
const plan: Plan = { titles, limitMs: 120_000, fsx }

await judged(test, 'mounted', {
  scripts: ['mounted', 'gone', 'ended'].map(name => `test/kernel/${name}.sh`),
  besides: { 'test/kernel/mounted.sh': titles },
  image: { node: true },
  memoryMb: 1024,
  timeoutMs: 600_000,
  async world(teardown) {
    const dir = await mkdtemp(join(tmpdir(), 'kernel-mounted-'))
    teardown(() => rm(dir, { recursive: true, force: true }))
    const store = join(dir, 'store')
    const server = await Served.start({ grid: `local:${store}`, root: null })
    teardown(() => server[Symbol.asyncDispose]())
    const files = await treeOf('scripts')
    for (const [to, entry] of await treeOf('test/mounted')) files.set(to, entry)
    return {
      env: { PORT: server.port, PLAN: JSON.stringify(plan), CROWD: '500' },
      files,
      on: {
        async 'kill the server'() {
          await server.kill()
          await server.again()
        },
        publish: () => server.flush(),
        async 'compare with the grid'(seen) {
          const { pending, conflicts, errors } = await server.status()
          const left = [pending.items, conflicts, errors]
          if (left.some(each => each.length > 0)) throw new Error(`left: ${JSON.stringify(left)}`)
          await server.stop()
          mustEqual(await heldIn(store), seen.split('\n').filter(Boolean))
          await server.again()
        },
      },
    }
  },
})
