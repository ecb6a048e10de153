// What a user gets wrong: one line that says what is wrong and what to do, an exit code,
// and nothing changed on disk.

import { chmod, chown, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { DatabaseSync } from 'node:sqlite'
import test from 'ava'
import { needs } from '../support/needs.ts'
import { inventedCap, refused, user, type World, world } from './world.ts'

type Case = {
  /** What is there before. */
  prepare?: (w: World) => Promise<unknown>
  args: (w: World) => string[]
  input?: (w: World) => string
  code?: number
  like: RegExp
}

const down = ['--grid', 'gateway:http://127.0.0.1:1/']
const rootFile = (w: World): string[] => ['--root-file', w.user.path('root')]
const put = (text: string) => (w: World) => writeFile(w.user.path('root'), text)
const nodeDir = async (w: World, aliases: string | null) => {
  await mkdir(w.user.path('node/private'), { recursive: true })
  await writeFile(w.user.path('node/node.url'), w.node.url)
  if (aliases !== null) await writeFile(w.user.path('node/private/aliases'), aliases)
}
const withNode = (w: World) => ['--node-directory', w.user.path('node')]
const state = (w: World, ...more: string[]) => ['serve', ...w.grid, '--state', w.user.path('st'), ...more]

const cases: Record<string, Case> = {
  'a gateway without a node directory': {
    args: () => ['mount', '--foreground', '--grid', 'gateway'],
    like: /--grid gateway: there is no .*node\.url; give gateway:URL, or --node-directory/,
  },
  'a node without aliases asks for a root': {
    prepare: w => nodeDir(w, null),
    args: w => ['serve', ...withNode(w)],
    like: /no root: .*aliases.*--root-file FILE/,
  },
  'an alias that is missing': {
    prepare: w => nodeDir(w, `tahoe: ${w.root}\n`),
    args: w => ['serve', ...withNode(w), '--root', 'photos:'],
    like: /has no alias photos; name another with --root/,
  },
  'an alias that leads to a file': {
    prepare: w => nodeDir(w, 'note: URI:LIT:te\n'),
    args: w => ['serve', ...withNode(w), '--root', 'note'],
    like: /the root in alias note in .* is a file; a directory is needed/,
  },
  'a cap given as --root': {
    args: w => ['serve', ...down, '--root', w.root],
    code: 2,
    like: /a cap on the command line can be seen by others: give it with --root-file/,
  },
  'a cap given as a mount point': {
    args: w => ['mount', ...w.grid, w.root],
    like: /\[cap\] does not exist/,
  },
  'a cap given as a command': { args: w => [w.root], code: 2, like: /unknown command/ },
  'two roots': {
    args: w => ['serve', ...w.grid, '--root', 'x'],
    code: 2,
    like: /either --root or --root-file/,
  },
  'a root file that does not exist': {
    prepare: w => rm(w.user.path('root')),
    args: w => ['serve', ...w.grid],
    like: /root cannot be read: it does not exist/,
  },
  'a root file that is a directory': {
    args: w => ['serve', ...down, '--root-file', w.user.home],
    like: /cannot be read: it is a directory/,
  },
  'a root file without end': {
    args: () => ['serve', ...down, '--root-file', '/dev/zero'],
    like: /too large to hold a cap/,
  },
  'an empty root file': { prepare: put('\n'), args: w => ['serve', ...w.grid], like: /is empty.*URI:DIR2/ },
  'a cap that does not parse': {
    prepare: put('URI:DIR2:aaaaaaaaaaaaaaaaaaaa:bbb'),
    args: w => ['serve', ...w.grid],
    like: /is not a cap: it should be one line that begins with URI:DIR2/,
  },
  'text that is no cap': {
    prepare: put('hello world'),
    args: w => ['mount', ...w.grid, w.user.path('mnt')],
    like: /is not a cap/,
  },
  'a cap on standard input that does not parse': {
    args: () => ['serve', ...down, '--root-file', '-'],
    input: () => 'nothing like it',
    like: /what standard input holds is not a cap/,
  },
  'a root that is a file': {
    prepare: put('URI:LIT:te'),
    args: w => ['serve', ...w.grid],
    like: /is a file; a directory is needed \(URI:DIR2…\)/,
  },
  'a root that can only be verified': {
    prepare: w => put(inventedCap('v', 'URI:DIR2-Verifier'))(w),
    args: w => ['serve', ...w.grid],
    like: /can only be verified; a directory is needed/,
  },
  'a root of an unknown kind': {
    prepare: put('URI:NEWKIND:abcdefghijklmnop'),
    args: w => ['serve', ...w.grid],
    like: /is of a kind unknown here; a directory is needed/,
  },
  'a node that is down': {
    args: w => ['serve', ...down, ...rootFile(w)],
    like: /no grid behind http:\/\/127\.0\.0\.1:1\/: nothing listens .*; start the node, or name another/,
  },
  'a node that is down, in the background': {
    args: w => ['mount', ...down, ...rootFile(w)],
    like: /no grid behind/,
  },
  'a node on another machine without https': {
    args: w => ['serve', '--grid', 'gateway:http://192.0.2.1:3456/', ...rootFile(w)],
    like: /not this machine, so caps must travel by https/,
  },
  'a node URL that is none': {
    args: w => ['serve', '--grid', 'gateway:nonsense', ...rootFile(w)],
    like: /give one like http:\/\/127\.0\.0\.1:3456\//,
  },
  'a grid of a kind that is not known': {
    args: w => ['serve', '--grid', 'native:/tmp', ...rootFile(w)],
    code: 2,
    like: /--grid native:\/tmp: give local, local:DIR, local:DIR1,DIR2… \(folders here\), or gateway\[:URL\]/,
  },
  'a folder without a name': {
    args: w => ['serve', '--grid', `local:${w.user.path('l')},`],
    code: 2,
    like: /--grid local:.*,: a folder has no name/,
  },
  'an alias file that is no list of aliases': {
    prepare: w => nodeDir(w, `a${' '.repeat(500_000)}b`),
    args: w => ['serve', ...withNode(w)],
    like: /has no alias tahoe/,
  },
  'shares that are no three numbers': {
    args: w => ['serve', '--grid', `local:${w.user.path('l')}`, '--shares', '3of10'],
    code: 2,
    like: /--shares 3of10: give K\/H\/N, as 3\/4\/5/,
  },
  'shares that need more folders than there are': {
    args: w => ['serve', '--grid', `local:${w.user.path('l')}`, '--shares', '3/7/10'],
    code: 2,
    like: /--shares 3\/7\/10: .* H at most 1 as there is 1 folder/,
  },
  'shares for a node': {
    args: w => ['serve', ...w.grid, '--shares', '3/7/10'],
    code: 2,
    like: /--shares is for --grid local; a node has its own in tahoe\.cfg/,
  },
  'one folder twice': {
    args: w => ['serve', '--grid', `local:${w.user.path('l')},${w.user.path('l')}/`],
    like: /one folder is named twice/,
  },
  'a folder that is a file': {
    prepare: w => writeFile(w.user.path('l'), ''),
    args: w => ['serve', '--grid', `local:${w.user.path('l')}`],
    like: /l/,
  },
  'a mount point that does not exist': {
    args: w => ['mount', ...w.grid, w.user.path('nowhere')],
    like: /does not exist; make it with: mkdir /,
  },
  'a mount point in a folder that does not exist': {
    args: w => ['mount', ...w.grid, w.user.path('no/where')],
    like: /cannot be reached: it does not exist/,
  },
  'a mount point that is a file': {
    args: w => ['mount', ...w.grid, w.user.path('root')],
    like: /is not a directory; name an empty one/,
  },
  'a mount point that is a symbolic link': {
    prepare: w => symlink(w.user.path('mnt'), w.user.path('link')),
    args: w => ['mount', ...w.grid, w.user.path('link')],
    like: /is a symbolic link; name the directory it leads to/,
  },
  'a mount point that has something mounted': {
    args: w => ['mount', ...w.grid, '/proc'],
    like: /\/proc is a mount point already \(proc\); unmount it, or name another/,
  },
  'a frontend that is not known': {
    args: w => ['mount', ...w.grid, '--frontend', 'smb', w.user.path('mnt')],
    code: 2,
    like: /Allowed choices are auto, nfs, fuse/,
  },
  'FUSE to serve only': {
    args: w => ['serve', ...w.grid, '--frontend', 'fuse'],
    code: 2,
    like: /Allowed choices are auto, nfs/,
  },
  'a state directory below the mount point': {
    args: w => ['mount', ...w.grid, '--state', w.user.path('mnt/st'), w.user.path('mnt')],
    like: /the state directory \(\S+\/mnt\/st\) is at or below the mount point \S+\/mnt: the server would wait for itself/,
  },
  'a state directory that a link leads below the mount point': {
    prepare: w => symlink(w.user.path('mnt'), w.user.path('link')),
    args: w => ['mount', ...w.grid, '--state', w.user.path('link/st'), w.user.path('mnt')],
    like: /the state directory \(\S+\/link\/st\) is at or below the mount point/,
  },
  'a cache directory at the mount point': {
    args: w => ['mount', ...w.grid, '--cache-dir', w.user.path('mnt'), w.user.path('mnt')],
    like: /the cache directory \(\S+\/mnt\) is at or below the mount point/,
  },
  'a store below the mount point': {
    args: w => ['mount', '--grid', `local:${w.user.path('l')},${w.user.path('mnt/l')}`, w.user.path('mnt')],
    like: /the store \(\S+\/mnt\/l\) is at or below the mount point/,
  },
  'a mount point above the notes of servers': {
    args: w => ['mount', ...w.grid, w.user.path('s')],
    prepare: w => mkdir(w.user.path('s')),
    like: /where servers leave their notes \(\S+\/s\/tahoe-nfs\) is at or below the mount point/,
  },
  'an address that is not loopback': {
    args: w => ['serve', ...w.grid, '--listen', '0.0.0.0:2049'],
    code: 2,
    like: /only 127\.0\.0\.1 and ::1/,
  },
  'an address that is none': {
    args: w => ['serve', ...w.grid, '--listen', '127.0.0.1:99999'],
    code: 2,
    like: /give HOST:PORT, as 127\.0\.0\.1:2049/,
  },
  'a size that is none': {
    args: w => ['serve', ...w.grid, '--cache-size', 'much'],
    code: 2,
    like: /as 500M or 10G/,
  },
  'seconds that are none': {
    args: w => ['serve', ...w.grid, '--dir-ttl', '-1'],
    code: 2,
    like: /give seconds/,
  },
  'a uid that is none': {
    args: w => ['serve', ...w.grid, '--uid', 'me'],
    code: 2,
    like: /--uid me: give a number/,
  },
  'an option that is not known': {
    args: w => ['serve', ...w.grid, '--stat', 'x'],
    code: 2,
    like: /unknown option '--stat' \(Did you mean --state\?\)/,
  },
  'a policy that is not known': {
    args: w => ['serve', ...w.grid, '--cache', 'forever'],
    code: 2,
    like: /Allowed choices are off, load-once, timed/,
  },
  'umount without a mount point': {
    args: () => ['umount'],
    code: 2,
    like: /missing required argument 'MOUNTPOINT'/,
  },
  'umount of what is not mounted': {
    args: w => ['umount', w.user.path('mnt')],
    like: /is not mounted, and no server of yours serves it/,
  },
  'umount of what is no mount of ours': {
    args: () => ['umount', '/proc'],
    like: /is no mount of ours \(proc\)/,
  },
  'status when nothing runs': { args: () => ['status'], like: /no server of yours runs/ },
  'status of a state that nothing serves': {
    args: w => ['status', '--state', w.user.path('root')],
    like: /no server runs with the state directory/,
  },
  'an fsync of a kind that is not known': {
    args: w => ['serve', ...w.grid, '--fsync', 'later'],
    code: 2,
    like: /Allowed choices are local, grid/,
  },
  'flush when nothing runs': { args: () => ['flush'], like: /no server of yours runs/ },
  'flush of a state that nothing serves': {
    args: w => ['flush', '--state', w.user.path('root')],
    like: /no server runs with the state directory/,
  },
  'flush of a path in no mount': {
    args: w => ['flush', '--wait', w.user.path('mnt/x')],
    like: /mnt\/x is in no mount that a server of yours serves/,
  },
  'flush of two paths': { args: () => ['flush', 'a', 'b'], code: 2, like: /too many arguments for 'flush'/ },
  'a cap given to flush': { args: w => ['flush', w.root], like: /\[cap\] is in no mount/ },
  'a state directory that is a file': {
    prepare: w => writeFile(w.user.path('st'), ''),
    args: w => state(w),
    like: /st is not a directory; name another with --state/,
  },
  'a state directory that is a symlink': {
    prepare: async w => {
      await mkdir(w.user.path('real'), { mode: 0o700 })
      await symlink(w.user.path('real'), w.user.path('st'))
    },
    args: w => state(w),
    like: /st is not a directory; name another with --state/,
  },
  'a state directory that others can read': {
    prepare: async w => {
      await mkdir(w.user.path('st'))
      await chmod(w.user.path('st'), 0o755)
    },
    args: w => state(w),
    like: /is open to others; make it yours alone: chmod 700/,
  },
  'a state directory full of other files': {
    prepare: async w => {
      await mkdir(w.user.path('st'), { mode: 0o700 })
      await writeFile(w.user.path('st/thesis.txt'), 'x')
    },
    args: w => state(w),
    like: /holds other files and no state of tahoe-nfs; name another with --state/,
  },
  'a state directory whose path is too long for a socket': {
    args: w => [...state(w), '--state', w.user.path('x'.repeat(100))],
    like: /too long for a socket in it; give a shorter one with --state/,
  },
  'a state directory that cannot be made': {
    args: w => [...state(w), '--state', w.user.path('root/below')],
    like: /cannot be (made|reached); name another with --state/,
  },
  'a cache directory full of other files': {
    prepare: async w => {
      await mkdir(w.user.path('ca'), { mode: 0o700 })
      await writeFile(w.user.path('ca/photo.jpg'), 'x')
    },
    args: w => state(w, '--cache-dir', w.user.path('ca')),
    like: /holds other files; name another with --cache-dir/,
  },
}

for (const [title, { prepare, args, input, code = 1, like }] of Object.entries(cases))
  test(`bad input: ${title}`, async t => {
    const w = await world(t)
    await prepare?.(w)
    const before = await w.user.everything()
    refused(t, await w.user.run(args(w), input?.(w)), code, like)
    t.deepEqual(await w.user.everything(), before)
  })

test('bad input: a port in use leaves no state behind', async t => {
  const { user, grid } = await world(t)
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await new Promise(resolve => other.once('listening', resolve))
  const { port } = other.address() as { port: number }
  const before = await user.everything()
  const said = await user.run(['serve', ...grid, '--listen', `127.0.0.1:${port}`])
  refused(t, said, 1, new RegExp(`port ${port} is in use: choose another with --listen`))
  t.deepEqual(await user.everything(), before)
})

test('bad input: a state directory of another root, and its cache directory', async t => {
  const { user, grid } = await world(t)
  const own = ['--state', user.path('st')]
  t.is(await (await user.serve(...grid, ...own)).end(), 0)
  await writeFile(user.path('other'), inventedCap('other'))
  const others = [...grid.slice(0, 2), '--root-file', user.path('other')]
  const before = await user.everything()
  refused(
    t,
    await user.run(['serve', ...others, ...own]),
    1,
    /belongs to another root; name another with --state/,
  )
  const cache = ['--cache-dir', user.path('st/cache'), '--state', user.path('st2')]
  refused(t, await user.run(['serve', ...others, ...cache]), 1, /another root.*--cache-dir/)
  t.deepEqual(await user.everything(), before)
})

test('bad input: a state directory of another version', async t => {
  const { user, grid } = await world(t)
  t.is(await (await user.serve(...grid, '--state', user.path('st'))).end(), 0)
  const db = new DatabaseSync(user.path('st/state.db'))
  db.exec('PRAGMA user_version = 99')
  db.close()
  const said = await user.run(['serve', ...grid, '--state', user.path('st')])
  refused(t, said, 1, /is of version 99, this tahoe-nfs reads version \d+; name another with --state/)
})

const asRoot = needs(process.getuid?.() === 0, 'root')

asRoot('bad input: a state directory of another user', async t => {
  const { user, grid } = await world(t)
  await mkdir(user.path('st'), { mode: 0o700 })
  await chown(user.path('st'), 65_534, 65_534)
  const said = await user.run(['serve', ...grid, '--state', user.path('st')])
  refused(t, said, 1, /belongs to another user; name another with --state/)
})

asRoot('bad input: a mount point that is busy with another file system', async t => {
  const { user, grid } = await world(t)
  const { execFileSync } = await import('node:child_process')
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', user.path('mnt')])
  t.teardown(() => execFileSync('umount', [user.path('mnt')]))
  const said = await user.run(['mount', ...grid, user.path('mnt')])
  refused(t, said, 1, /mnt is a mount point already \(tmpfs\); unmount it, or name another/)
})

test('a bare command prints its help and exits with 2, and --help with 0', async t => {
  const someone = await user(t)
  const bare = await someone.run([])
  t.is(bare.code, 2)
  t.regex(bare.err, /Usage: tahoe-nfs/)
  const help = await someone.run(['--help'])
  t.is(help.code, 0)
  t.regex(help.out, /Exit codes: 0 done, 1 failed, 2 used wrongly/)
})
