// Modes, times, owners, what is asked of all of it, and who may.

import { deepEqual, equal, ok } from 'node:assert/strict'
import {
  chmod,
  chown,
  copyFile,
  lstat,
  lutimes,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  statfs,
  symlink,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { needing, type Rules, refused } from './rule.ts'
import { ended, run, sh } from './shell.ts'

const isRoot = process.getuid!() === 0

/** Somebody who is neither root nor the owner. */
const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups']

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o7777

const timesOf = async (path: string): Promise<{ mtimeNs: bigint; ctimeNs: bigint }> =>
  await stat(path, { bigint: true })

export const attributes: Rules = {
  async 'the mode that something is made with is its mode, but for the umask'(dir) {
    const script = `umask 027; : >file; mkdir directory; umask 0; : >open; mkdir -m 750 given
      stat -c '%a %n' file directory open given`
    equal(await sh(dir, script), '640 file\n750 directory\n666 open\n750 given\n')
  },

  async 'every mode is kept, for files and directories'(dir) {
    await writeFile(join(dir, 'file'), 'x')
    await mkdir(join(dir, 'directory'))
    for (const mode of [0o644, 0o600, 0o755, 0o400, 0o111, 0o777, 0o700])
      for (const name of ['file', 'directory']) {
        await chmod(join(dir, name), mode)
        equal(await modeOf(join(dir, name)), mode)
      }
    await using file = await open(join(dir, 'file'))
    await file.chmod(0o640)
    equal(await modeOf(join(dir, 'file')), 0o640)
    await rename(join(dir, 'file'), join(dir, 'moved'))
    equal(await modeOf(join(dir, 'moved')), 0o640)
  },

  'a time is kept to the nanosecond, of files, directories and symlinks': needing(['touch'], async dir => {
    await writeFile(join(dir, 'file'), 'x')
    await mkdir(join(dir, 'directory'))
    await symlink('nowhere', join(dir, 'link'))
    const want = 981_173_106_123_456_789n
    for (const name of ['file', 'directory', 'link']) {
      await run(dir, 'touch', ['-h', '-d', '2001-02-03 04:05:06.123456789 UTC', name])
      equal((await lstat(join(dir, name), { bigint: true })).mtimeNs, want)
    }
    await rename(join(dir, 'file'), join(dir, 'moved'))
    await chmod(join(dir, 'moved'), 0o600)
    equal((await stat(join(dir, 'moved'), { bigint: true })).mtimeNs, want)
  }),

  async 'times of long ago and of days to come are kept'(dir) {
    await writeFile(join(dir, 'file'), 'x')
    for (const seconds of [0, 1, 1_000_000_000, 2 ** 31 - 1, 2 ** 31, 4_000_000_000]) {
      await utimes(join(dir, 'file'), seconds, seconds)
      equal((await stat(join(dir, 'file'))).mtimeMs, seconds * 1000)
    }
    await symlink('file', join(dir, 'link'))
    await lutimes(join(dir, 'link'), 5, 6)
    equal((await lstat(join(dir, 'link'))).mtimeMs, 6000)
    equal((await stat(join(dir, 'file'))).mtimeMs, 4_000_000_000_000)
  },

  async 'writing moves the times of a file, and chmod its ctime alone'(dir) {
    const path = join(dir, 'file')
    await writeFile(path, 'x')
    await utimes(path, 1000, 1000)
    const first = await timesOf(path)
    await writeFile(path, 'y', { flag: 'a' })
    const second = await timesOf(path)
    ok(second.mtimeNs > first.mtimeNs && second.ctimeNs > first.ctimeNs, 'writing')
    await utimes(path, 1000, 1000)
    const third = await timesOf(path)
    await chmod(path, 0o600)
    const fourth = await timesOf(path)
    equal(fourth.mtimeNs, third.mtimeNs)
    ok(fourth.ctimeNs >= third.ctimeNs, 'chmod')
    await readFile(path)
    deepEqual(await timesOf(path).then(({ mtimeNs, ctimeNs }) => [mtimeNs, ctimeNs]), [
      fourth.mtimeNs,
      fourth.ctimeNs,
    ])
  },

  async 'what changes the names of a directory moves its times, and what does not, does not'(dir) {
    const at = join(dir, 'directory')
    await mkdir(at)
    await writeFile(join(dir, 'outside'), 'x')
    let last = 0n
    const moved = async (what: string, deed: () => Promise<unknown>): Promise<void> => {
      await utimes(at, 1000, 1000)
      await deed()
      last = (await timesOf(at)).mtimeNs
      ok(last > 1_000_000_000_000n, what)
    }
    await moved('a file', () => writeFile(join(at, 'file'), ''))
    await moved('a directory', () => mkdir(join(at, 'sub')))
    await moved('a symlink', () => symlink('x', join(at, 'link')))
    await moved('a rename in it', () => rename(join(at, 'file'), join(at, 'renamed')))
    await moved('a rename into it', () => rename(join(dir, 'outside'), join(at, 'inside')))
    await moved('a rename out of it', () => rename(join(at, 'inside'), join(dir, 'outside')))
    await moved('rmdir', () => rmdir(join(at, 'sub')))
    await moved('unlink', () => unlink(join(at, 'link')))
    await writeFile(join(at, 'renamed'), 'content')
    await chmod(join(at, 'renamed'), 0o600)
    await readdir(at)
    equal((await timesOf(at)).mtimeNs, last)
  },

  async 'inode numbers are each their own, and stay'(dir) {
    const all = ['a', 'b', 'c', 'd']
    for (const name of all) await writeFile(join(dir, name), name)
    const inos = async () => await Promise.all(all.map(async name => (await stat(join(dir, name))).ino))
    const first = await inos()
    equal(new Set(first).size, 4)
    await writeFile(join(dir, 'a'), 'again')
    await chmod(join(dir, 'b'), 0o600)
    deepEqual(await inos(), first)
    const listed = await run(dir, 'ls', ['-i'])
    deepEqual(
      listed
        .trim()
        .split(/\s+/)
        .filter((_, i) => i % 2 === 0)
        .map(Number),
      first,
    )
  },

  async 'the owner may be set to who it is'(dir) {
    await writeFile(join(dir, 'file'), 'x')
    const { uid, gid } = await stat(join(dir, 'file'))
    await chown(join(dir, 'file'), uid, gid)
    await using file = await open(join(dir, 'file'))
    await file.chown(uid, gid)
    const after = await stat(join(dir, 'file'))
    deepEqual([after.uid, after.gid], [uid, gid])
  },

  async 'statfs tells sizes that make sense'(dir) {
    const { bsize, blocks, bfree, bavail } = await statfs(dir)
    ok(bsize > 0 && blocks > 0 && bfree <= blocks && bavail <= blocks, `${[bsize, blocks, bfree, bavail]}`)
    const [, line] = (await run(dir, 'df', ['-Pk', '.'])).trim().split('\n')
    ok(Number(line!.trim().split(/\s+/)[1]) > 0, line)
  },

  'extended attributes are kept, or are said not to be': needing(['getfattr', 'setfattr'], async dir => {
    await writeFile(join(dir, 'file'), 'x')
    const listed = await ended(dir, 'getfattr', ['-d', 'file'])
    ok(
      listed.stdout + listed.stderr === '' || listed.stderr.includes('Operation not supported'),
      listed.stderr,
    )
    const { status, stderr } = await ended(dir, 'setfattr', ['-n', 'user.mark', '-v', 'kept', 'file'])
    if (status === 0) equal(await run(dir, 'getfattr', ['--only-values', '-n', 'user.mark', 'file']), 'kept')
    else ok(stderr.includes('Operation not supported'), stderr)
    const copied = await ended(dir, 'cp', ['-a', 'file', 'copy'])
    deepEqual(copied, { status: 0, stdout: '', stderr: '' })
    equal((await ended(dir, 'ls', ['-l'])).stderr, '')
  }),

  async 'a program and a script in it run'(dir) {
    await copyFile('/bin/ls', join(dir, 'program'))
    await chmod(join(dir, 'program'), 0o755)
    ok((await run(dir, './program', ['-a'], { argv0: 'ls' })).includes('program'))
    await writeFile(join(dir, 'script'), '#!/bin/sh\necho "ran $1"\n', { mode: 0o755 })
    await chmod(join(dir, 'script'), 0o755)
    equal(await run(dir, './script', ['well']), 'ran well\n')
    await chmod(join(dir, 'script'), 0o644)
    await refused(run(dir, './script', []), 'EACCES')
  },

  'who may not is refused: another user, or the owner by the mode': needing(['setpriv'], async dir => {
    await mkdir(join(dir, 'closed'))
    await writeFile(join(dir, 'closed/file'), 'private', { mode: 0o600 })
    await chmod(join(dir, 'closed'), 0o700)
    if (!isRoot) {
      await chmod(join(dir, 'closed/file'), 0o000)
      await refused(readFile(join(dir, 'closed/file')), 'EACCES')
      await refused(writeFile(join(dir, 'closed/file'), 'x'), 'EACCES')
      await chmod(join(dir, 'closed'), 0o500)
      await refused(writeFile(join(dir, 'closed/new'), 'x'), 'EACCES')
      await refused(unlink(join(dir, 'closed/file')), 'EACCES')
      await chmod(join(dir, 'closed'), 0o700)
      return
    }
    await readFile(join(dir, 'closed/file')) // what root has in its cache is not theirs either
    await readdir(join(dir, 'closed'))
    const { uid } = await stat(dir)
    equal(uid, 0)
    for (const command of [
      'cat closed/file',
      'ls closed',
      'stat closed/file',
      'echo x >closed/file',
      'echo x >closed/new',
      'rm -f closed/file',
      'mv closed/file closed/moved',
      'mkdir closed/sub',
      'chmod 777 closed',
      'rmdir closed',
    ]) {
      const { status } = await ended('/', 'setpriv', [...nobody, 'sh', '-c', `cd '${dir}' && ${command}`])
      ok(status !== 0, command)
    }
    equal(await readFile(join(dir, 'closed/file'), 'utf8'), 'private')
    deepEqual(await readdir(join(dir, 'closed')), ['file'])
    await rm(join(dir, 'closed'), { recursive: true })
  }),
}
