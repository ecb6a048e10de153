// What a Vfs that can write must do for calls that come twice, and for inodes that someone holds.

import fc from 'fast-check'
import type { Attr, ChangingCall, CreateHow, Vfs } from '../../src/vfs/vfs.ts'
import type { Spec } from './conformance.ts'
import { operation, perform } from './operations.ts'
import { fails } from './rules-read.ts'
import { at, content, everything, make, names, snapshot } from './walk.ts'

const guarded: CreateHow = { mode: 'guarded', attrs: {} }

/** Changes that a second try would refuse, or repeat. */
const changes: Record<string, (vfs: Vfs, call: ChangingCall) => Promise<unknown>> = {
  create: (vfs, call) => vfs.create(vfs.root, 'new', guarded, call),
  mkdir: (vfs, call) => vfs.mkdir(vfs.root, 'new', {}, call),
  symlink: (vfs, call) => vfs.symlink(vfs.root, 'new', Buffer.from('x'), {}, call),
  link: async (vfs, call) => vfs.link((await at(vfs, 'empty')).id, vfs.root, 'new', call),
  remove: (vfs, call) => vfs.remove(vfs.root, 'small.txt', call),
  rmdir: (vfs, call) => vfs.rmdir(vfs.root, 'nothing', call),
  rename: (vfs, call) => vfs.rename(vfs.root, 'small.txt', vfs.root, 'moved', call),
  setattr: async (vfs, call) => vfs.setattr((await at(vfs, 'empty')).id, { mode: 0o600 }, call),
}

export function repeatRules(spec: Spec): void {
  for (const [what, change] of Object.entries(changes)) {
    spec(`${what} asked twice with one key has one effect and one answer`, async (t, vfs) => {
      const first = await change(vfs, { once: `key of ${what}` })
      const after = await snapshot(vfs)
      t.deepEqual(await change(vfs, { once: `key of ${what}` }), first)
      t.deepEqual(await snapshot(vfs), after)
    })
  }

  spec('a call that comes twice at the same time has one effect', async (t, vfs) => {
    const call = { once: 'same' }
    const [a, b] = await Promise.all([changes.create!(vfs, call), changes.create!(vfs, call)])
    t.deepEqual(a, b)
  })

  spec('an answer is given again after other changes, also to what no longer is', async (t, vfs) => {
    const made = await vfs.create(vfs.root, 'new', guarded, { once: 'create' })
    await vfs.remove(vfs.root, 'new')
    t.deepEqual(await vfs.create(vfs.root, 'new', guarded, { once: 'create' }), made)
    await fails(t, vfs.lookup(vfs.root, 'new'), 'ENOENT')
  })

  spec('another key is another call', async (t, vfs) => {
    await vfs.mkdir(vfs.root, 'new', {}, { once: 'a' })
    await fails(t, vfs.mkdir(vfs.root, 'new', {}, { once: 'b' }), 'EEXIST')
  })

  spec('an error is not kept: the same key may succeed later', async (t, vfs) => {
    await fails(t, vfs.mkdir(vfs.root, 'nothing', {}, { once: 'a' }), 'EEXIST')
    await vfs.rmdir(vfs.root, 'nothing')
    t.is((await vfs.mkdir(vfs.root, 'nothing', {}, { once: 'a' })).attr.kind, 'directory')
  })

  spec('the newest 1,024 answers are kept', async (t, vfs) => {
    const first = await vfs.mkdir(vfs.root, 'new', {}, { once: 'first' })
    const id = await make(vfs, vfs.root, 'busy')
    for (let i = 0; i < 1023; i++) await vfs.setattr(id, { mode: i & 0o777 }, { once: `mode ${i}` })
    t.deepEqual(await vfs.mkdir(vfs.root, 'new', {}, { once: 'first' }), first)
  })

  spec('a call given up before it began has changed nothing, and is not remembered', async (t, vfs) => {
    const before = await snapshot(vfs)
    const call = { once: 'key', signal: AbortSignal.abort() }
    const outcome = await changes.create!(vfs, call).then(
      () => 'done',
      err => err.code,
    )
    if (outcome === 'EAGAIN') t.deepEqual(await snapshot(vfs), before)
    else t.is(outcome, 'done')
    t.truthy(await changes.create!(vfs, { once: 'key' }))
  })

  spec('a removed file lives while it is retained, and not a release longer', async (t, vfs) => {
    const id = await make(vfs, vfs.root, 'new', 'data')
    vfs.retain(id)
    vfs.retain(id)
    t.is((await vfs.remove(vfs.root, 'new')).object.after.nlink, 0)
    await vfs.write(id, 4, Buffer.from(' and more'), 'stable')
    t.is((await content(vfs, id)).toString(), 'data and more')
    t.is((await vfs.getattr(id)).nlink, 0)
    vfs.release(id)
    t.is((await vfs.getattr(id)).size, 13)
    vfs.release(id)
    await fails(t, vfs.getattr(id), 'ESTALE')
  })

  spec('a file that is replaced lives while it is retained', async (t, vfs) => {
    const [old, kept] = [await at(vfs, 'literal'), await content(vfs, (await at(vfs, 'literal')).id)]
    vfs.retain(old.id)
    await vfs.rename(vfs.root, 'small.txt', vfs.root, 'literal')
    t.deepEqual(await content(vfs, old.id), kept)
    vfs.release(old.id)
    await fails(t, vfs.read(old.id, 0, 1), 'ESTALE')
  })

  spec('a removed directory that is retained lists nothing and takes no names', async (t, vfs) => {
    const { id } = await at(vfs, 'nothing')
    vfs.retain(id)
    await vfs.rmdir(vfs.root, 'nothing')
    t.deepEqual(await names(vfs, id), [])
    await fails(t, vfs.lookup(id, 'new'), 'ENOENT')
    await fails(t, vfs.create(id, 'new', guarded), 'ENOENT')
    await fails(t, vfs.rename(vfs.root, 'small.txt', id, 'new'), 'ENOENT')
    vfs.release(id)
    await fails(t, vfs.list(id, 0n), 'ESTALE')
  })

  spec(
    'whatever is done, links are counted, names lead to what is listed, and no time goes back',
    async (t, vfs) => {
      let runs = 0
      await fc.assert(
        fc.asyncProperty(fc.array(operation, { minLength: 20, maxLength: 60 }), async operations => {
          const base = (await vfs.mkdir(vfs.root, `run ${runs++}`, {})).attr.id
          const times = new Map<bigint, Attr>()
          for (const each of operations) {
            await perform(vfs, base, each)
            await holdsTogether(vfs, times)
          }
        }),
        { numRuns: 20 },
      )
      t.pass()
    },
  )
}

