// The state directory: one SQLite database per root, its lock, and the master key.
// Reads happen here, on the main thread; every write goes to the writer thread.

import { randomBytes } from 'node:crypto'
import { lstat, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { FsError } from '../../errors.ts'
import { type Op, tables, VERSION } from './schema.ts'
import { derive, seal, open as unseal } from './seal.ts'

export type Row = { [column: string]: null | number | bigint | string | Uint8Array }

type Group = { ops: Op[]; done: PromiseWithResolvers<void> }

export class State {
  readonly dir: string
  readonly #reader: DatabaseSync
  readonly #lock: DatabaseSync
  readonly #writer: Worker
  readonly #master: Buffer
  readonly #prepared = new Map<string, StatementSync>()
  #writing: Group | null = null
  #next: Group | null = null
  #broken: Error | null = null
  #closed: Promise<void> | null = null
  readonly #gone: Promise<void>

  private constructor(dir: string, lock: DatabaseSync, reader: DatabaseSync, master: Buffer) {
    this.dir = dir
    this.#lock = lock
    this.#reader = reader
    this.#master = master
    this.#writer = new Worker(new URL(`./writer${extname(import.meta.url)}`, import.meta.url), {
      workerData: { file: join(dir, 'state.db') },
    })
    this.#writer.on('message', (failure: string | null) => this.#written(failure))
    this.#writer.on('error', err => this.#written(`the writer thread died: ${err.message}`))
    this.#gone = new Promise(resolve => {
      this.#writer.on('exit', () => {
        this.#written('the writer thread is gone')
        resolve()
      })
    })
  }

  /**
   * Opens the state of `secret` (the root cap's text) in `dir`, making it when it is new.
   * Refuses, changing nothing, a directory that is not ours alone, that another process
   * owns, or that holds the state of another version or another root.
   */
  static async open(dir: string, secret: string): Promise<State> {
    await ownDirectory(dir)
    const lock = await takeLock(dir)
    try {
      const file = join(dir, 'state.db')
      const reader = new DatabaseSync(file, { readBigInts: true })
      try {
        const master = readTables(reader, secret, dir)
        await writeFile(join(dir, 'pid'), `${process.pid}\n`, { mode: 0o600 })
        return new State(dir, lock, reader, master)
      } catch (err) {
        reader.close()
        throw err
      }
    } catch (err) {
      lock.close()
      throw err
    }
  }

  /** A key for one purpose, from the master key. */
  key(purpose: string): Buffer {
    return derive(this.#master, Buffer.alloc(0), purpose)
  }

  all(sql: string, ...values: (number | bigint | string | Uint8Array)[]): Row[] {
    return this.#statement(sql).all(...values) as Row[]
  }

  get(sql: string, ...values: (number | bigint | string | Uint8Array)[]): Row | undefined {
    return this.#statement(sql).get(...values) as Row | undefined
  }

  /**
   * Makes changes durable, all or none. Starts at once when the writer is idle; what
   * arrives meanwhile is the next group. After one failure every later commit fails:
   * what the disk holds is then not known.
   */
  commit(ops: readonly Op[]): Promise<void> {
    if (this.#broken) return Promise.reject(this.#broken)
    if (ops.length === 0) return Promise.resolve()
    this.#next ??= { ops: [], done: Promise.withResolvers() }
    for (const op of ops) this.#next.ops.push(op) // a large listing is more than a call can carry
    const { promise } = this.#next.done
    this.#write()
    return promise
  }

  /** Waits for what is being written; what comes later is refused. */
  close(): Promise<void> {
    return (this.#closed ??= this.#end())
  }

  async #end(): Promise<void> {
    while (this.#writing || this.#next) await (this.#next ?? this.#writing)?.done.promise.catch(() => {})
    this.#broken ??= new FsError('EIO', `the state in ${this.dir} is closed`)
    this.#writer.postMessage('close')
    await this.#gone
    this.#reader.close()
    this.#lock.close()
  }

  #statement(sql: string): StatementSync {
    let found = this.#prepared.get(sql)
    if (!found) this.#prepared.set(sql, (found = this.#reader.prepare(sql)))
    return found
  }

  #write(): void {
    if (this.#writing || !this.#next) return
    this.#writing = this.#next
    this.#next = null
    this.#writer.postMessage(this.#writing.ops)
  }

  #written(failure: string | null): void {
    const group = this.#writing
    this.#writing = null
    if (failure !== null) {
      this.#broken ??= new FsError('EIO', `the state in ${this.dir} could not be written: ${failure}`)
      group?.done.reject(this.#broken)
      this.#next?.done.reject(this.#broken)
      this.#next = null
      return
    }
    group?.done.resolve()
    this.#write()
  }
}

/** Makes `dir`, or sees that it is a directory, ours, and nobody else's. It is never repaired. */
async function ownDirectory(dir: string): Promise<void> {
  const there = await lstat(dir).catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return null
    throw new FsError('EACCES', `the state directory ${dir} cannot be reached; name another with --state`, {
      cause: err,
    })
  })
  if (!there) await makeDirectory(dir)
  const found = there ?? (await lstat(dir))
  if (!found.isDirectory())
    throw new FsError('ENOTDIR', `the state ${dir} is not a directory; name another with --state`)
  if (process.getuid && found.uid !== process.getuid())
    throw new FsError(
      'EACCES',
      `the state directory ${dir} belongs to another user; name another with --state`,
    )
  if ((found.mode & 0o077) !== 0)
    throw new FsError(
      'EACCES',
      `the state directory ${dir} is open to others; make it yours alone: chmod 700 ${dir}`,
    )
  const files = await readdir(dir)
  if (files.length > 0 && !files.includes('lock'))
    throw new FsError(
      'EEXIST',
      `${dir} holds other files and no state of tahoe-nfs; name another with --state`,
    )
}

