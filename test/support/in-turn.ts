// A Tahoe node of a test file's own, and our own server on its storage folder, in turn: as long as
// we have the folder open the node is only asked to read. Both make what they make under the same
// id and with the same secrets, so either may change what the other has made.
//
// In turn, because two servers on one folder know nothing of each other's locks: between the test
// of a write and the write itself the other could write, and what it acknowledged would be gone.
// And the node changes a share in the file that our server may hold open, with a header that is
// no longer true. So each turn opens the folder anew, and closes it. Our client stays, and with it
// what it remembers of the files that the node has changed since.

import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Cap } from '../../src/tahoe/cap.ts'
import { decode } from '../../src/tahoe/format/base32.ts'
import { generateKey } from '../../src/tahoe/format/ssk-keys.ts'
import type { Grid } from '../../src/tahoe/grid.ts'
import type { ShareNumbers } from '../../src/tahoe/native/immutable/push.ts'
import { KeyPool } from '../../src/tahoe/native/keys.ts'
import { MutableFiles } from '../../src/tahoe/native/mutable/mutable.ts'
import { native } from '../../src/tahoe/native/native.ts'
import { Secrets } from '../../src/tahoe/native/secrets.ts'
import { LocalServer } from '../../src/tahoe/storage/local.ts'
import type { StorageServer } from '../../src/tahoe/storage/server.ts'
import { startTahoe, type TahoeNode, tahoe } from './tahoe-node.ts'

/** A client of ours, while it has its turn. */
export type Ours = {
  readonly grid: Grid
  /** For what a grid does not make: mutable files that are no directories. */
  readonly files: MutableFiles
}

export const one: ShareNumbers = { needed: 1, happy: 1, total: 1 }
export const ten: ShareNumbers = { needed: 3, happy: 1, total: 10 }

/** Of a client that no node knows. */
const strangers = new Secrets(Buffer.alloc(32, 1), Buffer.alloc(32, 2))

/** A client of one server. */
export function clientOf(
  server: StorageServer,
  shares: ShareNumbers,
  secrets = strangers,
  keys: Pick<KeyPool, 'take'> = { take: generateKey },
): Ours {
  const options = { servers: [server], secrets, keys, shares }
  return { grid: native(options), files: new MutableFiles(options) }
}

export class InTurn {
  readonly dir: string
  #node: TahoeNode
  #shares = one
  readonly #keys = new KeyPool(4)
  readonly #clients = new Map<string, Ours>()
  #open: LocalServer | null = null

  private constructor(dir: string, node: TahoeNode) {
    this.dir = dir
    this.#node = node
  }

  static async start(): Promise<InTurn> {
    const dir = await mkdtemp(join(tmpdir(), 'tahoe-nfs-interop-'))
    return new InTurn(dir, await startTahoe(join(dir, 'node')))
  }

  async end(): Promise<void> {
    this.#keys.close()
    for (const { grid } of this.#clients.values()) await grid.close()
    await this.#node.stop()
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5 })
  }

  /** As it runs now: a restart changes its port. */
  get node(): TahoeNode {
    return this.#node
  }

  /** Both sides make files so from now on; the node is started anew where it must be. */
  async numbers(shares: ShareNumbers): Promise<void> {
    if (shares === this.#shares) return
    await this.stopped(() => this.#configure(shares))
  }

  /** While the node does not run. */
  async stopped<T>(work: () => Promise<T>): Promise<T> {
    await this.#node.stop()
    try {
      return await work()
    } finally {
      this.#node = await startTahoe(this.#node.dir)
    }
  }

  /** Our turn: with the node's secrets and numbers, or with a client's that the node knows nothing of. */
  async ours<T>(work: (ours: Ours) => Promise<T>, who: 'alike' | 'strange' = 'alike'): Promise<T> {
    this.#open = await LocalServer.open({ dir: this.#node.dir })
    try {
      return await work(await this.#client(who))
    } finally {
      await this.#open.close()
      this.#open = null
    }
  }

  async #client(who: 'alike' | 'strange'): Promise<Ours> {
    const name = `${who} ${this.#shares.total}`
    const found = this.#clients.get(name)
    if (found) return found
    const secrets =
      who === 'alike'
        ? new Secrets(await this.#secret('convergence'), await this.#secret('secret'))
        : strangers
    const client = clientOf(this.#server(this.#open!.id), this.#shares, secrets, this.#keys)
    this.#clients.set(name, client)
    return client
  }

  /** Whichever has the folder open. */
  #server(id: Buffer): StorageServer {
    const now = () => this.#open!
    return {
      id,
      name: 'in turn',
      version: wait => now().version(wait),
      list: (kind, index, wait) => now().list(kind, index, wait),
      read: (kind, index, share, start, end, wait) => now().read(kind, index, share, start, end, wait),
      allocate: (index, shares, size, leases, wait) => now().allocate(index, shares, size, leases, wait),
      readTestWrite: (index, secrets, changes, reads, wait) =>
        now().readTestWrite(index, secrets, changes, reads, wait),
      addLease: (index, leases, wait) => now().addLease(index, leases, wait),
      adviseCorrupt: (kind, index, share, reason, wait) =>
        now().adviseCorrupt(kind, index, share, reason, wait),
      close: async () => {},
    }
  }

  /** Every share in the folder, as Tahoe's own tool describes it, a line each. */
  async catalog(): Promise<{ lines: string[]; complaints: string }> {
    const args = ['debug', 'catalog-shares', this.#node.dir]
    const { stdout, stderr } = await promisify(execFile)(tahoe, args, { maxBuffer: 1 << 24 })
    return { lines: stdout.split('\n').filter(line => line !== ''), complaints: stderr }
  }

  /** The share files of a cap, or of all there is, as paths. */
  async shareFiles(cap?: Cap): Promise<string[]> {
    const index = cap?.storageIndex ?? ''
    const found = await readdir(this.#node.storage, { recursive: true, withFileTypes: true })
    return found
      .filter(each => each.isFile() && each.parentPath.includes(index))
      .map(each => join(each.parentPath, each.name))
  }

  /** Reports of shares that somebody found damaged. */
  advisories(): Promise<string[]> {
    return readdir(join(this.#node.dir, 'storage/corruption-advisories'))
  }

  async #secret(name: string): Promise<Buffer> {
    return decode((await readFile(join(this.#node.dir, 'private', name), 'utf8')).trim())!
  }

  async #configure(shares: ShareNumbers): Promise<void> {
    const file = join(this.#node.dir, 'tahoe.cfg')
    let text = await readFile(file, 'utf8')
    for (const [name, number] of Object.entries(shares))
      text = text.replace(new RegExp(`^shares\\.${name} = .*$`, 'm'), `shares.${name} = ${number}`)
    await writeFile(file, text)
    this.#shares = shares
  }
}
