// scripts/mount-nfs.sh: what it runs on each system, and what it says when it must not.

import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { found, Machine, script } from './machine.ts'

/** This machine's, or the one that the guest was given. */
const busybox = found('busybox') ?? found(join(import.meta.dirname, '../../build/guest/root/bin/busybox'))
const shellcheck = found('shellcheck')

/** A missing tool is a skip, and on CI a failure. */
const needs = (tool: string, path: string | null) =>
  path || process.env.CI === 'true' ? test : missing(tool)
const missing = (tool: string) => (title: string, _: unknown) =>
  test.skip(`${title} (${tool} is not installed)`, () => {})

needs('shellcheck', shellcheck)('shellcheck finds nothing in mount-nfs.sh', t => {
  t.truthy(shellcheck, 'shellcheck is not installed')
  t.is(execFileSync(shellcheck!, ['--shell=sh', script], { encoding: 'utf8' }), '')
})

const linux =
  'vers=3,proto=tcp,port=2049,mountvers=3,mountproto=tcp,mountport=2049,nolock,noacl,hard,retry=0,rsize=1048576,wsize=1048576,actimeo=3,nosuid,nodev'
const macos =
  'vers=3,tcp,port=2049,mountport=2049,locallocks,hard,intr,retrycnt=0,mutejukebox,nonegnamecache,rsize=1048576,wsize=1048576,readahead=16,dsize=65536,rdirplus,actimeo=3,nosuid,nodev'

rules('sh', test, ['/bin/sh'])
rules('busybox sh', needs('busybox', busybox), [busybox ?? 'busybox', 'sh'])

