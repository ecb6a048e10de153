// What a Vfs that can write must do when names are made and removed.

import type { ExecutionContext } from 'ava'
import type { Attr, Change, CreateHow, FileId, Vfs } from '../../src/vfs/vfs.ts'
import type { Spec } from './conformance.ts'
import { fails, nobody } from './rules-read.ts'
import { at, content, entries, make, names } from './walk.ts'

const guarded: CreateHow = { mode: 'guarded', attrs: {} }

/** `change` says what getattr said before and says now, and ctime grew; mtime too where content or names changed. */
export async function follows(
  t: ExecutionContext,
  vfs: Vfs,
  earlier: Attr,
  change: Change,
  what: 'content' | 'attributes',
) {
  t.deepEqual(change.before, earlier)
  t.deepEqual(change.after, await vfs.getattr(earlier.id))
  t.true(change.after.ctime > earlier.ctime)
  if (what === 'content') t.true(change.after.mtime > earlier.mtime)
  else t.is(change.after.mtime, earlier.mtime)
}

/** Every way to make the name `name` in `dir`. */
const makers = (vfs: Vfs, dir: FileId, name: string, file: FileId): (() => Promise<unknown>)[] => [
  () => vfs.create(dir, name, guarded),
  () => vfs.create(dir, name, { mode: 'exclusive', createverf: Buffer.from('12345678') }),
  () => vfs.mkdir(dir, name, {}),
  () => vfs.symlink(dir, name, Buffer.from('target'), {}),
  () => vfs.link(file, dir, name),
]

