// What a Vfs must tell those who watch it, and for how long what it says is good.

import type { ExecutionContext } from 'ava'
import type { FileId, News, Vfs } from '../../src/vfs/vfs.ts'
import type { Can, Spec } from './conformance.ts'
import { fails, nobody } from './rules-read.ts'
import { at, content, everything, make, snapshot } from './walk.ts'

const line = (news: News): string =>
  news.what === 'name' ? `name ${news.dir} ${news.name}` : `${news.what} ${news.id}`

/** Those things were told of, each once, and nothing else. */
export const same = (t: ExecutionContext, told: readonly News[], expected: readonly string[]) =>
  t.deepEqual(told.map(line).sort(), expected.toSorted())

const attributes = (id: FileId) => `attributes ${id}`
const bytes = (id: FileId) => `content ${id}`
const name = (dir: FileId, what: string) => `name ${dir} ${what}`

/** What is told while `work` is done. */
export async function told(vfs: Vfs, work: () => Promise<unknown>): Promise<News[]> {
  const news: News[] = []
  const stop = vfs.watch(each => news.push(each))
  await work()
  stop()
  return news
}

export function newsRules(spec: Spec, can: Can): void {
  spec('whoever only looks changes nothing, and nothing is told', async (t, vfs) => {
    const news = await told(vfs, async () => {
      for await (const { attr } of everything(vfs))
        if (attr.kind === 'file') await content(vfs, attr.id)
        else if (attr.kind === 'symlink') await vfs.readlink(attr.id)
    })
    same(t, news, [])
  })

  spec('what was just seen is fresh for a while, and what nobody has seen is not', async (t, vfs) => {
    for (const [path, { id }] of await snapshot(vfs)) t.true(vfs.freshFor(id) > 0, path)
    t.is(vfs.freshFor(nobody), 0)
    t.is(vfs.freshFor(0n), 0)
    t.is(vfs.freshFor(-1n), 0)
  })

  if (!can.write) return

  spec('new attributes are told of, and a new size as new content', async (t, vfs) => {
    const [{ id }, dir] = [await at(vfs, 'small.txt'), await at(vfs, 'nothing')]
    for (const change of [{ mode: 0o640 }, { mtime: 5n }, { atime: 'now' }] as const)
      same(t, await told(vfs, () => vfs.setattr(id, change)), [attributes(id)])
    same(t, await told(vfs, () => vfs.setattr(dir.id, { mode: 0o700 })), [attributes(dir.id)])
    for (const size of [10, 10, 20])
      same(t, await told(vfs, () => vfs.setattr(id, { size, mode: 0o600 })), [bytes(id)])
    const how = { mode: 'unchecked', attrs: { size: 0 } } as const
    same(t, await told(vfs, () => vfs.create(vfs.root, 'small.txt', how)), [bytes(id)])
  })

  spec('each write is told of, wherever it is and whether or not it is stable', async (t, vfs) => {
    const { id } = await at(vfs, 'small.txt')
    for (const [offset, stable] of [
      [0, false],
      [500, true],
      [70_000, false],
    ] as const)
      same(t, await told(vfs, () => vfs.write(id, offset, Buffer.from('x'), stable)), [bytes(id)])
    same(t, await told(vfs, () => vfs.commit(id)), [])
    same(t, await told(vfs, () => vfs.write(id, 0, Buffer.alloc(0), true)), [])
  })

  spec('a new name is told of, and of a link also the inode that it leads to', async (t, vfs) => {
    const [dir, { id }] = [(await at(vfs, 'nothing')).id, await at(vfs, 'small.txt')]
    const made = (what: string, make: () => Promise<unknown>) =>
      told(vfs, make).then(news => same(t, news, [name(dir, what)]))
    await made('a', () => vfs.create(dir, 'a', { mode: 'guarded', attrs: { size: 5 } }))
    await made('b', () => vfs.create(dir, 'b', { mode: 'exclusive', createverf: Buffer.from('12345678') }))
    await made('c', () => vfs.mkdir(dir, 'c', {}))
    await made('d', () => vfs.symlink(dir, 'd', Buffer.from('target'), {}))
    same(t, await told(vfs, () => vfs.link(id, dir, 'e')), [name(dir, 'e'), attributes(id)])
  })

  spec('a name that goes is told of, and the inode that it led to', async (t, vfs) => {
    const [one, dir] = [await make(vfs, vfs.root, 'one', 'x'), (await at(vfs, 'nothing')).id]
    await vfs.link(one, dir, 'two')
    const gone = (where: FileId, what: string, id: FileId, remove: () => Promise<unknown>) =>
      told(vfs, remove).then(news => same(t, news, [name(where, what), attributes(id)]))
    await gone(dir, 'two', one, () => vfs.remove(dir, 'two'))
    await gone(vfs.root, 'one', one, () => vfs.remove(vfs.root, 'one'))
    await gone(vfs.root, 'nothing', dir, () => vfs.rmdir(vfs.root, 'nothing'))
  })

  spec('of a rename both names are told of, what moved, and what it replaced', async (t, vfs) => {
    const [file, old] = [await at(vfs, 'small.txt'), await at(vfs, 'literal')]
    const [dir, nested] = [await at(vfs, 'nothing'), await at(vfs, 'nested')]
    same(t, await told(vfs, () => vfs.rename(vfs.root, 'small.txt', dir.id, 'moved')), [
      name(vfs.root, 'small.txt'),
      name(dir.id, 'moved'),
      attributes(file.id),
    ])
    same(t, await told(vfs, () => vfs.rename(dir.id, 'moved', vfs.root, 'literal')), [
      name(dir.id, 'moved'),
      name(vfs.root, 'literal'),
      attributes(file.id),
      attributes(old.id),
    ])
    same(t, await told(vfs, () => vfs.rename(vfs.root, 'nested', vfs.root, 'nothing')), [
      name(vfs.root, 'nested'),
      name(vfs.root, 'nothing'),
      attributes(nested.id),
      attributes(dir.id),
    ])
    same(t, await told(vfs, () => vfs.rename(vfs.root, 'nothing', vfs.root, 'nothing')), [])
  })

  spec('where another spelling comes in the place of a name, both are told of', async (t, vfs) => {
    const [{ id }, old] = [await at(vfs, 'small.txt'), await make(vfs, vfs.root, 'caf\u00e9')]
    same(t, await told(vfs, () => vfs.rename(vfs.root, 'small.txt', vfs.root, 'cafe\u0301')), [
      name(vfs.root, 'small.txt'),
      name(vfs.root, 'caf\u00e9'),
      name(vfs.root, 'cafe\u0301'),
      attributes(id),
      attributes(old),
    ])
    same(t, await told(vfs, () => vfs.remove(vfs.root, 'caf\u00e9')), [
      name(vfs.root, 'cafe\u0301'),
      attributes(id),
    ])
  })

  spec('what is refused, changes nothing or was done before is not told of', async (t, vfs) => {
    const { id } = await at(vfs, 'small.txt')
    const { attr } = await vfs.mkdir(vfs.root, 'new', {}, { once: 'mkdir' })
    await vfs.link(id, attr.id, 'link')
    const news = await told(vfs, async () => {
      await vfs.mkdir(vfs.root, 'new', {}, { once: 'mkdir' })
      await vfs.create(vfs.root, 'small.txt', { mode: 'unchecked', attrs: {} })
      await vfs.setattr(id, {})
      await vfs.rename(vfs.root, 'small.txt', attr.id, 'link')
      await fails(t, vfs.setattr(id, { mode: 0o600 }, { guard: 1n }), 'ECANCELED')
      await fails(t, vfs.rmdir(vfs.root, 'new'), 'ENOTEMPTY')
      await fails(t, vfs.remove(vfs.root, 'missing'), 'ENOENT')
      await fails(t, vfs.mkdir(vfs.root, 'new', {}), 'EEXIST')
      await fails(t, vfs.rename(vfs.root, 'small.txt', vfs.root, 'empty', { replace: false }), 'EEXIST')
    })
    same(t, news, [])
  })

  spec('news of what a call changed carries whose call it was, and no other news does', async (t, vfs) => {
    const [one, other, dir] = [{}, {}, (await at(vfs, 'nothing')).id]
    const news = await told(vfs, async () => {
      const { attr } = await vfs.create(dir, 'a', { mode: 'guarded', attrs: {} }, { by: one })
      await vfs.write(attr.id, 0, Buffer.from('x'), true, { by: other })
      await vfs.write(attr.id, 1, Buffer.from('y'), false)
      await vfs.setattr(attr.id, { size: 1 }, { by: one, guard: undefined })
      await vfs.rename(dir, 'a', dir, 'b', { by: other })
      await vfs.remove(dir, 'b')
    })
    const who = news.map(({ by, what }) => `${what} ${by === one ? 'one' : by === other ? 'other' : by}`)
    t.deepEqual(
      who.sort(),
      [
        'name one',
        'content other',
        'content undefined',
        'content one',
        ...['name other', 'name other', 'attributes other'],
        ...['name undefined', 'attributes undefined'],
      ].sort(),
    )
  })

  spec(
    'a change is told of once all of it can be seen, and before its caller is answered',
    async (t, vfs) => {
      const { id } = await at(vfs, 'small.txt')
      const before = await vfs.getattr(id)
      const seen: unknown[] = []
      const stop = vfs.watch(({ what }) => seen.push(what, vfs.known(id)))
      const work = vfs.write(id, 0, Buffer.from('x'), true).then(({ after }) => {
        t.true(after.mtime > before.mtime)
        t.deepEqual(seen, ['content', after])
      })
      await work
      stop()
    },
  )

  spec('all who watch are told, each until it watches no longer', async (t, vfs) => {
    const heard: string[] = []
    const listener = () => heard.push('twice')
    const stops = [vfs.watch(() => heard.push('one')), vfs.watch(listener), vfs.watch(listener)]
    await vfs.mkdir(vfs.root, 'a', {})
    t.deepEqual(heard.splice(0).sort(), ['one', 'twice', 'twice'])
    stops[1]!()
    stops[1]!()
    await vfs.mkdir(vfs.root, 'b', {})
    t.deepEqual(heard.splice(0).sort(), ['one', 'twice'])
    for (const stop of stops) stop()
    await vfs.mkdir(vfs.root, 'c', {})
    t.deepEqual(heard, [])
  })
}
