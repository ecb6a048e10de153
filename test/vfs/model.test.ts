// Whatever is done, whatever fails meanwhile, and whenever the machine dies: the file system
// shows what a plain one would, and the grid has it in the end.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import type { Durability } from '../../src/vfs/vfs.ts'
import { MemFs } from '../support/memfs.ts'
import { Mortal } from '../support/mortal.ts'
import { folder, settled } from '../support/places.ts'
import { TinyGrid } from '../support/tiny-grid.ts'
import { lines, sameElsewhere } from './elsewhere.ts'
import { Keeper } from './keeper.ts'
import { type Operation, operation, perform } from './operations.ts'
import { noise } from './tree.ts'
import { everything } from './walk.ts'

/** What happens besides operations. */
const event = fc.oneof(
  { weight: 3, arbitrary: fc.record({ event: fc.constant('time'), ms: fc.nat(30) }) },
  fc.record({ event: fc.constant('restart') }),
  fc.record({ event: fc.constant('death') }),
  fc.record({ event: fc.constant('kill') }),
  fc.record({
    event: fc.constant('not now'),
    what: fc.constantFrom('upload', 'overwrite', 'edit', 'mkdir', 'list'),
    times: fc.nat(4),
  }),
  fc.record({
    event: fc.constant('answer lost'),
    what: fc.constantFrom('upload', 'overwrite', 'edit', 'mkdir'),
  }),
  fc.record({ event: fc.constant('full'), full: fc.boolean() }),
  fc.record({ event: fc.constant('hold'), what: fc.constantFrom('upload', 'overwrite', 'edit', 'mkdir') }),
  fc.record({ event: fc.constant('release') }),
  fc.record({ event: fc.constant('flush') }),
)
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never

const history = fc.array(fc.oneof({ weight: 4, arbitrary: operation }, { weight: 1, arbitrary: event }), {
  minLength: 5,
  maxLength: 40,
})

/** Without times, which are each file system's own. */
const told = async (vfs: Parameters<typeof lines>[0]) =>
  (await lines(vfs)).map(line => line.replace(/ \d+ (\w+)$/, ' $1'))

/** What kinds of writes there are. Where none is unstable, nothing is committed before the process is killed. */
type Writes = readonly Durability[]

/** Each staging file is full after a few writes. */
const stagingSize = 6 << 20

async function lives(
  t: ExecutionContext,
  steps: readonly (Operation | Event)[],
  writes: Writes,
): Promise<void> {
  const grid = new TinyGrid()
  const [large, small] = [noise(150_000, 'large'), noise(10, 'small')]
  const root = grid.directory({
    a: grid.directory({ b: grid.directory(), c: grid.file(large) }),
    d: grid.mutable(small),
  })
  const dir = await folder(t)
  const oracle = new MemFs({ uid: 1000, gid: 1000 })
  const a = (await oracle.mkdir(oracle.root, 'a', {})).attr.id
  await oracle.mkdir(a, 'b', {})
  for (const [above, name, bytes] of [
    [a, 'c', large],
    [oracle.root, 'd', small],
  ] as const) {
    const { attr } = await oracle.create(above, name, { mode: 'guarded', attrs: { mode: 0o600 } })
    await oracle.write(attr.id, 0, bytes, 'stable')
  }
  const open = () => Mortal.open(dir, grid, root, undefined, { stagingSize })
  const committed = async () => {
    for await (const { attr } of everything(fs)) if (attr.kind === 'file') await fs.commit(attr.id)
  }
  let { machine, fs } = await open()
  let keeper = new Keeper(fs)
  const again = async () => {
    ;({ machine, fs } = await open())
    keeper = new Keeper(fs)
  }
  const holds: (() => void)[] = []
  const happens = async (what: Event) => {
    switch (what.event) {
      case 'time':
        await new Promise(resolve => setTimeout(resolve, 'ms' in what ? what.ms : 0))
        return
      case 'restart':
        await fs.close()
        await again()
        return
      case 'death':
        await committed()
        await machine.die(fs)
        await again()
        return
      case 'kill':
        if (writes.includes('unstable')) await committed()
        await machine.die(fs, 'none')
        await again()
        return
      case 'not now':
        if ('times' in what) grid.notNow[what.what as 'edit'] = what.times
        return
      case 'answer lost':
        if ('what' in what) grid.lostAnswers[what.what as 'edit']++
        return
      case 'hold':
        if ('what' in what) holds.push(grid.hold(what.what as 'edit'))
        return
      case 'release':
        for (const release of holds.splice(0)) release()
        return
      case 'full':
        if ('full' in what) grid.full = what.full
        return
      default:
        void fs.flush(null).catch(() => {}) // nobody waits for it
    }
  }
  await told(fs) // every directory is known: what is not cannot be changed while the grid is silent
  try {
    await keeper.check()
    for (const step of steps) {
      if ('event' in step) await happens(step)
      else {
        const here = await perform(fs, fs.root, step, writes)
        const there = await perform(oracle, oracle.root, step, writes)
        if (here !== there) throw new Error(`${JSON.stringify(step)}: ${here}, and should be ${there}`)
      }
      await keeper.check()
    }
    same(await told(fs), await told(oracle))
    Object.assign(grid, { full: false })
    for (const release of holds.splice(0)) release()
    Object.assign(grid.notNow, { upload: 0, overwrite: 0, edit: 0, mkdir: 0, list: 0 })
    await sameElsewhere(t, fs, grid, root)
    await keeper.check()
    same(await told(fs), await told(oracle))
    same(fs.status().conflicts, [])
    await settled(() => readdirSync(join(dir, 'state', 'staging')).length <= 3) // but for those that grow
  } finally {
    await machine.die(fs)
  }
}

function same(a: unknown, b: unknown): void {
  const [one, other] = [JSON.stringify(a, null, 1), JSON.stringify(b, null, 1)]
  if (one !== other) throw new Error(`${one}\nshould be\n${other}`)
}

for (const [what, writes] of [
  ['', ['stable', 'unstable', 'kept']],
  [', also after every kill', ['kept', 'stable', 'kept']],
] as const)
  test(`whatever is done and whatever fails, what is shown is what a plain file system shows, and the grid has it in the end${what}`, async t => {
    t.timeout(170_000)
    await fc.assert(
      fc.asyncProperty(history, steps => lives(t, steps, writes)),
      { numRuns: Number(process.env.RUNS ?? 50), includeErrorInReport: true },
    )
    t.pass()
  })
