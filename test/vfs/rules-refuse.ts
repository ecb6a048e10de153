// What a Vfs that may not change must refuse, and how.

import type { Vfs } from '../../src/vfs/vfs.ts'
import type { Spec } from './conformance.ts'
import { fails, nobody } from './rules-read.ts'
import { at, snapshot } from './walk.ts'

type Ids = { readonly file: bigint; readonly dir: bigint }

/** Every changing method, asked for something that a writable file system would do. */
const changes: Record<string, (vfs: Vfs, ids: Ids) => Promise<unknown>> = {
  'a new mode': (vfs, { file }) => vfs.setattr(file, { mode: 0o600 }),
  'a new size': (vfs, { file }) => vfs.setattr(file, { size: 0 }),
  'a new time': (vfs, { dir }) => vfs.setattr(dir, { mtime: 'now' }),
  write: (vfs, { file }) => vfs.write(file, 0, Buffer.from('x'), 'unstable'),
  'stable write': (vfs, { file }) => vfs.write(file, 2 ** 20, Buffer.from('x'), 'stable'),
  'unchecked create': (vfs, { dir }) => vfs.create(dir, 'new', { mode: 'unchecked', attrs: {} }),
  'guarded create': (vfs, { dir }) => vfs.create(dir, 'new', { mode: 'guarded', attrs: {} }),
  'exclusive create': (vfs, { dir }) =>
    vfs.create(dir, 'new', { mode: 'exclusive', createverf: Buffer.alloc(8) }),
  'create over a file': vfs => vfs.create(vfs.root, 'small.txt', { mode: 'unchecked', attrs: { size: 0 } }),
  mkdir: (vfs, { dir }) => vfs.mkdir(dir, 'new', {}),
  symlink: (vfs, { dir }) => vfs.symlink(dir, 'new', Buffer.from('target'), {}),
  link: (vfs, { file, dir }) => vfs.link(file, dir, 'new'),
  remove: vfs => vfs.remove(vfs.root, 'small.txt'),
  rmdir: vfs => vfs.rmdir(vfs.root, 'nothing'),
  rename: (vfs, { dir }) => vfs.rename(vfs.root, 'small.txt', dir, 'new'),
  'rename over a file': vfs => vfs.rename(vfs.root, 'small.txt', vfs.root, 'empty'),
}

export function refusalRules(spec: Spec): void {
  for (const [what, change] of Object.entries(changes)) {
    spec(`${what} is EROFS and changes nothing`, async (t, vfs) => {
      const before = await snapshot(vfs)
      const [file, dir] = [(await at(vfs, 'small.txt')).id, (await at(vfs, 'nothing')).id]
      await fails(t, change(vfs, { file, dir }), 'EROFS')
      await fails(t, change(vfs, { file, dir }), 'EROFS')
      t.deepEqual(await snapshot(vfs), before)
    })
  }

  spec(
    'a change of an id that was never given out is ESTALE: a client should let go of it',
    async (t, vfs) => {
      const ids = { file: nobody, dir: nobody }
      for (const what of ['a new mode', 'write', 'guarded create', 'mkdir', 'symlink', 'link']) {
        await fails(t, changes[what]!(vfs, ids), 'ESTALE')
      }
    },
  )
}
