// An ordinary user of this machine, for tests that run as root: in a mount namespace of their own,
// in which /dev/fuse is as it is for users elsewhere, and in which things can be missing.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { ExecutionContext } from 'ava'
import { folder } from './places.ts'

/** nobody, who owns nothing. */
export const NOBODY = 65_534

const project = join(import.meta.dirname, '../..')

export type Lack = 'nothing' | 'fusermount3' | '/dev/fuse' | 'the right to /dev/fuse'

// The checkout is seen at a place that everybody may enter, wherever it is.
const SCRIPT = `
set -e
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/project"
mount --bind "$2" "$1/project"
mknod -m 666 "$1/fuse" c 10 229
mount --bind "$1/fuse" /dev/fuse
case $3 in
fusermount3) for each in /usr/bin/fusermount3 /usr/bin/fusermount /bin/fusermount3 /bin/fusermount; do
	[ ! -e "$each" ] || mount --bind /dev/null "$each"
done ;;
/dev/fuse)
	mkdir "$1/dev"
	for each in null zero random urandom; do
		touch "$1/dev/$each"
		mount --bind "/dev/$each" "$1/dev/$each"
	done
	mount --rbind "$1/dev" /dev ;;
'the right to /dev/fuse') chmod 600 "$1/fuse" ;;
esac
echo ready
exec sleep infinity`

export class Ordinary {
  /** A folder of theirs. */
  readonly dir: string
  readonly #namespace: ChildProcess
  readonly #project: string

  private constructor(dir: string, namespace: ChildProcess, project: string) {
    this.dir = dir
    this.#namespace = namespace
    this.#project = project
  }

  static async open(t: ExecutionContext, lack: Lack = 'nothing'): Promise<Ordinary> {
    const dir = await folder(t)
    const place = join(dir, '.namespace')
    await mkdir(place)
    const args = ['--mount', 'sh', '-c', SCRIPT, 'sh', place, project, lack]
    const namespace = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'inherit'] })
    t.teardown(() => namespace.kill('SIGKILL'))
    const ended = once(namespace, 'exit').then(() => {
      throw new Error('there is no namespace')
    })
    await Promise.race([once(namespace.stdout!, 'data'), ended])
    ended.catch(() => {}) // killed at the end
    await chown(dir, NOBODY, NOBODY)
    return new Ordinary(dir, namespace, join(place, 'project'))
  }

  /** Where they find a file of the project. */
  seen(path: string): string {
    const inside = relative(project, path)
    return inside.startsWith('..') ? path : join(this.#project, inside)
  }

  /** A command as they would give it. */
  command(program: string, args: readonly string[]): [string, string[]] {
    const as = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
    return ['nsenter', [`--target=${this.#namespace.pid}`, '--mount', ...as, '--', program, ...args]]
  }

  /** What it prints; what it complains of when it fails. */
  run(program: string, ...args: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const [first, rest] = this.command(program, args)
      execFile(first, rest, { cwd: '/' }, (err, out, complaint) =>
        err ? reject(new Error(complaint || err.message)) : resolve(out),
      )
    })
  }
}
