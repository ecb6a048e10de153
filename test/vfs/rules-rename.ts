// What a Vfs that can write must do when names move.

import type { Spec } from './conformance.ts'
import { follows } from './rules-names.ts'
import { fails, nobody } from './rules-read.ts'
import { at, content, entries, everything, make, names, snapshot } from './walk.ts'

export function renameRules(spec: Spec): void {
  spec('rename moves a name, the inode and its bytes stay, and both directories changed', async (t, vfs) => {
    const file = await at(vfs, 'small.txt')
    const [root, dir] = [await vfs.getattr(vfs.root), await at(vfs, 'nothing')]
    const moved = await vfs.rename(vfs.root, 'small.txt', dir.id, 'moved')
    await follows(t, vfs, root, moved.from, 'content')
    await follows(t, vfs, dir, moved.to, 'content')
    t.deepEqual(moved.object.before, file)
    t.like(moved.object.after, { id: file.id, mtime: file.mtime, size: file.size })
    t.is(moved.replaced, null)
    t.deepEqual(await at(vfs, 'nothing', 'moved'), moved.object.after)
    await fails(t, vfs.lookup(vfs.root, 'small.txt'), 'ENOENT')
  })

  spec('rename within one directory is one change of it', async (t, vfs) => {
    const root = await vfs.getattr(vfs.root)
    const { from, to } = await vfs.rename(vfs.root, 'small.txt', vfs.root, 'other')
    t.deepEqual(from, to)
    await follows(t, vfs, root, from, 'content')
  })

  spec('rename replaces a file, whose inode goes when that was its last name', async (t, vfs) => {
    const [file, old] = [await at(vfs, 'small.txt'), await at(vfs, 'literal')]
    const { replaced } = await vfs.rename(vfs.root, 'small.txt', vfs.root, 'literal')
    t.deepEqual(replaced?.before, old)
    t.is(replaced?.after.nlink, 0)
    t.is((await at(vfs, 'literal')).id, file.id)
    await fails(t, vfs.getattr(old.id), 'ESTALE')
    t.is((await names(vfs, vfs.root)).filter(name => name === 'literal').length, 1)
  })

  spec('rename over one of two names leaves the other', async (t, vfs) => {
    const old = await make(vfs, vfs.root, 'one', 'kept')
    await vfs.link(old, vfs.root, 'two')
    const { replaced } = await vfs.rename(vfs.root, 'small.txt', vfs.root, 'one')
    t.is(replaced?.after.nlink, 1)
    t.is((await content(vfs, (await at(vfs, 'two')).id)).toString(), 'kept')
  })

  spec('rename replaces a symlink as it does a file', async (t, vfs) => {
    await vfs.rename(vfs.root, 'small.txt', vfs.root, 'link')
    t.is((await at(vfs, 'link')).kind, 'file')
  })

  spec('rename replaces an empty directory by a directory', async (t, vfs) => {
    const [nested, nothing] = [await at(vfs, 'nested'), await at(vfs, 'nothing')]
    const { replaced } = await vfs.rename(vfs.root, 'nested', vfs.root, 'nothing')
    t.is(replaced?.before.id, nothing.id)
    t.is((await at(vfs, 'nothing')).id, nested.id)
    t.is((await at(vfs, 'nothing', 'deeper', 'deepest', 'leaf')).kind, 'file')
    await fails(t, vfs.getattr(nothing.id), 'ESTALE')
  })

  spec('rename refuses to replace what is of another kind, or holds names', async (t, vfs) => {
    const before = await snapshot(vfs)
    await fails(t, vfs.rename(vfs.root, 'small.txt', vfs.root, 'nothing'), 'EISDIR')
    await fails(t, vfs.rename(vfs.root, 'link', vfs.root, 'nothing'), 'EISDIR')
    await fails(t, vfs.rename(vfs.root, 'nothing', vfs.root, 'small.txt'), 'ENOTDIR')
    await fails(t, vfs.rename(vfs.root, 'nothing', vfs.root, 'link'), 'ENOTDIR')
    await fails(t, vfs.rename(vfs.root, 'nothing', vfs.root, 'nested'), 'ENOTEMPTY')
    t.deepEqual(await snapshot(vfs), before)
  })

  spec('rename of a name to itself, in either form, changes nothing', async (t, vfs) => {
    await make(vfs, vfs.root, 'caf\u00e9')
    const before = await snapshot(vfs)
    const { from, object, replaced } = await vfs.rename(vfs.root, 'small.txt', vfs.root, 'small.txt')
    t.deepEqual([from.before, object.before, replaced], [from.after, object.after, null])
    await vfs.rename(vfs.root, 'caf\u00e9', vfs.root, 'cafe\u0301')
    await vfs.rename(vfs.root, 'nested', vfs.root, 'nested')
    t.deepEqual(await snapshot(vfs), before)
  })

  spec('rename between two names of one inode succeeds, and both stay', async (t, vfs) => {
    const file = await make(vfs, vfs.root, 'one')
    await vfs.link(file, (await at(vfs, 'nothing')).id, 'two')
    const before = await snapshot(vfs)
    await vfs.rename(vfs.root, 'one', (await at(vfs, 'nothing')).id, 'two')
    t.deepEqual(await snapshot(vfs), before)
  })

  spec('rename that may replace nothing moves a name to where none is', async (t, vfs) => {
    const [file, dir] = [await at(vfs, 'small.txt'), await at(vfs, 'nothing')]
    await vfs.rename(vfs.root, 'small.txt', dir.id, 'moved', { replace: false })
    await vfs.rename(vfs.root, 'nested', vfs.root, 'small.txt', { replace: false })
    t.is((await at(vfs, 'nothing', 'moved')).id, file.id)
    t.is((await at(vfs, 'small.txt')).kind, 'directory')
  })

  spec('rename that may replace nothing is EEXIST over whatever there is', async (t, vfs) => {
    const [file, nothing] = [await make(vfs, vfs.root, 'one'), await at(vfs, 'nothing')]
    await vfs.link(file, nothing.id, 'two')
    const before = await snapshot(vfs)
    const refused = (name: string, dir: bigint, to: string) =>
      fails(t, vfs.rename(vfs.root, name, dir, to, { replace: false }), 'EEXIST')
    await refused('one', vfs.root, 'small.txt')
    await refused('one', vfs.root, 'nested')
    await refused('one', nothing.id, 'two')
    await refused('one', vfs.root, 'one')
    await refused('nested', vfs.root, 'nothing')
    await refused('nested', vfs.root, 'one')
    await refused('nested', vfs.root, 'nested')
    await refused('nested', (await at(vfs, 'nested')).id, 'deeper')
    await fails(t, vfs.rename(vfs.root, 'missing', vfs.root, 'one', { replace: false }), 'ENOENT')
    t.deepEqual(await snapshot(vfs), before)
  })

  spec('of two renames to one name that may replace nothing, one succeeds', async (t, vfs) => {
    await make(vfs, vfs.root, 'other')
    const both = ['small.txt', 'other'].map(name =>
      vfs.rename(vfs.root, name, vfs.root, 'new', { replace: false }),
    )
    const outcomes = (await Promise.allSettled(both)).map(({ status }) => status)
    t.deepEqual(outcomes.sort(), ['fulfilled', 'rejected'])
  })

  spec('a directory below itself is EINVAL', async (t, vfs) => {
    const before = await snapshot(vfs)
    await fails(t, vfs.rename(vfs.root, 'nested', (await at(vfs, 'nested')).id, 'x'), 'EINVAL')
    await fails(
      t,
      vfs.rename(vfs.root, 'nested', (await at(vfs, 'nested', 'deeper', 'deepest')).id, 'x'),
      'EINVAL',
    )
    t.deepEqual(await snapshot(vfs), before)
  })

  spec('a directory over the one that holds it is ENOTEMPTY', async (t, vfs) => {
    await fails(t, vfs.rename((await at(vfs, 'nested')).id, 'deeper', vfs.root, 'nested'), 'ENOTEMPTY')
  })

  spec("a directory that moved has its new parent behind '..', and its ids below", async (t, vfs) => {
    const leaf = await at(vfs, 'nested', 'deeper', 'deepest', 'leaf')
    const deeper = await at(vfs, 'nested', 'deeper')
    const nothing = await at(vfs, 'nothing')
    await vfs.rename((await at(vfs, 'nested')).id, 'deeper', nothing.id, 'moved')
    t.is((await vfs.lookup(deeper.id, '..')).id, nothing.id)
    t.deepEqual(await at(vfs, 'nothing', 'moved', 'deepest', 'leaf'), leaf)
  })

  spec('rename of a missing name is ENOENT, of the dots EINVAL, in a file ENOTDIR', async (t, vfs) => {
    const before = await snapshot(vfs)
    const file = (await at(vfs, 'small.txt')).id
    await fails(t, vfs.rename(vfs.root, 'missing', vfs.root, 'x'), 'ENOENT')
    for (const dots of ['.', '..']) {
      await fails(t, vfs.rename(vfs.root, dots, vfs.root, 'x'), 'EINVAL')
      await fails(t, vfs.rename(vfs.root, 'small.txt', vfs.root, dots), 'EINVAL')
    }
    await fails(t, vfs.rename(file, 'x', vfs.root, 'x'), 'ENOTDIR')
    await fails(t, vfs.rename(vfs.root, 'small.txt', file, 'x'), 'ENOTDIR')
    await fails(t, vfs.rename(nobody, 'x', vfs.root, 'x'), 'ESTALE')
    await fails(t, vfs.rename(vfs.root, 'small.txt', nobody, 'x'), 'ESTALE')
    await fails(t, vfs.rename(vfs.root, 'small.txt', vfs.root, 'l'.repeat(256)), 'ENAMETOOLONG')
    t.deepEqual(await snapshot(vfs), before)
  })

  spec('the spelling of a new name is shown, also where it replaces another', async (t, vfs) => {
    await make(vfs, vfs.root, 'caf\u00e9')
    await vfs.rename(vfs.root, 'small.txt', vfs.root, 'cafe\u0301')
    t.deepEqual(
      (await names(vfs, vfs.root)).filter(name => name.startsWith('caf')),
      ['cafe\u0301'],
    )
  })

  spec('cookies stay good and growing when names are renamed and replaced', async (t, vfs) => {
    const dir = (await at(vfs, 'many')).id
    const all = await entries(vfs, dir)
    const half = all[149]!.cookie
    await vfs.rename(dir, 'entry 010', dir, 'entry 200') // one already listed over one to come
    await vfs.rename(dir, 'entry 250', dir, 'entry 020') // one to come over one already listed
    const rest = new Set((await entries(vfs, dir, half)).map(entry => entry.name))
    const untouched = all.slice(150).filter(({ name }) => name !== 'entry 200' && name !== 'entry 250')
    t.deepEqual(
      untouched.filter(({ name }) => !rest.has(name)),
      [],
    )
    const cookies = (await entries(vfs, dir)).map(entry => entry.cookie)
    t.deepEqual(
      cookies,
      cookies.toSorted((a, b) => Number(a - b)),
    )
    t.is(new Set(cookies).size, 298)
  })

  spec('after many moves every listed name still looks up to the listed inode', async (t, vfs) => {
    const many = (await at(vfs, 'many')).id
    for (let i = 0; i < 50; i++)
      await vfs.rename(many, `entry ${String(i).padStart(3, '0')}`, vfs.root, `moved ${i}`)
    for await (const { entry, attr } of everything(vfs)) if (entry) t.is(entry.id, attr.id)
    t.is((await names(vfs, many)).length, 250)
  })
}