/** Throws for the first thing that is not as it must be. `earlier` is what was seen the last time. */
async function holdsTogether(vfs: Vfs, earlier: Map<bigint, Attr>): Promise<void> {
  const links = new Map<bigint, number>()
  for await (const { path, attr, entry } of everything(vfs)) {
    const must = (truth: boolean, what: string) => {
      if (!truth) throw new Error(`${path || 'the root'}: ${what}`)
    }
    links.set(attr.id, (links.get(attr.id) ?? 0) + 1)
    if (entry) must(entry.id === attr.id, 'lookup finds another inode than the one listed')
    const before = earlier.get(attr.id)
    if (before) {
      must(attr.generation === before.generation && attr.kind === before.kind, 'an id became another inode')
      must(attr.ctime >= before.ctime, 'ctime went back')
      must(attr.mtime >= before.mtime || attr.mtime === 7n, 'mtime went back') // 7n: set by an operation
      const { ctime, ...rest } = attr
      const same = Object.entries(rest).every(([key, value]) => before[key as keyof Attr] === value)
      must(same || ctime > before.ctime, 'it changed, and ctime did not')
    }
    earlier.set(attr.id, attr)
  }
  for await (const { path, attr } of everything(vfs)) {
    if (attr.kind === 'directory') {
      if (links.get(attr.id) !== 1) throw new Error(`${path}: a directory with two names`)
    } else if (attr.nlink !== links.get(attr.id)) {
      throw new Error(`${path}: ${links.get(attr.id)} names, nlink ${attr.nlink}`)
    }
  }
}
