// Changes to directories of a real Tahoe-LAFS node, some through a gateway in front
// of it that loses answers and lets others in between.

import test, { type ExecutionContext } from 'ava'
import type { Cap } from '../../src/tahoe/cap.ts'
import { gateway } from '../../src/tahoe/gateway/gateway.ts'
import type { Child, Grid, Outcome } from '../../src/tahoe/grid.ts'
import { child, lit, set, unlink } from '../support/edits.ts'
import { type Asked, type Fault, type FaultyGateway, faultyGateway } from '../support/faulty-gateway.ts'
import { fresh, onTahoe, put, type SharedNode, web } from '../support/tahoe.ts'

type World = {
  node: SharedNode
  grid: Grid
  between: FaultyGateway
  faults: (choose: (asked: Asked) => Fault | null) => void
  before: (deed: (asked: Asked) => Promise<unknown>) => void
}

/** The real node behind a gateway that passes everything on, until it is told otherwise. */
function real(title: string, body: (t: ExecutionContext, world: World) => Promise<void>): void {
  onTahoe(test, title, async (t, node) => {
    let fault: (asked: Asked) => Fault | null = () => null
    let first: (asked: Asked) => Promise<unknown> = async () => {}
    const between = await faultyGateway({
      fault: asked => fault(asked),
      async answer(asked, bytes) {
        await first(asked)
        const init = { method: asked.method, ...(bytes.length > 0 ? { body: bytes.toString() } : {}) }
        const answer = await fetch(node.url.replace(/\/$/, '') + asked.path, init)
        return { status: answer.status, text: await answer.text() }
      },
    })
    const grid = gateway(between.url)
    t.teardown(async () => {
      await grid.close()
      await between.close()
    })
    await body(t, {
      node,
      grid,
      between,
      faults: choose => {
        fault = choose
      },
      before: deed => {
        first = deed
      },
    })
  })
}

const done = { done: true } as const
const found = (outcome: Outcome): Cap | null => (outcome.done ? null : outcome.found)
const refused = (found: Cap | null) => ({ done: false, found }) as const

const changes = (between: FaultyGateway): string[] =>
  between.asked
    .filter(one => /t=(set_children|unlink)/.test(one.path))
    .map(one =>
      one.path.includes('t=unlink') ? 'unlink' : (/replace=(.*)$/.exec(one.path)?.[1] ?? 'no replace='),
    )

const names = (listing: { children: ReadonlyMap<string, Child> }) =>
  Object.fromEntries(
    [...listing.children].map(([name, { cap }]) => [
      name,
      cap.kind === 'LIT' ? cap.data().toString() : cap.kind,
    ]),
  )

/** Somebody else's hand in the directory. */
const other = (node: SharedNode, dir: Cap, name: string, text: string) =>
  web(node, 'PUT', `/uri/${encodeURIComponent(dir.uri())}/${encodeURIComponent(name)}`, Buffer.from(text))

real(
  'sets, replacements and unlinks in one edit: few publishes, sets before unlinks, all verified',
  async (t, w) => {
    const dir = await w.grid.mkdir(
      new Map([
        ['old', child('1')],
        ['gone', child('2')],
        ['stays', child('3')],
      ]),
    )
    const { outcomes, listing } = await w.grid.edit(dir, [
      unlink('gone', lit('2')),
      set('new', child('4')),
      set('newer', child('5')),
      set('old', child('6'), lit('1')),
    ])
    t.deepEqual(outcomes, [done, done, done, done])
    t.deepEqual(names(listing), { old: '6', stays: '3', new: '4', newer: '5' })
    t.deepEqual(changes(w.between), ['false', 'only-files', 'unlink'])
  },
)