async function makeDirectory(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 }).catch((err: unknown) => {
    throw new FsError('EACCES', `the state directory ${dir} cannot be made; name another with --state`, {
      cause: err,
    })
  })
}

/** The kernel's lock on a file of its own: it ends with the process, however that ends. */
async function takeLock(dir: string): Promise<DatabaseSync> {
  const lock = new DatabaseSync(join(dir, 'lock'))
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (err) {
    lock.close()
    if ((err as { errcode?: number }).errcode !== SQLITE_BUSY)
      throw new FsError('EIO', `the state in ${dir} is damaged; name another with --state`, { cause: err })
    const pid = await readFile(join(dir, 'pid'), 'utf8').catch(() => 'another process')
    throw new FsError(
      'EACCES',
      `the state directory ${dir} is in use by process ${pid.trim()}: this root is already served`,
      {
        cause: err,
      },
    )
  }
  return lock
}

const SQLITE_BUSY = 5

/** The master key; what is no database of ours says so in one line. */
function readTables(db: DatabaseSync, secret: string, dir: string): Buffer {
  try {
    return openTables(db, secret, dir)
  } catch (err) {
    if (err instanceof FsError) throw err
    throw new FsError('EIO', `the state in ${dir} is damaged; name another with --state`, { cause: err })
  }
}

/** The master key of the tables in `db`, which are made when they are new. */
function openTables(db: DatabaseSync, secret: string, dir: string): Buffer {
  const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0)
  if (version === 0) return createTables(db, secret)
  if (version !== VERSION)
    throw new FsError(
      'EINVAL',
      `the state directory ${dir} is of version ${version}, this tahoe-nfs reads version ${VERSION}; name another with --state`,
    )
  const value = (key: string) =>
    db.prepare('SELECT value FROM meta WHERE key = ?').get(key)?.['value'] as Uint8Array
  const master = unseal(derive(Buffer.from(secret), value('salt'), 'wrap'), value('wrapped'), 'master')
  if (!master)
    throw new FsError(
      'EACCES',
      `the state directory ${dir} belongs to another root; name another with --state`,
    )
  return master
}

function createTables(db: DatabaseSync, secret: string): Buffer {
  const salt = randomBytes(32)
  const master = randomBytes(32)
  const wrapped = seal(derive(Buffer.from(secret), salt, 'wrap'), master, 'master')
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; BEGIN IMMEDIATE')
  db.exec(tables)
  const put = db.prepare('INSERT INTO meta (key, value) VALUES (?, ?)')
  put.run('salt', salt)
  put.run('wrapped', wrapped)
  db.exec(`PRAGMA user_version = ${VERSION}; COMMIT`)
  return master
}
