// What a Vfs that can write must do with bytes, attributes and times.

import type { Spec } from './conformance.ts'
import { follows } from './rules-names.ts'
import { fails } from './rules-read.ts'
import { noise } from './tree.ts'
import { at, content, make, span } from './walk.ts'

export function dataRules(spec: Spec): void {
  spec('a write is seen at once, and says what it changed', async (t, vfs) => {
    const before = await at(vfs, 'small.txt')
    const written = await vfs.write(before.id, 990, Buffer.from('beyond the end'), 'unstable')
    t.is(written.count, 14)
    t.is(written.after.size, 1004)
    await follows(t, vfs, before, { before: written.before, after: written.after }, 'content')
    t.is((await span(vfs, before.id, 990, 100)).bytes.toString(), 'beyond the end')
  })

  spec('a stable write says that it is', async (t, vfs) => {
    t.true((await vfs.write((await at(vfs, 'empty')).id, 0, Buffer.from('x'), 'stable')).stable)
  })

  spec('a write of nothing changes nothing', async (t, vfs) => {
    const before = await at(vfs, 'small.txt')
    for (const offset of [0, 500, 2 ** 40]) {
      t.is((await vfs.write(before.id, offset, Buffer.alloc(0), 'stable')).count, 0)
      t.deepEqual(await vfs.getattr(before.id), before)
    }
  })

  spec('writes in any order, overlapping and repeated, give the file they make', async (t, vfs) => {
    const [id, expected] = [await make(vfs, vfs.root, 'new'), noise(500_000, 'shuffled')]
    const offsets = Array.from({ length: 50 }, (_, i) => ((i * 37) % 50) * 10_000)
    for (const offset of [...offsets, 30_000, 470_000]) {
      await vfs.write(id, offset, expected.subarray(offset, offset + 12_345), 'unstable')
    }
    t.true((await content(vfs, id)).equals(expected))
  })

  spec('concurrent writes all arrive', async (t, vfs) => {
    const [id, expected] = [await make(vfs, vfs.root, 'new'), noise(2 ** 21, 'concurrent')]
    const offsets = Array.from({ length: 32 }, (_, i) => ((i * 13) % 32) * 65_536)
    await Promise.all(
      offsets.map(offset => vfs.write(id, offset, expected.subarray(offset, offset + 65_536), 'unstable')),
    )
    t.true((await content(vfs, id)).equals(expected))
  })

  spec('a gap before a write reads as zeros', async (t, vfs) => {
    const id = await make(vfs, vfs.root, 'new', 'start')
    await vfs.write(id, 200_000, Buffer.from('end'), 'stable')
    const all = await content(vfs, id)
    t.true(all.equals(Buffer.concat([Buffer.from('start'), Buffer.alloc(199_995), Buffer.from('end')])))
  })

  spec('a file may be far larger than what was written to it', async (t, vfs) => {
    const id = await make(vfs, vfs.root, 'new')
    await vfs.write(id, 2 ** 33, Buffer.from('far'), 'stable')
    t.is((await vfs.getattr(id)).size, 2 ** 33 + 3)
    t.deepEqual((await span(vfs, id, 2 ** 33 - 2, 10)).bytes, Buffer.from('\0\0far'))
  })

  spec('what is cut off reads as zeros when the file grows again', async (t, vfs) => {
    for (const cut of [3, 65_536, 70_000]) {
      const [id, data] = [
        await make(vfs, vfs.root, `cut at ${cut}`, noise(100_000, 'cut')),
        noise(100_000, 'cut'),
      ]
      await vfs.setattr(id, { size: cut })
      t.is((await vfs.getattr(id)).size, cut)
      await vfs.setattr(id, { size: 100_000 })
      t.true(
        (await content(vfs, id)).equals(Buffer.concat([data.subarray(0, cut), Buffer.alloc(100_000 - cut)])),
      )
    }
  })

  spec('what was read does not change with what is written later', async (t, vfs) => {
    const id = await make(vfs, vfs.root, 'new', 'before')
    const { data } = await vfs.read(id, 0, 6)
    await vfs.write(id, 0, Buffer.from('after!'), 'stable')
    t.is(Buffer.concat(data).toString(), 'before')
  })

  spec('the buffer that was written from may be used again', async (t, vfs) => {
    const [id, buffer] = [await make(vfs, vfs.root, 'new'), Buffer.from('first')]
    await vfs.write(id, 0, buffer, 'unstable')
    buffer.fill('x')
    t.is((await content(vfs, id)).toString(), 'first')
  })

  spec('write to a directory is EISDIR, to a symlink EINVAL', async (t, vfs) => {
    await fails(t, vfs.write(vfs.root, 0, Buffer.from('x'), 'unstable'), 'EISDIR')
    await fails(t, vfs.write((await at(vfs, 'link')).id, 0, Buffer.from('x'), 'unstable'), 'EINVAL')
  })

  spec('setattr sets what it is given, and ctime', async (t, vfs) => {
    const before = await at(vfs, 'small.txt')
    const change = await vfs.setattr(before.id, {
      mode: 0o4751,
      atime: 1n,
      mtime: 1_234_567_890_123_456_789n,
    })
    t.deepEqual(change.before, before)
    t.deepEqual(change.after, await vfs.getattr(before.id))
    t.like(change.after, { mode: 0o4751, atime: 1n, mtime: 1_234_567_890_123_456_789n, size: before.size })
    t.true(change.after.ctime > before.ctime)
  })

  spec('setattr works on directories and symlinks', async (t, vfs) => {
    for (const name of ['nothing', 'link']) {
      const before = await at(vfs, name)
      await follows(t, vfs, before, await vfs.setattr(before.id, { mode: 0o700 }), 'attributes')
      t.is((await at(vfs, name)).mode, 0o700)
    }
  })

  spec('an empty setattr touches nothing', async (t, vfs) => {
    const before = await at(vfs, 'small.txt')
    const change = await vfs.setattr(before.id, {})
    t.deepEqual([change.before, change.after], [before, before])
    t.deepEqual(await vfs.getattr(before.id), before)
  })

  spec('setattr may put mtime back, and the next change brings it forward', async (t, vfs) => {
    const before = await at(vfs, 'small.txt')
    await vfs.setattr(before.id, { mtime: 7n })
    await vfs.write(before.id, 0, Buffer.from('x'), 'stable')
    t.true((await vfs.getattr(before.id)).mtime > before.mtime)
  })

  spec('the time of the server is later than what it said before', async (t, vfs) => {
    const before = await at(vfs, 'small.txt')
    const { after } = await vfs.setattr(before.id, { atime: 'now', mtime: 'now' })
    t.true(after.mtime > before.mtime && after.atime >= before.atime && after.ctime > before.ctime)
  })

  spec('a guard that does not hold is ECANCELED, and nothing happened', async (t, vfs) => {
    const before = await at(vfs, 'small.txt')
    await fails(t, vfs.setattr(before.id, { size: 0, mode: 0 }, { guard: before.ctime - 1n }), 'ECANCELED')
    t.deepEqual(await vfs.getattr(before.id), before)
    const { after } = await vfs.setattr(before.id, { size: 0 }, { guard: before.ctime })
    t.is(after.size, 0)
  })

  spec('setattr to the present owner succeeds, to another is EPERM and sets nothing', async (t, vfs) => {
    const before = await at(vfs, 'small.txt')
    await vfs.setattr(before.id, { uid: before.uid, gid: before.gid })
    const now = await vfs.getattr(before.id)
    await fails(t, vfs.setattr(before.id, { uid: before.uid + 1, mode: 0 }), 'EPERM')
    await fails(t, vfs.setattr(before.id, { gid: before.gid + 1, size: 0 }), 'EPERM')
    t.deepEqual(await vfs.getattr(before.id), now)
  })

  spec('the size of a directory is EISDIR, that of a symlink EINVAL', async (t, vfs) => {
    await fails(t, vfs.setattr((await at(vfs, 'nothing')).id, { size: 0 }), 'EISDIR')
    await fails(t, vfs.setattr((await at(vfs, 'link')).id, { size: 0 }), 'EINVAL')
  })

  spec('a thousand changes in a row have a thousand times', async (t, vfs) => {
    const id = await make(vfs, vfs.root, 'new')
    let last = await vfs.getattr(id)
    for (let i = 0; i < 1000; i++) {
      const { after } = await vfs.write(id, i % 10, Buffer.from('x'), 'unstable')
      t.true(after.mtime > last.mtime && after.ctime > last.ctime)
      last = after
    }
  })

  spec('a directory changes when its names do, and not when its files do', async (t, vfs) => {
    const id = await make(vfs, vfs.root, 'new')
    const root = await vfs.getattr(vfs.root)
    await vfs.write(id, 0, Buffer.from('data'), 'stable')
    await vfs.setattr(id, { mode: 0o600 })
    await vfs.commit(id)
    t.deepEqual(await vfs.getattr(vfs.root), root)
  })

  spec('the write verifier is the same before and after', async (t, vfs) => {
    const before = Buffer.from(vfs.writeverf)
    const id = await make(vfs, vfs.root, 'new', 'data')
    await vfs.commit(id)
    t.deepEqual(Buffer.from(vfs.writeverf), before)
  })
}