real('each edit is refused with what is there instead, and the others go on', async (t, w) => {
  const dir = await w.grid.mkdir(
    new Map([
      ['a', child('1')],
      ['b', child('2')],
    ]),
  )
  const { outcomes, listing } = await w.grid.edit(dir, [
    set('a', child('x')), // expected nothing
    set('b', child('x'), lit('other')),
    set('c', child('x'), lit('other')), // expected something
    set('d', child('y')),
  ])
  t.deepEqual(
    outcomes.map(one => one.done),
    [false, false, false, true],
  )
  t.true(found(outcomes[0]!)!.same(lit('1')))
  t.true(found(outcomes[1]!)!.same(lit('2')))
  t.deepEqual(outcomes[2], refused(null))
  t.deepEqual(names(listing), { a: '1', b: '2', d: 'y' })
  const gone = await w.grid.edit(dir, [unlink('a', lit('other')), unlink('b', lit('2'))])
  t.is(gone.outcomes[0]!.done, false)
  t.deepEqual(names(gone.listing), { a: '1', d: 'y' })
})

real('what is done already is done, and costs one listing', async (t, w) => {
  const dir = await w.grid.mkdir()
  const edits = [set('a', child('1', { mine: 1 })), unlink('nothing', lit('x'))]
  t.deepEqual((await w.grid.edit(dir, edits)).outcomes, [done, done])
  const asked = w.between.asked.length
  t.deepEqual((await w.grid.edit(dir, edits)).outcomes, [done, done])
  t.is(w.between.asked.length, asked + 1)
})

real('new metadata for the same cap is a change', async (t, w) => {
  const dir = await w.grid.mkdir(new Map([['a', child('1', { mtime: 1 })]]))
  const { outcomes, listing } = await w.grid.edit(dir, [set('a', child('1', { mtime: 2 }), lit('1'))])
  t.deepEqual(outcomes, [done])
  t.is(listing.children.get('a')!.metadata.mtime, 2)
})

real('a directory under another name is expected by any of its caps', async (t, w) => {
  const sub = await w.grid.mkdir()
  const dir = await w.grid.mkdir(new Map([['sub', { cap: sub, metadata: {} }]]))
  const moved = await w.grid.edit(dir, [
    set('dir', { cap: sub, metadata: {} }),
    unlink('sub', sub.readonly()),
  ])
  t.deepEqual(moved.outcomes, [done, done])
  t.is(moved.listing.children.get('dir')!.cap.uri(), sub.uri())
})

real(
  'one name taken between our listing and our link: nothing is overwritten, and the rest is linked',
  async (t, w) => {
    const dir = await w.grid.mkdir()
    let once = true
    w.before(async asked => {
      if (!asked.path.includes('t=set_children') || !once) return
      once = false
      await other(w.node, dir, 'b', 'theirs')
    })
    const { outcomes, listing } = await w.grid.edit(
      dir,
      ['a', 'b', 'c'].map(name => set(name, child('ours'))),
    )
    t.deepEqual(
      outcomes.map(one => one.done),
      [true, false, true],
    )
    t.is(found(outcomes[1]!)!.data().toString(), 'theirs')
    t.deepEqual(names(listing), { a: 'ours', b: 'theirs', c: 'ours' })
    t.deepEqual(changes(w.between), ['false', 'false'])
  },
)

real('a file that became a directory in between is not destroyed by its replacement', async (t, w) => {
  const dir = await w.grid.mkdir(new Map([['a', child('1')]]))
  let once = true
  w.before(async asked => {
    if (!asked.path.includes('t=set_children') || !once) return
    once = false
    await web(w.node, 'POST', `/uri/${encodeURIComponent(dir.uri())}?t=mkdir&name=a`)
  })
  const { outcomes, listing } = await w.grid.edit(dir, [set('a', child('2'), lit('1'))])
  t.is(outcomes[0]!.done, false)
  t.deepEqual(names(listing), { a: 'DIR2' })
})

