// What a client keeps in `private` of its folder, as a Tahoe node does: mode 0600, and written so
// that a crash leaves the old or the new.

import { randomBytes } from 'node:crypto'
import { chmod, mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { FsError } from '../../errors.ts'
import { decode, encode } from '../format/base32.ts'

/** Bytes of such a file at most. */
const MAX = 1 << 20

/** Bytes of a new secret; a node's convergence secret may have another length. */
const SECRET = 32

export class Private {
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = join(dir, 'private')
  }

  /** The text of a file, or null where there is none. */
  async read(name: string): Promise<string | null> {
    const text = await readFile(join(this.#dir, name), 'utf8').catch((err: NodeJS.ErrnoException) => {
      if (err.code === 'ENOENT') return null
      throw new FsError('EIO', `private/${name} cannot be read (${err.code})`, { cause: err })
    })
    if (text !== null && text.length > MAX) throw new FsError('EIO', `private/${name} is too large`)
    return text
  }

  /** Durable when it returns. */
  async write(name: string, text: string): Promise<void> {
    const path = join(this.#dir, name)
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 })
      await chmod(this.#dir, 0o700)
      const file = await open(`${path}.new`, 'w', 0o600)
      try {
        await file.writeFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(`${path}.new`, path)
      await sync(this.#dir)
      await sync(join(this.#dir, '..'))
    } catch (err) {
      throw new FsError('EIO', `private/${name} cannot be written (${(err as NodeJS.ErrnoException).code})`, {
        cause: err,
      })
    }
  }

  /** A secret in base32, made when it is first asked for. */
  async secret(name: string): Promise<Buffer> {
    const text = await this.read(name)
    const bytes = text === null ? randomBytes(SECRET) : decode(text.trim())
    if (bytes === null) throw new FsError('EIO', `private/${name} is damaged: it should be base32`)
    if (text === null) await this.write(name, `${encode(bytes)}\n`)
    return bytes
  }
}

async function sync(dir: string): Promise<void> {
  const handle = await open(dir)
  await handle.sync().finally(() => handle.close())
}
