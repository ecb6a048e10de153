// What every Vfs must do for those who only look.

import type { ExecutionContext } from 'ava'
import type { Code } from '../../src/errors.ts'
import { FsError } from '../../src/errors.ts'
import type { Vfs } from '../../src/vfs/vfs.ts'
import type { Can, Spec } from './conformance.ts'
import { type Planted, tree } from './tree.ts'
import { at, content, entries, everything, names, snapshot, span } from './walk.ts'

/** An id that no file system has given out. */
export const nobody = 2n ** 62n + 12_345n

export const fails = (t: ExecutionContext, work: Promise<unknown>, code: Code) =>
  t.throwsAsync(work, { instanceOf: FsError, code })

const big = tree['big.bin'].file

export function readRules(spec: Spec, can: Can): void {
  spec('the root is a directory, and says whether anything may change', async (t, vfs) => {
    const root = await vfs.getattr(vfs.root)
    t.is(root.id, vfs.root)
    t.is(root.kind, 'directory')
    t.is(vfs.readOnly, !can.write)
    if (can.write) t.true(root.writable) // where nothing may change, its caps may still allow it
    t.is(vfs.writeverf.length, 8)
    t.is(vfs.nameMax, 255)
  })

  spec('the whole tree is there, with every byte of it', async (t, vfs) => {
    await holds(t, vfs, vfs.root, can.symlinks === false ? { ...tree, link: undefined } : tree)
  })

  spec('every attribute is sane, and no two inodes share an id', async (t, vfs) => {
    const ids = new Set<bigint>()
    const { uid, gid } = await vfs.getattr(vfs.root)
    for await (const { path, attr } of everything(vfs)) {
      t.true(attr.id > 0n && attr.id < 2n ** 63n, path)
      t.false(ids.has(attr.id), path)
      ids.add(attr.id)
      t.true(attr.generation >= 0n && attr.generation < 2n ** 64n, path)
      t.true(Number.isInteger(attr.mode) && attr.mode >= 0 && attr.mode <= 0o7777, path)
      t.true(attr.nlink >= 1 && attr.used >= 0 && Number.isSafeInteger(attr.size), path)
      t.deepEqual([attr.uid, attr.gid], [uid, gid], path)
      if (can.write) t.true(attr.writable, path)
      for (const time of [attr.atime, attr.mtime, attr.ctime]) t.is(typeof time, 'bigint', path)
    }
  })

  spec(
    'a listed name looks up to the listed inode, with the attributes that getattr gives',
    async (t, vfs) => {
      for await (const { path, attr, entry } of everything(vfs)) {
        t.deepEqual(attr, await vfs.getattr(attr.id), path)
        if (entry) t.is(entry.id, attr.id, path)
        if (entry?.attr) t.deepEqual(entry.attr, attr, path)
      }
    },
  )

  spec('looking at everything changes nothing', async (t, vfs) => {
    const before = await snapshot(vfs)
    for (const { id, kind } of before.values()) if (kind === 'file') await content(vfs, id)
    t.deepEqual(await snapshot(vfs), before)
  })

  spec('lookup of a missing name is ENOENT', async (t, vfs) => {
    await fails(t, vfs.lookup(vfs.root, 'missing'), 'ENOENT')
    await fails(t, vfs.lookup((await at(vfs, 'nothing')).id, 'small.txt'), 'ENOENT')
  })

  spec('case matters in a name', async (t, vfs) => {
    await fails(t, vfs.lookup(vfs.root, 'SMALL.TXT'), 'ENOENT')
  })

  spec('a name is found in its composed and in its decomposed form', async (t, vfs) => {
    const dir = (await at(vfs, 'names')).id
    for (const name of Object.keys(tree.names.directory)) {
      const { id } = await vfs.lookup(dir, name)
      t.is((await vfs.lookup(dir, name.normalize('NFC'))).id, id, name)
      const decomposed = name.normalize('NFD')
      if (Buffer.byteLength(decomposed) <= vfs.nameMax) t.is((await vfs.lookup(dir, decomposed)).id, id, name)
    }
  })

  spec('a name of more than 255 bytes is ENAMETOOLONG, however few characters it has', async (t, vfs) => {
    await fails(t, vfs.lookup(vfs.root, 'l'.repeat(256)), 'ENAMETOOLONG')
    await fails(t, vfs.lookup(vfs.root, '\u8a9e'.repeat(86)), 'ENAMETOOLONG')
  })

  spec('lookup in what is not a directory is ENOTDIR', async (t, vfs) => {
    for (const name of ['x', '.', '..'])
      await fails(t, vfs.lookup((await at(vfs, 'empty')).id, name), 'ENOTDIR')
  })

  spec('what is known of an inode is what getattr gives', async (t, vfs) => {
    for await (const { attr } of everything(vfs)) t.deepEqual(vfs.known(attr.id), await vfs.getattr(attr.id))
  })

  spec("'.' is the directory itself and '..' its parent, the root being its own", async (t, vfs) => {
    const nested = await at(vfs, 'nested')
    const deeper = await vfs.lookup(nested.id, 'deeper')
    t.deepEqual(await vfs.lookup(deeper.id, '.'), deeper)
    t.deepEqual(await vfs.lookup(deeper.id, '..'), nested)
    t.is((await vfs.lookup(nested.id, '..')).id, vfs.root)
    t.is((await vfs.lookup(vfs.root, '..')).id, vfs.root)
    t.is((await vfs.lookup(vfs.root, '.')).id, vfs.root)
  })

  spec('an id that was never given out is ESTALE everywhere', async (t, vfs) => {
    t.throws(() => vfs.known(nobody), { code: 'ESTALE' })
    await fails(t, vfs.getattr(nobody), 'ESTALE')
    await fails(t, vfs.lookup(nobody, 'x'), 'ESTALE')
    await fails(t, vfs.list(nobody, 0n), 'ESTALE')
    await fails(t, vfs.read(nobody, 0, 1), 'ESTALE')
    await fails(t, vfs.readlink(nobody), 'ESTALE')
    await fails(t, vfs.commit(nobody), 'ESTALE')
  })

  spec("a listing has every name once, and neither '.' nor '..'", async (t, vfs) => {
    const listed = await names(vfs, (await at(vfs, 'many')).id)
    t.deepEqual(listed.toSorted(), Object.keys(tree.many.directory).toSorted())
  })

  spec('a directory without names lists none', async (t, vfs) => {
    t.deepEqual(await names(vfs, (await at(vfs, 'nothing')).id), [])
  })

  spec('list of what is not a directory is ENOTDIR', async (t, vfs) => {
    await fails(t, vfs.list((await at(vfs, 'small.txt')).id, 0n), 'ENOTDIR')
  })

  spec('cookies are above 0 and grow', async (t, vfs) => {
    let last = 0n
    for (const { cookie } of await entries(vfs, (await at(vfs, 'many')).id)) {
      t.true(cookie > last)
      last = cookie
    }
  })

  spec('a listing resumes at every cookie with exactly what follows it', async (t, vfs) => {
    const dir = (await at(vfs, 'many')).id
    const all = await entries(vfs, dir)
    for (const [i, { cookie }] of all.entries()) {
      const rest = (await entries(vfs, dir, cookie)).map(entry => entry.name)
      t.deepEqual(
        rest,
        all.slice(i + 1).map(entry => entry.name),
      )
    }
    t.deepEqual(await entries(vfs, dir, all.at(-1)!.cookie + 1_000n), [])
  })

  spec('a listing may be left half drawn, and two may be drawn in turns', async (t, vfs) => {
    const dir = (await at(vfs, 'many')).id
    const whole = await names(vfs, dir)
    const [a, b] = [
      (await vfs.list(dir, 0n))[Symbol.iterator](),
      (await vfs.list(dir, 0n))[Symbol.iterator](),
    ]
    for (const name of whole.slice(0, 10)) {
      t.is(a.next().value?.name, name)
      t.is(b.next().value?.name, name)
    }
    t.deepEqual(await names(vfs, dir), whole)
  })

  spec('a read gives exactly the bytes asked for, across every boundary', async (t, vfs) => {
    const { id } = await at(vfs, 'big.bin')
    const edges = [
      0,
      1,
      4096,
      65_535,
      65_536,
      131_073,
      2 ** 20 - 1,
      2 ** 20,
      2 ** 20 + 1,
      3 * 2 ** 20,
      big.length - 1,
    ]
    for (const offset of edges) {
      for (const count of [1, 4096, 65_537, 2 ** 20]) {
        const { bytes, eof } = await span(vfs, id, offset, count)
        t.true(bytes.equals(big.subarray(offset, offset + count)), `${count} at ${offset}`)
        t.is(eof, offset + count >= big.length, `end of ${count} at ${offset}`)
      }
    }
  })

  spec('many readers of one file, in any order, each get their own bytes', async (t, vfs) => {
    const { id } = await at(vfs, 'big.bin')
    const offsets = Array.from({ length: 48 }, (_, i) => ((i * 29) % 48) * 65_536)
    const spans = await Promise.all(offsets.map(offset => span(vfs, id, offset, 70_000)))
    for (const [i, { bytes }] of spans.entries()) {
      t.true(bytes.equals(big.subarray(offsets[i]!, offsets[i]! + 70_000)), `at ${offsets[i]}`)
    }
  })

  spec(
    'a read that reaches the end says so, and one at or past the end is empty and says so',
    async (t, vfs) => {
      const { id, size } = await at(vfs, 'small.txt')
      t.true((await vfs.read(id, size - 1, 1)).eof)
      t.false((await vfs.read(id, size - 2, 1)).eof)
      for (const offset of [size, size + 1, 2 ** 40, Number.MAX_SAFE_INTEGER - 10]) {
        const { data, eof } = await vfs.read(id, offset, 10)
        t.deepEqual([Buffer.concat(data).length, eof], [0, true], `at ${offset}`)
      }
      t.is(Buffer.concat((await vfs.read(id, 0, 0)).data).length, 0)
    },
  )

  spec('a read of nothing in an empty file is the end', async (t, vfs) => {
    const { data, eof } = await vfs.read((await at(vfs, 'empty')).id, 0, 4096)
    t.deepEqual([Buffer.concat(data).length, eof], [0, true])
  })

  spec("a read brings the file's attributes, of the moment of its bytes", async (t, vfs) => {
    const before = await at(vfs, 'literal')
    t.deepEqual((await vfs.read(before.id, 0, 10)).attr, before)
  })

  spec('read of a directory is EISDIR', async (t, vfs) => {
    await fails(t, vfs.read(vfs.root, 0, 1), 'EISDIR')
  })

  spec('readlink of anything but a symlink is EINVAL', async (t, vfs) => {
    await fails(t, vfs.readlink(vfs.root), 'EINVAL')
    await fails(t, vfs.readlink((await at(vfs, 'empty')).id), 'EINVAL')
  })

  spec('commit gives the attributes, and changes none', async (t, vfs) => {
    const before = await at(vfs, 'small.txt')
    t.deepEqual(await vfs.commit(before.id), before)
  })

  spec(
    'a caller without patience is answered or told EAGAIN, and spoils nothing for the next',
    async (t, vfs) => {
      const { id } = await at(vfs, 'big.bin')
      const signal = AbortSignal.abort()
      for (const work of [vfs.read(id, 0, 4096, { signal }), vfs.list(vfs.root, 0n, { signal })]) {
        await work.then(
          () => t.pass(),
          err => t.is(err.code, 'EAGAIN'),
        )
      }
      t.true((await span(vfs, id, 0, 4096)).bytes.equals(big.subarray(0, 4096)))
    },
  )

  spec('what is retained is there, and still there once it is released', async (t, vfs) => {
    const { id } = await at(vfs, 'small.txt')
    vfs.retain(id)
    vfs.retain(id)
    t.true((await content(vfs, id)).equals(tree['small.txt'].file))
    vfs.release(id)
    vfs.release(id)
    t.is((await at(vfs, 'small.txt')).id, id)
  })

  spec('there is never more room free than there is', async (t, vfs) => {
    const { totalBytes, freeBytes, totalFiles, freeFiles } = await vfs.statfs()
    t.true(freeBytes >= 0 && freeBytes <= totalBytes)
    t.true(freeFiles >= 0 && freeFiles <= totalFiles)
  })

  if (can.symlinks === false) return

  spec('a symlink gives its target as it was put there, and its length as size', async (t, vfs) => {
    const link = await at(vfs, 'link')
    t.deepEqual([link.kind, link.size], ['symlink', tree.link.symlink.length])
    const { target, attr } = await vfs.readlink(link.id)
    t.is(Buffer.from(target).toString(), tree.link.symlink)
    t.deepEqual(attr, link)
  })

  spec('a symlink is followed by nobody here', async (t, vfs) => {
    const { id } = await at(vfs, 'link')
    await fails(t, vfs.read(id, 0, 1), 'EINVAL')
    await fails(t, vfs.lookup(id, 'x'), 'ENOTDIR')
    await fails(t, vfs.list(id, 0n), 'ENOTDIR')
  })
}

type Expected = { readonly [name: string]: Planted | undefined }

/** `dir` holds exactly `what`. A grid may show another form of a name, so names are compared in NFC. */
async function holds(t: ExecutionContext, vfs: Vfs, dir: bigint, what: Expected): Promise<void> {
  const expected = Object.entries(what).filter((line): line is [string, Planted] => line[1] !== undefined)
  const nfc = (all: string[]) => all.map(name => name.normalize('NFC')).toSorted()
  t.deepEqual(nfc(await names(vfs, dir)), nfc(expected.map(([name]) => name)))
  for (const [name, planted] of expected) {
    const attr = await vfs.lookup(dir, name)
    if ('directory' in planted) {
      t.is(attr.kind, 'directory', name)
      await holds(t, vfs, attr.id, planted.directory)
    } else if ('symlink' in planted) {
      t.is(attr.kind, 'symlink', name)
    } else {
      t.deepEqual([attr.kind, attr.size], ['file', planted.file.length], name)
      t.true((await content(vfs, attr.id)).equals(planted.file), name)
    }
  }
}
