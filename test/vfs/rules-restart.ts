// What a Vfs must still know when it is ended and begun again.

import type { CreateHow } from '../../src/vfs/vfs.ts'
import type { Can, Spec } from './conformance.ts'
import { fails } from './rules-read.ts'
import { at, content, entries, make, snapshot } from './walk.ts'

export function restartRules(spec: Spec, can: Can): void {
  spec(
    'ids stay across a restart, and so do handles and cookies, and every attribute to the nanosecond',
    async (t, vfs, restart) => {
      const dir = (await at(vfs, 'many')).id
      const [before, lines] = [await snapshot(vfs), await entries(vfs, dir)]
      const after = await restart()
      t.is(after.root, vfs.root)
      // Handles that clients hold: they do not look up the names again.
      for (const [path, attr] of before) t.deepEqual(await after.getattr(attr.id), attr, path)
      const half = lines[149]!.cookie
      t.deepEqual(await entries(after, dir, half), lines.slice(150))
      t.deepEqual(await snapshot(after), before)
    },
  )

  spec('after a restart the write verifier is another', async (t, vfs, restart) => {
    const before = Buffer.from(vfs.writeverf)
    t.notDeepEqual(Buffer.from((await restart()).writeverf), before)
  })

  if (!can.write) return

  spec('what was committed, kept, or written stable is there after a restart', async (t, vfs, restart) => {
    const [committed, kept, stable] = [
      await make(vfs, vfs.root, 'committed'),
      await make(vfs, vfs.root, 'kept'),
      await make(vfs, vfs.root, 'stable'),
    ]
    await vfs.write(committed, 0, Buffer.from('one'), 'unstable')
    await vfs.commit(committed)
    t.false((await vfs.write(kept, 0, Buffer.from('and'), 'kept')).stable)
    await vfs.write(stable, 70_000, Buffer.from('two'), 'stable')
    const before = await snapshot(vfs)
    const after = await restart()
    t.deepEqual(await snapshot(after), before)
    t.is((await content(after, committed)).toString(), 'one')
    t.is((await content(after, kept)).toString(), 'and')
    t.true((await content(after, stable)).equals(Buffer.concat([Buffer.alloc(70_000), Buffer.from('two')])))
  })

  spec('a size that was set, by whatever set it, is there after a restart', async (t, vfs, restart) => {
    const [small, literal] = [await at(vfs, 'small.txt'), await at(vfs, 'literal')]
    await vfs.setattr(small.id, { size: 10 })
    await vfs.create(vfs.root, 'literal', { mode: 'unchecked', attrs: { size: 100_000 } })
    await vfs.create(vfs.root, 'new', { mode: 'guarded', attrs: { size: 7 } })
    const before = await snapshot(vfs)
    const after = await restart()
    t.deepEqual(await snapshot(after), before)
    t.is((await content(after, small.id)).length, 10)
    t.is((await content(after, literal.id)).length, 100_000)
  })

  spec('an exclusive create is known again after a restart', async (t, vfs, restart) => {
    const how = (createverf: string): CreateHow => ({
      mode: 'exclusive',
      createverf: Buffer.from(createverf),
    })
    const { attr } = await vfs.create(vfs.root, 'new', how('verifier'))
    const after = await restart()
    t.deepEqual((await after.create(after.root, 'new', how('verifier'))).attr, attr)
    await fails(t, after.create(after.root, 'new', how('another.')), 'EEXIST')
  })

  spec('a call that comes again after a restart gets the answer it had', async (t, vfs, restart) => {
    const made = await vfs.mkdir(vfs.root, 'new', {}, { once: 'mkdir' })
    const removed = await vfs.remove(vfs.root, 'small.txt', { once: 'remove' })
    const after = await restart()
    t.deepEqual(await after.mkdir(after.root, 'new', {}, { once: 'mkdir' }), made)
    t.deepEqual(await after.remove(after.root, 'small.txt', { once: 'remove' }), removed)
  })

  spec(
    'a removed inode stays away after a restart, and its id is given to no other',
    async (t, vfs, restart) => {
      const { id } = await at(vfs, 'small.txt')
      await vfs.remove(vfs.root, 'small.txt')
      const after = await restart()
      await fails(t, after.getattr(id), 'ESTALE')
      await fails(t, after.lookup(after.root, 'small.txt'), 'ENOENT')
      for (let i = 0; i < 10; i++) t.not(await make(after, after.root, `new ${i}`), id)
    },
  )
}