function rules(
  name: string,
  on: (title: string, body: (t: ExecutionContext) => unknown) => void,
  shell: readonly string[],
): void {
  const spec = (
    title: string,
    system: string,
    body: (t: ExecutionContext, machine: Machine) => Promise<void>,
  ) => on(`${name}: ${title}`, t => body(t, new Machine(t, system, shell)))

  spec('Linux mounts with every port pinned', 'Linux', async (t, machine) => {
    const { code, err, ran } = await machine.run('mount', '127.0.0.1', '2049', '/', machine.place)
    t.is(code, 0, err)
    t.deepEqual(ran, ['mount.nfs', '127.0.0.1:/', machine.place, '-o', linux])
  })

  spec('Linux mounts read-only when asked', 'Linux', async (t, machine) => {
    const { ran } = await machine.run('mount', '--read-only', '127.0.0.1', '2049', '/', machine.place)
    t.is(ran[4], `${linux},ro`)
  })

  spec('an IPv6 address is bracketed, and its transport named', 'Linux', async (t, machine) => {
    const { ran } = await machine.run('mount', '::1', '2049', '/a', machine.place)
    t.is(ran[1], '[::1]:/a')
    t.is(ran[4], linux.replaceAll('proto=tcp', 'proto=tcp6'))
  })

  spec(
    'a mount point may have blanks, quotes and a trailing slash, and be relative',
    'Linux',
    async (t, machine) => {
      const place = join(machine.dir, "it's  my\\place")
      mkdirSync(place)
      machine.has('mount.nfs', `cat '${join(machine.dir, 'line')}' >>'${machine.mountinfo}'`)
      writeFileSync(join(machine.dir, 'line'), machine.mounted(place))
      const { code, err, ran } = await machine.run('mount', '127.0.0.1', '2049', '/', "it's  my\\place//")
      t.deepEqual([code, err], [0, ''])
      t.is(ran[2], place)
      t.is(readFileSync(machine.ratio, 'utf8'), '5\n')
      await machine.run('umount', `${place}/`)
      t.deepEqual(readFileSync(machine.log, 'utf8').split('\n').slice(-3), ['umount', place, ''])
    },
  )

  spec("the mount's dirty pages are limited to 5 %, those of no other mount", 'Linux', async (t, machine) => {
    const other = join(machine.dir, 'sys/class/bdi/0:66')
    mkdirSync(other)
    writeFileSync(join(other, 'max_ratio'), '100\n')
    appendFileSync(machine.mountinfo, machine.mounted(`${machine.place}2`, 'nfs', '0:66'))
    machine.has('mount.nfs', `cat '${join(machine.dir, 'line')}' >>'${machine.mountinfo}'`)
    writeFileSync(join(machine.dir, 'line'), machine.mounted())
    const { code, err } = await machine.run('mount', '127.0.0.1', '2049', '/', machine.place)
    t.deepEqual([code, err], [0, ''])
    t.is(readFileSync(machine.ratio, 'utf8'), '5\n')
    t.is(readFileSync(join(other, 'max_ratio'), 'utf8'), '100\n')
  })

  spec('a limit that is lower already stays', 'Linux', async (t, machine) => {
    writeFileSync(machine.ratio, '2\n')
    machine.has('mount.nfs', `cat '${join(machine.dir, 'line')}' >>'${machine.mountinfo}'`)
    writeFileSync(join(machine.dir, 'line'), machine.mounted())
    t.is((await machine.run('mount', '127.0.0.1', '2049', '/', machine.place)).err, '')
    t.is(readFileSync(machine.ratio, 'utf8'), '2\n')
  })

  spec('a limit that cannot be set is said, and the mount stays', 'Linux', async (t, machine) => {
    rmSync(join(machine.dir, 'sys'), { recursive: true })
    machine.has('mount.nfs', `cat '${join(machine.dir, 'line')}' >>'${machine.mountinfo}'`)
    writeFileSync(join(machine.dir, 'line'), machine.mounted())
    const { code, err } = await machine.run('mount', '127.0.0.1', '2049', '/', machine.place)
    t.is(code, 0)
    t.regex(err, /^mount-nfs\.sh: mounted, but .*max_ratio could not be set/)
  })

  spec(
    'print shows what mount would run, for a shell to read, and runs nothing',
    'Linux',
    async (t, machine) => {
      const { code, out, ran } = await machine.run('print', '127.0.0.1', '2049', '/a b', "/mnt/../it's")
      t.deepEqual([code, ran], [0, []])
      t.is(out, `mount.nfs '127.0.0.1:/a b' '/it'\\''s' -o ${linux}\n`)
      const words = execFileSync('/bin/sh', ['-c', `printf '%s\\n' ${out}`], { encoding: 'utf8' })
      t.deepEqual(words.split('\n').slice(1, 3), ['127.0.0.1:/a b', "/it's"])
    },
  )

  spec('a mount point that is missing is refused', 'Linux', async (t, machine) => {
    await machine.refuses(
      t,
      ['mount', '127.0.0.1', '2049', '/', `${machine.place}/no`],
      /\/place\/no: there is no such directory/,
    )
    await machine.refuses(
      t,
      ['mount', '127.0.0.1', '2049', '/', `${machine.place}/no/no`],
      /no such directory; make it with: mkdir -p/,
    )
    t.false(existsSync(join(machine.place, 'no')))
  })

  spec('a mount point that is no directory is refused', 'Linux', async (t, machine) => {
    const file = join(machine.dir, 'file')
    writeFileSync(file, '')
    symlinkSync(machine.place, join(machine.dir, 'symlink'))
    await machine.refuses(t, ['mount', '127.0.0.1', '2049', '/', file], /\/file: not a directory/)
    await machine.refuses(
      t,
      ['mount', '127.0.0.1', '2049', '/', join(machine.dir, 'symlink')],
      /symbolic link; name the directory/,
    )
    await machine.refuses(t, ['mount', '127.0.0.1', '2049', '/', `${machine.place}/.`], /by its own name/, 2)
  })

  spec(
    'a mount point that is one already is refused, without a look at what is mounted',
    'Linux',
    async (t, machine) => {
      appendFileSync(machine.mountinfo, machine.mounted())
      rmSync(machine.place, { recursive: true }) // a stat of it would fail, and the message would be another
      await machine.refuses(
        t,
        ['mount', '127.0.0.1', '2049', '/', machine.place],
        /already a mount point \(nfs\)/,
      )
      await machine.refuses(t, ['mount', '127.0.0.1', '2049', '/', '/'], /already a mount point \(ext4\)/)
    },
  )

  spec('without mount.nfs the package is named', 'Linux', async (t, machine) => {
    machine.lacks('mount.nfs')
    await machine.refuses(
      t,
      ['mount', '127.0.0.1', '2049', '/', machine.place],
      /mount\.nfs is missing; install nfs-common/,
    )
  })

  spec('who is not root is told to use sudo', 'Linux', async (t, machine) => {
    machine.has('id', 'echo 1000')
    appendFileSync(machine.mountinfo, machine.mounted(join(machine.dir, 'bin')))
    await machine.refuses(
      t,
      ['mount', '127.0.0.1', '2049', '/', machine.place],
      /only root may mount NFS on Linux.*sudo/,
    )
    await machine.refuses(t, ['umount', join(machine.dir, 'bin')], /only root may unmount NFS on Linux.*sudo/)
  })

  spec('a kernel without an NFS client is named, unless a module brings one', 'Linux', async (t, machine) => {
    writeFileSync(join(machine.dir, 'proc/filesystems'), 'nodev\tnfsd\n\text4\n')
    machine.has('modprobe', 'exit 1')
    await machine.refuses(
      t,
      ['mount', '127.0.0.1', '2049', '/', machine.place],
      /this kernel has no NFS client/,
    )
    machine.has('modprobe')
    t.is((await machine.run('mount', '127.0.0.1', '2049', '/', machine.place)).code, 0)
  })

  spec('what the system says when it fails is passed on in one line', 'Linux', async (t, machine) => {
    machine.has('mount.nfs', 'printf "Connection refused\\nreally\\n" >&2; exit 32')
    const { code, err } = await machine.run('mount', '127.0.0.1', '2049', '/', machine.place)
    t.deepEqual([code, err], [1, 'mount-nfs.sh: mount.nfs failed: Connection refused really\n'])
    t.is(readFileSync(machine.ratio, 'utf8'), '100\n')
  })

  spec('what is used wrongly exits with 2 and runs nothing', 'Linux', async (t, machine) => {
    const { place } = machine
    await machine.refuses(t, [], /usage/, 2)
    await machine.refuses(t, ['frobnicate'], /usage/, 2)
    await machine.refuses(t, ['mount', '127.0.0.1', '2049', '/'], /usage/, 2)
    await machine.refuses(t, ['mount', '--fast', '127.0.0.1', '2049', '/', place], /usage/, 2)
    await machine.refuses(t, ['umount', '--all', place], /usage/, 2)
    for (const port of ['0', '65536', '123456', 'nfs', '20 49', '2049,soft', '']) {
      await machine.refuses(t, ['mount', '127.0.0.1', port, '/', place], /not a port/, 2)
    }
    for (const host of ['', '-o', 'a b', 'a/b', 'a,b'])
      await machine.refuses(t, ['mount', '--', host, '2049', '/', place], /not an address/, 2)
    await machine.refuses(t, ['mount', '127.0.0.1', '2049', 'tahoe', place], /an export begins with \//, 2)
    await machine.refuses(t, ['mount', '127.0.0.1', '2049', '/', ''], /no name/, 2)
  })

  spec('umount is plain, and forced or lazy only when asked', 'Linux', async (t, machine) => {
    appendFileSync(machine.mountinfo, machine.mounted())
    rmSync(machine.place, { recursive: true }) // never looked at
    const expected: [string[], string[]][] = [
      [[], []],
      [['--force'], ['-f']],
      [['--lazy'], ['-l']],
      [
        ['-f', '-l'],
        ['-f', '-l'],
      ],
    ]
    for (const [asked, given] of expected) {
      writeFileSync(machine.log, '')
      const { code, err, ran } = await machine.run('umount', ...asked, machine.place)
      t.is(code, 0, err)
      t.deepEqual(ran, ['umount', ...given, machine.place])
    }
  })

  spec('umount of what is not mounted, or not NFS, is refused', 'Linux', async (t, machine) => {
    await machine.refuses(t, ['umount', machine.place], /nothing is mounted there/)
    await machine.refuses(t, ['umount', '/'], /what is mounted there is ext4, not NFS/)
  })

  spec('umount of a busy mount passes on what the system says', 'Linux', async (t, machine) => {
    appendFileSync(machine.mountinfo, machine.mounted())
    machine.has('umount', 'echo "target is busy" >&2; exit 32')
    const { code, err } = await machine.run('umount', machine.place)
    t.deepEqual([code, err], [1, 'mount-nfs.sh: umount failed: target is busy\n'])
  })

  spec('macOS mounts with every port pinned, and needs no root', 'Darwin', async (t, machine) => {
    machine.has('id', 'echo 501')
    machine.has('mount', 'echo "/dev/disk1 on / (apfs, local)"')
    const { code, err, ran } = await machine.run('mount', '127.0.0.1', '2049', '/Tahoe', machine.place)
    t.is(code, 0, err)
    t.deepEqual(ran, ['mount_nfs', '-o', macos, '127.0.0.1:/Tahoe', machine.place])
  })

  spec('macOS mounts read-only when asked', 'Darwin', async (t, machine) => {
    const { ran } = await machine.run('mount', '-r', '127.0.0.1', '2049', '/', machine.place)
    t.is(ran[ran.indexOf('-o') + 1], `${macos},rdonly`)
  })

  spec('macOS refuses a mount point that is one already', 'Darwin', async (t, machine) => {
    machine.has('mount', `echo "127.0.0.1:/ on ${machine.place} (nfs, nodev, nosuid)"`)
    await machine.refuses(
      t,
      ['mount', '127.0.0.1', '2049', '/', machine.place],
      /already a mount point \(nfs\)/,
    )
    machine.has('mount', `echo "127.0.0.1:/ on ${machine.place}2 (nfs, nodev, nosuid)"`)
    await machine.refuses(t, ['umount', machine.place], /nothing is mounted there/)
  })

  spec('macOS unmounts, and asks diskutil where umount fails', 'Darwin', async (t, machine) => {
    const place = join(machine.dir, 'my place')
    mkdirSync(place)
    machine.has('mount', `echo "127.0.0.1:/ on ${place} (nfs, nodev, nosuid)"`)
    t.deepEqual((await machine.run('umount', place)).ran, ['umount', place])
    machine.has('umount', 'exit 1')
    writeFileSync(machine.log, '')
    t.deepEqual((await machine.run('umount', place)).ran, ['umount', place, 'diskutil', 'unmount', place])
    writeFileSync(machine.log, '')
    const forced = await machine.run('umount', '--force', place)
    t.deepEqual(
      [forced.code, forced.ran],
      [0, ['umount', '-f', place, 'diskutil', 'unmount', 'force', place]],
    )
    machine.has('diskutil', 'echo "in use by Finder"; exit 1')
    const { code, err } = await machine.run('umount', place)
    t.deepEqual([code, err], [1, 'mount-nfs.sh: diskutil failed: in use by Finder\n'])
  })

  spec('macOS has no lazy unmount, and says so', 'Darwin', async (t, machine) => {
    machine.has('mount', `echo "127.0.0.1:/ on ${machine.place} (nfs, nodev)"`)
    await machine.refuses(t, ['umount', '--lazy', machine.place], /no lazy unmount; use --force/, 2)
  })

  spec('another system is refused', 'FreeBSD', async (t, machine) => {
    await machine.refuses(
      t,
      ['mount', '127.0.0.1', '2049', '/', machine.place],
      /FreeBSD: only Linux and macOS/,
    )
  })
}