real('an edit whose answer is lost after the deed is found done, and not done twice', async (t, w) => {
  const dir = await w.grid.mkdir(new Map([['gone', child('1')]]))
  const lost = new Set<string>()
  w.faults(asked => {
    const kind = asked.path.includes('t=unlink')
      ? 'unlink'
      : asked.path.includes('set_children')
        ? 'set'
        : null
    if (kind === null || lost.has(kind)) return null
    lost.add(kind)
    return { answer: 'lost' }
  })
  const { outcomes, listing } = await w.grid.edit(dir, [set('a', child('2')), unlink('gone', lit('1'))])
  t.deepEqual(outcomes, [done, done])
  t.deepEqual(names(listing), { a: '2' })
  t.deepEqual(changes(w.between), ['false', 'unlink'])
})

real(
  'after an UncoordinatedWriteError it is read again what is there, and only then tried again',
  async (t, w) => {
    const dir = await w.grid.mkdir()
    let errors = 0
    w.faults(asked => {
      if (!asked.path.includes('set_children') || errors === 2) return null
      errors += 1
      return { status: 500, body: 'Traceback…\nallmydata.mutable.common.UncoordinatedWriteError: ' }
    })
    const { outcomes } = await w.grid.edit(dir, [set('a', child('1'))])
    t.deepEqual(outcomes, [done])
    const order = w.between.asked.slice(1).map(one => (one.method === 'GET' ? 'list' : 'set'))
    t.deepEqual(order, ['list', 'set', 'list', 'set', 'list', 'set', 'list'])
  },
)

real(
  'an edit that the node never does is EAGAIN in the end; one that it will always refuse is so at once',
  async (t, w) => {
    t.timeout(120_000)
    const dir = await w.grid.mkdir()
    w.faults(asked => (asked.path.includes('set_children') ? { status: 500, body: 'no' } : null))
    await t.throwsAsync(w.grid.edit(dir, [set('a', child('1'))]), { code: 'EAGAIN' })
    w.faults(asked => (asked.path.includes('set_children') ? { status: 403, body: 'no' } : null))
    const before = changes(w.between).length
    await t.throwsAsync(w.grid.edit(dir, [set('a', child('1'))]), { code: 'EACCES' })
    t.is(changes(w.between).length, before + 1)
  },
)

real('a link that the node acknowledged and lost again is made again', async (t, w) => {
  const dir = await w.grid.mkdir()
  let lies = 1
  w.faults(asked =>
    asked.path.includes('set_children') && lies-- > 0 ? { status: 200, body: 'Okay so I did it.' } : null,
  )
  const { outcomes, listing } = await w.grid.edit(dir, [set('a', child('1'))])
  t.deepEqual(outcomes, [done])
  t.deepEqual(names(listing), { a: '1' })
  t.deepEqual(changes(w.between), ['false', 'false'])
})

real('twenty edits of one directory at the same time are all there', async (t, w) => {
  const dir = await w.grid.mkdir()
  const numbers = Array.from({ length: 20 }, (_, i) => i)
  await Promise.all(numbers.map(i => w.grid.edit(dir, [set(`${i}`, child(`${i}`))])))
  t.is((await w.grid.list(dir)).children.size, 20)
})

real('one who gives up while waiting for another edit of the directory has changed nothing', async (t, w) => {
  const dir = await w.grid.mkdir()
  const stop = new AbortController()
  const first = w.grid.edit(dir, [set('a', child('1'))])
  const second = w.grid.edit(dir, [set('b', child('2'))], { signal: stop.signal })
  stop.abort()
  await t.throwsAsync(second, { code: 'EAGAIN' })
  t.deepEqual(names((await first).listing), { a: '1' })
  t.deepEqual(names((await w.grid.edit(dir, [])).listing), { a: '1' })
})

