// A Debian kernel in QEMU, software emulation only, whose NFS client judges our server.
// It runs shell scripts (with test/kernel/checks.sh sourced before) and talks back over
// its second serial port; the first is the kernel's console. Our loopback is its 10.0.2.2.

import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { constants, rmSync } from 'node:fs'
import { copyFile, mkdtemp, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import { type Verdict, verdictOf } from '../mounted/verdict.ts'
import type { Entry } from './cpio.ts'
import { appendArchive } from './cpio.ts'
import { checkout, kernelImage } from './image.ts'

export { buildInitramfs, whatIsMissing } from './image.ts'

/** What a guest that has ended leaves: every check in the order it ran, and the script's exit status. */
export type Outcome = {
  readonly status: number
  readonly checks: readonly Verdict[]
  readonly notes: ReadonlyMap<string, string>
  /** Milliseconds from starting QEMU until the script ran, and until it ended. */
  readonly bootMs: number
  readonly totalMs: number
}

export type GuestOptions = {
  /** The path of an image from buildInitramfs. */
  readonly initramfs: string
  /** Shell scripts, their paths in the checkout; one shell runs them, one after the other. */
  readonly scripts: readonly string[]
  /** What the script finds in its environment. */
  readonly env?: Readonly<Record<string, string>>
  /** More files for the guest, by path without a leading slash. */
  readonly files?: ReadonlyMap<string, Entry>
  readonly memoryMb: number
  readonly cpus?: number
  readonly timeoutMs: number
  readonly signal?: AbortSignal
  /**
   * What the host does when the script says `ask WHAT`, or `show FILE WHAT`, whose text it is given;
   * its end, or its error, is the answer.
   */
  readonly on?: Readonly<Record<string, (shown: string) => Promise<void>>>
  /** Bytes of a disk, empty at first, that the guest finds as /dev/vda. What is not written takes no room. */
  readonly diskBytes?: number
}

export class Guest implements AsyncDisposable {
  /** Ends with the guest. Rejects when it was stopped, hung or crashed, with the end of its console. */
  readonly done: Promise<Outcome>
  readonly #checks: Verdict[] = []
  readonly #notes = new Map<string, string>()
  readonly #lines: string[] = []
  readonly #waiting = new Set<() => void>()
  readonly #qemu: ChildProcess
  readonly #line: Duplex
  readonly #on: NonNullable<GuestOptions['on']>
  readonly #started = performance.now()
  readonly #clean: () => void
  #bootMs = 0
  #running = 'booting'
  #status: number | null = null
  #why: string | null = null
  #ended = false
  #console = ''

  constructor(qemu: ChildProcess, options: GuestOptions, clean: () => void) {
    this.#qemu = qemu
    this.#on = options.on ?? {}
    this.#clean = clean
    this.#line = qemu.stdio[3] as Duplex
    for (const stream of [qemu.stdout!, qemu.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#console = (this.#console + text).slice(-64 * 1024)
      })
    }
    // Errors of the line are QEMU's end, and that has its own word.
    this.#line.on('error', () => {})
    createInterface({ input: this.#line })
      .on('line', line => this.#hear(line))
      .on('error', () => {})

    const timer = setTimeout(() => this.#kill(`took longer than ${options.timeoutMs} ms`), options.timeoutMs)
    const abort = (): void => this.#kill('was aborted')
    const exit = (): void => {
      qemu.kill('SIGKILL')
      clean()
    }
    options.signal?.addEventListener('abort', abort)
    process.on('exit', exit)
    const ended = Promise.withResolvers<Outcome>()
    const end = (what: string): void => {
      if (this.#ended) return
      this.#ended = true
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', abort)
      process.off('exit', exit)
      this.#wake()
      if (this.#status !== null && this.#why === null) ended.resolve(this.#outcome(this.#status))
      else ended.reject(this.#failure(this.#why ?? what))
    }
    qemu.on('error', error => end(`did not start: ${error.message}`))
    qemu.on('close', (code, signal) => end(`ended by itself (${signal ?? code})`))
    this.done = ended.promise.finally(clean)
    this.done.catch(() => {}) // whoever waits for a verdict is told; nobody has to wait for the end
    if (options.signal?.aborted) abort()
  }

  /** The verdict of one check, as soon as there is one. */
  async verdict(name: string): Promise<Verdict> {
    for (;;) {
      const found = this.#checks.find(check => check.name === name)
      if (found) return found
      if (this.#status !== null) throw this.#failure(`never came to "${name}"`)
      if (this.#ended) await this.done
      await this.#news()
    }
  }

  /** Waits for a line `ASK what`, also one that has already come, and takes it. */
  async expect(what: string): Promise<void> {
    for (;;) {
      const at = this.#lines.indexOf(what)
      if (at >= 0) return void this.#lines.splice(at, 1)
      if (this.#status !== null) throw this.#failure(`never asked "${what}"`)
      if (this.#ended) await this.done
      await this.#news()
    }
  }

  /** The answer that a script in `ask` waits for; `ok` lets it go on. */
  send(line: string): void {
    this.#line.write(`${line}\n`)
  }

  /** The end of what the kernel and the script printed. */
  console(): string {
    return this.#console
  }

  async stop(): Promise<void> {
    if (!this.#ended) this.#kill('was stopped')
    await this.done.catch(() => {})
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #hear(line: string): void {
    const [word, ...rest] = line.split('\t')
    if (word === 'BOOTED') {
      this.#bootMs = performance.now() - this.#started
      this.#clean() // its files are in its memory, and its disk is open
    } else if (word === 'RUN') this.#running = rest[0] ?? ''
    else if (word === 'NOTE') this.#notes.set(rest[0] ?? '', rest[1] ?? '')
    else if (word === 'ASK') this.#asked(rest[0] ?? '', shown(rest[1]))
    else if (word === 'CHECK') this.#checks.push(verdictOf(rest))
    else if (word === 'DONE') {
      this.#status = Number(rest[0])
      this.send('off') // it has been heard: the guest may go
    } else return
    this.#wake()
  }

  #asked(what: string, shown: string): void {
    const action = this.#on[what]
    if (action === undefined) return void this.#lines.push(what)
    action(shown).then(
      () => this.send('ok'),
      (error: unknown) => this.send(`${String(error).replaceAll('\n', ' ')}`),
    )
  }

  #news(): Promise<void> {
    return new Promise(resolve => this.#waiting.add(resolve))
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }

  #kill(why: string): void {
    this.#why ??= why
    this.#qemu.kill('SIGKILL')
  }

  #failure(why: string): Error {
    const failed = this.#checks.filter(check => !check.ok).map(check => `failed: ${check.name}\n`)
    return new Error(
      `the guest ${why}; last in "${this.#running}"\n${failed.join('')}${this.#console.slice(-4000)}`,
    )
  }

  #outcome(status: number): Outcome {
    const totalMs = performance.now() - this.#started
    return { status, checks: this.#checks, notes: this.#notes, bootMs: this.#bootMs, totalMs }
  }
}

/** The text that `show` has packed; none for `ask`. */
const shown = (packed: string | undefined): string =>
  packed === undefined ? '' : gunzipSync(Buffer.from(packed, 'base64')).toString()

/** Starts a guest. It lives until its script ends, its time is over, or it is stopped; never longer than this process. */
export async function bootGuest(options: GuestOptions): Promise<Guest> {
  const dir = await mkdtemp(join(tmpdir(), 'guest-'))
  const initrd = join(dir, 'initrd')
  const clean = (): void => rmSync(dir, { recursive: true, force: true })
  try {
    await copyFile(options.initramfs, initrd, constants.COPYFILE_FICLONE)
    await using file = await open(initrd, 'a')
    await appendArchive(file, job(options))
    const disk = options.diskBytes ? await blank(join(dir, 'disk'), options.diskBytes) : null
    return new Guest(qemu({ initrd, kernel: await kernelImage(), disk }, options), options, clean)
  } catch (error) {
    clean()
    throw error
  }
}

/** A file of zeros that takes no room. */
async function blank(path: string, size: number): Promise<string> {
  await using file = await open(path, 'w')
  await file.truncate(size)
  return path
}

/** The second archive: what this run alone has. */
function job(options: GuestOptions): Map<string, Entry> {
  const env = Object.entries(options.env ?? {}).map(
    ([name, value]) => `export ${name}='${value.replaceAll("'", `'\\''`)}'\n`,
  )
  const scripts = options.scripts.map((script): [string, Entry] => [
    `job/${basename(script)}`,
    { kind: 'copy', mode: 0o644, from: join(checkout, script) },
  ])
  const run = scripts.map(([path]) => `. /${path}\n`)
  return new Map<string, Entry>([
    ['job/env.sh', { kind: 'file', mode: 0o600, data: Buffer.from(env.join('')) }],
    ['job/checks.sh', { kind: 'copy', mode: 0o644, from: join(import.meta.dirname, 'checks.sh') }],
    ['job/run.sh', { kind: 'file', mode: 0o644, data: Buffer.from(run.join('')) }],
    ...scripts,
    ...(options.files ?? []),
  ])
}

type Boot = { readonly initrd: string; readonly kernel: string; readonly disk: string | null }

function qemu({ initrd, kernel, disk }: Boot, options: GuestOptions): ChildProcess {
  const args = [
    // /dev/kvm may open and still hang the guest, in a machine that is itself virtual. One thread
    // for all processors: with a thread each, Node in the guest was seen to crash now and then.
    ['-accel', 'tcg,thread=single'],
    ['-cpu', 'max'], // rdrand: a guest without randomness waits for it
    ['-smp', String(options.cpus ?? 1)],
    ['-m', String(options.memoryMb)],
    ['-nodefaults', '-no-user-config', '-no-reboot'],
    ['-display', 'none'],
    ['-kernel', kernel],
    ['-initrd', initrd],
    ['-append', 'console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off nokaslr audit=0 apparmor=0'],
    ['-serial', 'stdio'],
    ['-chardev', 'socket,id=line,fd=3', '-serial', 'chardev:line'],
    ['-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net,romfile='],
    disk === null ? [] : ['-drive', `file=${disk},format=raw,if=virtio,cache=unsafe`],
  ].flat()
  // The kernel ends QEMU should we be killed ourselves.
  return spawn('setpriv', ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  })
}