export function nameRules(spec: Spec): void {
  spec(
    'a created file is empty, has the mode asked for and one name, and its directory changed',
    async (t, vfs) => {
      const root = await vfs.getattr(vfs.root)
      const { attr, dir } = await vfs.create(vfs.root, 'new', {
        mode: 'guarded',
        attrs: { mode: 0o640, mtime: 5n },
      })
      t.like(attr, { kind: 'file', size: 0, mode: 0o640, nlink: 1, uid: root.uid, gid: root.gid, mtime: 5n })
      t.deepEqual(await at(vfs, 'new'), attr)
      await follows(t, vfs, root, dir, 'content')
    },
  )

  spec('a file may be created with a size: that many zeros', async (t, vfs) => {
    const { attr } = await vfs.create(vfs.root, 'new', { mode: 'guarded', attrs: { size: 5 } })
    t.is(attr.size, 5)
    t.deepEqual(await content(vfs, attr.id), Buffer.alloc(5))
  })

  spec('mkdir makes an empty directory that knows its parent', async (t, vfs) => {
    const root = await vfs.getattr(vfs.root)
    const { attr, dir } = await vfs.mkdir(vfs.root, 'new', { mode: 0o750 })
    t.like(attr, { kind: 'directory', mode: 0o750, uid: root.uid, gid: root.gid })
    t.deepEqual(await names(vfs, attr.id), [])
    t.is((await vfs.lookup(attr.id, '..')).id, vfs.root)
    t.deepEqual(dir.before, root)
    t.deepEqual(dir.after, await vfs.getattr(vfs.root))
    t.true(dir.after.mtime > root.mtime && dir.after.ctime > root.ctime)
  })

  spec('a symlink keeps any bytes as its target, up to 4,096', async (t, vfs) => {
    for (const target of [
      Buffer.from([0xff, 0x2f, 0x00, 0x80]),
      Buffer.alloc(4096, 'x'),
      Buffer.from('../..'),
    ]) {
      const { attr } = await vfs.symlink(vfs.root, `link ${target.length}`, target, {})
      t.like(attr, { kind: 'symlink', size: target.length, nlink: 1 })
      t.deepEqual(Buffer.from((await vfs.readlink(attr.id)).target), target)
    }
    await fails(t, vfs.symlink(vfs.root, 'long', Buffer.alloc(4097, 'x'), {}), 'ENAMETOOLONG')
    await fails(t, vfs.lookup(vfs.root, 'long'), 'ENOENT')
  })

  spec('a name that is taken is EEXIST, in any form, by whatever it was made', async (t, vfs) => {
    const file = await make(vfs, vfs.root, 'caf\u00e9')
    const root = await vfs.getattr(vfs.root)
    for (const name of ['caf\u00e9', 'cafe\u0301', 'nothing', 'link', '.', '..']) {
      for (const maker of makers(vfs, vfs.root, name, file)) await fails(t, maker(), 'EEXIST')
    }
    t.deepEqual(await vfs.getattr(vfs.root), root)
  })

  spec('a name is shown as it was created', async (t, vfs) => {
    await make(vfs, vfs.root, 'cafe\u0301')
    t.true((await names(vfs, vfs.root)).includes('cafe\u0301'))
  })

  spec(
    'a new name in a file is ENOTDIR, in an id never given out ESTALE, a long one ENAMETOOLONG',
    async (t, vfs) => {
      const file = (await at(vfs, 'small.txt')).id
      for (const maker of makers(vfs, file, 'new', file)) await fails(t, maker(), 'ENOTDIR')
      for (const maker of makers(vfs, nobody, 'new', file)) await fails(t, maker(), 'ESTALE')
      for (const maker of makers(vfs, vfs.root, '\u8a9e'.repeat(86), file))
        await fails(t, maker(), 'ENAMETOOLONG')
    },
  )

  spec('unchecked create takes an existing file as it is', async (t, vfs) => {
    const before = await at(vfs, 'small.txt')
    const { attr } = await vfs.create(vfs.root, 'small.txt', { mode: 'unchecked', attrs: { mode: 0o600 } })
    t.deepEqual(attr, before)
    t.deepEqual(await at(vfs, 'small.txt'), before)
  })

  spec('unchecked create of an existing file applies the size, and nothing else', async (t, vfs) => {
    const before = await at(vfs, 'small.txt')
    const how: CreateHow = { mode: 'unchecked', attrs: { size: 0, mode: 0o600 } }
    const { attr, dir } = await vfs.create(vfs.root, 'small.txt', how)
    t.like(attr, { id: before.id, size: 0, mode: before.mode })
    t.true(attr.mtime > before.mtime && attr.ctime > before.ctime)
    t.deepEqual(dir.before, dir.after)
  })

  spec('unchecked create over a directory is EISDIR', async (t, vfs) => {
    await fails(t, vfs.create(vfs.root, 'nothing', { mode: 'unchecked', attrs: {} }), 'EISDIR')
  })

  spec('exclusive create succeeds again with its own verifier alone', async (t, vfs) => {
    const how = (createverf: string): CreateHow => ({
      mode: 'exclusive',
      createverf: Buffer.from(createverf),
    })
    const { attr } = await vfs.create(vfs.root, 'new', how('verifier'))
    const again = await vfs.create(vfs.root, 'new', how('verifier'))
    t.deepEqual(again.attr, attr)
    t.deepEqual(again.dir.before, again.dir.after)
    await fails(t, vfs.create(vfs.root, 'new', how('another.')), 'EEXIST')
    await fails(t, vfs.create(vfs.root, 'small.txt', how('verifier')), 'EEXIST')
  })

  spec('a link is a second name of the same inode, and each shows what the other wrote', async (t, vfs) => {
    const file = await make(vfs, vfs.root, 'one', 'first')
    const before = await vfs.getattr(file)
    const dir = await at(vfs, 'nothing')
    const made = await vfs.link(file, dir.id, 'two')
    t.like(made.attr, { id: file, nlink: 2, mtime: before.mtime, generation: before.generation })
    t.true(made.attr.ctime > before.ctime)
    await follows(t, vfs, dir, made.dir, 'content')
    await vfs.write((await at(vfs, 'nothing', 'two')).id, 0, Buffer.from('F'), 'stable')
    t.is((await content(vfs, (await at(vfs, 'one')).id)).toString(), 'First')
  })

  spec('link of a directory is EISDIR', async (t, vfs) => {
    await fails(t, vfs.link((await at(vfs, 'nested')).id, vfs.root, 'loop'), 'EISDIR')
  })

  spec('remove takes one name; the inode goes with the last', async (t, vfs) => {
    const file = await make(vfs, vfs.root, 'one', 'data')
    await vfs.link(file, vfs.root, 'two')
    const [root, before] = [await vfs.getattr(vfs.root), await vfs.getattr(file)]
    const first = await vfs.remove(vfs.root, 'one')
    await follows(t, vfs, root, first.dir, 'content')
    await follows(t, vfs, before, first.object, 'attributes')
    t.is(first.object.after.nlink, 1)
    t.is((await content(vfs, file)).toString(), 'data')
    t.is((await vfs.remove(vfs.root, 'two')).object.after.nlink, 0)
    await fails(t, vfs.getattr(file), 'ESTALE')
    await fails(t, vfs.lookup(vfs.root, 'two'), 'ENOENT')
  })

  spec('a removed id is ESTALE for whoever writes to it, and a new file has another', async (t, vfs) => {
    const file = await make(vfs, vfs.root, 'new', 'data')
    await vfs.remove(vfs.root, 'new')
    await fails(t, vfs.write(file, 0, Buffer.from('x'), 'unstable'), 'ESTALE')
    await fails(t, vfs.setattr(file, { size: 0 }), 'ESTALE')
    await fails(t, vfs.commit(file), 'ESTALE')
    t.not(await make(vfs, vfs.root, 'new'), file)
  })

  spec('a symlink is removed itself, not what it leads to', async (t, vfs) => {
    await vfs.remove(vfs.root, 'link')
    await fails(t, vfs.lookup(vfs.root, 'link'), 'ENOENT')
    t.is((await at(vfs, 'nested', 'deeper', 'deepest', 'leaf')).kind, 'file')
  })

  spec(
    "remove of a directory is EISDIR, of a missing name ENOENT, of '.' and '..' EINVAL",
    async (t, vfs) => {
      const root = await vfs.getattr(vfs.root)
      await fails(t, vfs.remove(vfs.root, 'nothing'), 'EISDIR')
      await fails(t, vfs.remove(vfs.root, 'missing'), 'ENOENT')
      await fails(t, vfs.remove(vfs.root, '.'), 'EINVAL')
      await fails(t, vfs.remove(vfs.root, '..'), 'EINVAL')
      await fails(t, vfs.remove((await at(vfs, 'empty')).id, 'x'), 'ENOTDIR')
      t.deepEqual(await vfs.getattr(vfs.root), root)
    },
  )

  spec('rmdir removes an empty directory and its id', async (t, vfs) => {
    const [root, nothing] = [await vfs.getattr(vfs.root), await at(vfs, 'nothing')]
    const { dir, object } = await vfs.rmdir(vfs.root, 'nothing')
    t.deepEqual([dir.before, object.before], [root, nothing])
    t.deepEqual(dir.after, await vfs.getattr(vfs.root))
    t.true(dir.after.mtime > root.mtime)
    t.is(object.after.nlink, 0)
    await fails(t, vfs.lookup(vfs.root, 'nothing'), 'ENOENT')
    await fails(t, vfs.list(nothing.id, 0n), 'ESTALE')
    await fails(t, vfs.create(nothing.id, 'x', guarded), 'ESTALE')
  })

  spec('rmdir refuses what holds names, what is no directory, and the dots', async (t, vfs) => {
    await fails(t, vfs.rmdir(vfs.root, 'nested'), 'ENOTEMPTY')
    await fails(t, vfs.rmdir(vfs.root, 'small.txt'), 'ENOTDIR')
    await fails(t, vfs.rmdir(vfs.root, 'link'), 'ENOTDIR')
    await fails(t, vfs.rmdir(vfs.root, 'missing'), 'ENOENT')
    await fails(t, vfs.rmdir(vfs.root, '.'), 'EINVAL')
    await fails(t, vfs.rmdir(vfs.root, '..'), 'EEXIST')
    t.is((await names(vfs, (await at(vfs, 'nested')).id)).length, 1)
  })

  spec('while names come and go, a listing gives every one that stayed exactly once', async (t, vfs) => {
    const dir = (await at(vfs, 'many')).id
    const [seen, gone]: [string[], Set<string>] = [[], new Set()]
    let cookie = 0n
    for (let page = 0; ; page++) {
      const lines = (await entries(vfs, dir, cookie)).slice(0, 20)
      if (lines.length === 0) break
      seen.push(...lines.map(entry => entry.name))
      cookie = lines.at(-1)!.cookie
      // The line that a client resumes after, one before it, and one to come.
      for (const { name } of [lines.at(-1)!, lines[3]!, (await entries(vfs, dir, cookie))[5]].filter(
        line => !!line,
      )) {
        await vfs.remove(dir, name)
        gone.add(name)
      }
      if (page < 5) await make(vfs, dir, `added ${page}`)
    }
    t.is(new Set(seen).size, seen.length)
    const stayed = (await names(vfs, dir)).filter(name => !name.startsWith('added'))
    t.deepEqual(
      stayed.filter(name => !seen.includes(name)),
      [],
    )
    t.is(stayed.length + gone.size, 300 + [...gone].filter(name => name.startsWith('added')).length)
  })
}