real(
  'a directory can be made with its children in one request, and a lost answer is EAGAIN',
  async (t, w) => {
    const file = await put(w.node, fresh(1000))
    const before = w.between.asked.length
    const dir = await w.grid.mkdir(
      new Map([
        ['a', { cap: file, metadata: { x: 1 } }],
        ['b', child('2')],
      ]),
    )
    t.is(w.between.asked.length, before + 1)
    t.is(dir.authority, 'write')
    t.deepEqual(names(await w.grid.list(dir)), { a: 'CHK', b: '2' })
    w.faults(() => ({ answer: 'lost' }))
    await t.throwsAsync(w.grid.mkdir(), { code: 'EAGAIN' })
  },
)

real('no-write makes a child that only reads, and that is what was asked for', async (t, w) => {
  const sub = await w.grid.mkdir()
  const dir = await w.grid.mkdir()
  const { outcomes, listing } = await w.grid.edit(dir, [
    set('s', { cap: sub, metadata: { 'no-write': true } }),
  ])
  t.deepEqual(outcomes, [done])
  t.is(listing.children.get('s')!.cap.authority, 'read')
})

real('an unlink after a set is done once the set is, and refused with it', async (t, w) => {
  const dir = await w.grid.mkdir(new Map(['a', 'b', 'c', 'taken'].map(name => [name, child(name)])))
  const { outcomes, listing } = await w.grid.edit(dir, [
    unlink('a', lit('a'), 'cafe\u0301'),
    unlink('b', lit('b'), 'taken'),
    unlink('nothing', lit('x'), 'taken'),
    unlink('c', lit('other'), 'caf\u00e9'),
    set('caf\u00e9', child('a')),
    set('taken', child('b')),
  ])
  t.deepEqual(
    outcomes.map(one => one.done),
    [true, false, false, false, true, false],
  )
  t.is(found(outcomes[1]!)!.data().toString(), 'b')
  t.deepEqual(outcomes[2], refused(null))
  t.is(found(outcomes[3]!)!.data().toString(), 'c')
  t.deepEqual(names(listing), { 'caf\u00e9': 'a', b: 'b', c: 'c', taken: 'taken' })
  t.deepEqual(changes(w.between), ['false', 'unlink'])
})

real('a set refused only when it is sent keeps the unlink after it from being sent', async (t, w) => {
  const dir = await w.grid.mkdir(new Map([['old', child('1')]]))
  let once = true
  w.before(async asked => {
    if (!asked.path.includes('t=set_children') || !once) return
    once = false
    await other(w.node, dir, 'new', 'theirs')
  })
  const { outcomes, listing } = await w.grid.edit(dir, [
    set('new', child('1')),
    unlink('old', lit('1'), 'new'),
  ])
  t.is(found(outcomes[0]!)!.data().toString(), 'theirs')
  t.is(found(outcomes[1]!)!.data().toString(), '1')
  t.deepEqual(names(listing), { old: '1', new: 'theirs' })
  t.deepEqual(changes(w.between), ['false'])
})

real('an unlink waits for a set whose answers are errors, and is sent after it', async (t, w) => {
  const dir = await w.grid.mkdir(new Map([['old', child('1')]]))
  let errors = 0
  w.faults(asked =>
    asked.path.includes('set_children') && errors++ < 2 ? { status: 500, body: 'no' } : null,
  )
  const { outcomes } = await w.grid.edit(dir, [unlink('old', lit('1'), 'new'), set('new', child('1'))])
  t.deepEqual(outcomes, [done, done])
  t.deepEqual(changes(w.between), ['false', 'false', 'false', 'unlink'])
})

real('an unlink after what is no set of the same call is EINVAL, and nothing is asked', async (t, w) => {
  const dir = await w.grid.mkdir(new Map([['a', child('1')]]))
  const asked = w.between.asked.length
  for (const edits of [
    [unlink('a', lit('1'), 'b')],
    [unlink('a', lit('1'), 'a')],
    [unlink('a', lit('1'), 'b'), unlink('b', lit('2'))],
  ]) {
    await t.throwsAsync(w.grid.edit(dir, edits), { code: 'EINVAL' })
  }
  t.is(w.between.asked.length, asked)
})
