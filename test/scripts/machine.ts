// A machine of our own for scripts/mount-nfs.sh: stand-ins for the commands it runs, which
// write down what they were given, the kernel's tables as files, and a folder to mount on.

import { execFile, execFileSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'

export const script = join(import.meta.dirname, '../../scripts/mount-nfs.sh')

/** Where a command is on this machine, or null. */
export const found = (tool: string): string | null => {
  try {
    return execFileSync('/bin/sh', ['-c', 'command -v -- "$1"', 'sh', tool], { encoding: 'utf8' }).trim()
  } catch {
    return null
  }
}

export class Machine {
  readonly dir = realpathSync(mkdtempSync(join(tmpdir(), 'mount-nfs-')))
  readonly place = join(this.dir, 'place')
  readonly log = join(this.dir, 'log')
  readonly mountinfo = join(this.dir, 'proc/self/mountinfo')
  readonly ratio = join(this.dir, 'sys/class/bdi/0:77/max_ratio')
  readonly #shell: readonly string[]

  constructor(t: ExecutionContext, system: string, shell: readonly string[]) {
    t.teardown(() => rmSync(this.dir, { recursive: true }))
    this.#shell = shell
    for (const each of ['bin', 'place', 'proc/self', 'sys/class/bdi/0:77'])
      mkdirSync(join(this.dir, each), { recursive: true })
    for (const tool of ['cat', 'grep', 'sed', 'tail', 'tr'])
      symlinkSync(found(tool)!, join(this.dir, 'bin', tool))
    writeFileSync(this.log, '')
    writeFileSync(this.mountinfo, '1 0 8:1 / / rw - ext4 /dev/root rw\n')
    writeFileSync(join(this.dir, 'proc/filesystems'), 'nodev\tproc\n\text4\nnodev\tnfs\n')
    writeFileSync(this.ratio, '100\n')
    this.has('uname', `echo ${system}`)
    this.has('id', 'echo 0')
    if (system === 'Linux') for (const tool of ['mount.nfs', 'umount', 'modprobe']) this.has(tool)
    else for (const tool of ['mount', 'mount_nfs', 'umount', 'diskutil']) this.has(tool)
    // The three lines that say where this machine is.
    const there = { PATH: join(this.dir, 'bin'), proc: join(this.dir, 'proc'), sys: join(this.dir, 'sys') }
    let text = readFileSync(script, 'utf8')
    for (const [name, value] of Object.entries(there)) {
      const line = new RegExp(`^${name}=.*$`, 'm')
      t.regex(text, line)
      text = text.replace(line, `${name}='${value}'`)
    }
    // Busybox may have these built in, and would not look for ours.
    const ours = ['uname', 'id', 'mount', 'umount', 'modprobe'].map(
      each => `${each}() { "$PATH/${each}" "$@"; }\n`,
    )
    writeFileSync(
      join(this.dir, 'script'),
      text.replace(/^set -eu$/m, line => `${line}\n${ours.join('')}`),
    )
  }

  /** A command that writes down its arguments and then does `what`. */
  has(name: string, what = ':'): void {
    const noted =
      name === 'uname' || name === 'id' || (name === 'mount' && what !== ':')
        ? ''
        : `printf '%s\\n' ${name} "$@" >>'${this.log}'\n`
    writeFileSync(join(this.dir, 'bin', name), `#!/bin/sh\n${noted}${what}\n`, { mode: 0o755 })
  }

  lacks(name: string): void {
    rmSync(join(this.dir, 'bin', name))
  }

  mounted(place = this.place, type = 'nfs', device = '0:77'): string {
    const at = place.replaceAll('\\', '\\134').replaceAll(' ', '\\040').replaceAll('\t', '\\011')
    return `99 1 ${device} / ${at} rw,nosuid shared:5 - ${type} 127.0.0.1:/ rw,vers=3\n`
  }

  run(...args: string[]): Promise<{ code: number; out: string; err: string; ran: string[] }> {
    const [program, ...first] = this.#shell
    return new Promise(resolve => {
      execFile(
        program!,
        [...first, join(this.dir, 'script'), ...args],
        { cwd: this.dir },
        (err, stdout, stderr) => {
          const ran = readFileSync(this.log, 'utf8').split('\n').slice(0, -1)
          resolve({ code: err ? Number(err.code) : 0, out: stdout, err: stderr, ran })
        },
      )
    })
  }

  /** It failed with `code`, said one line that matches, and ran nothing. */
  async refuses(t: ExecutionContext, args: string[], says: RegExp, code = 1): Promise<void> {
    const before = readFileSync(this.mountinfo, 'utf8')
    const { code: got, err, ran } = await this.run(...args)
    t.is(got, code, err)
    t.regex(err, says)
    t.is(err.trimEnd().split('\n').length, 1, err)
    t.deepEqual(
      ran.filter(word => word.includes('mount') && word !== 'modprobe'),
      [],
    )
    t.is(readFileSync(this.mountinfo, 'utf8'), before)
  }
}
