// A share that a server has already, while its file is stored again. A container that looks whole
// says nothing of its bytes, and whoever stores may keep no other copy: so what would be written is
// compared with what is there, and from the first difference on it is written anew.

import { codeOf, FsError } from '../../../errors.ts'
import type { ShareWriter, StorageServer } from '../../storage/server.ts'

/** Bytes of what was found to be good that are copied at a time. */
const STEP = 1 << 20

export type Compared = {
  readonly server: StorageServer
  readonly index: string
  readonly share: number
  /** A writer for what takes its place; none where the server keeps what it has. */
  replace(): Promise<ShareWriter | null>
}

/** To be written to in order. */
export class Comparison implements ShareWriter {
  readonly #what: Compared
  #writer: Promise<ShareWriter> | null = null
  #over = false

  constructor(what: Compared) {
    this.#what = what
  }

  async write(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    if (!this.#writer) {
      if (await this.#isThere(offset, parts)) return
      if (this.#over) throw new FsError('EINVAL', `write share ${this.#what.share}: it was given up`)
      this.#writer = this.#anew(offset)
    }
    await (await this.#writer).write(offset, parts)
  }

  async close(): Promise<void> {
    await (await this.#writer)?.close()
  }

  async abort(): Promise<void> {
    this.#over = true
    await (await this.#writer?.catch(() => null))?.abort()
  }

  async #isThere(offset: number, parts: readonly Uint8Array[]): Promise<boolean> {
    const { server, index, share } = this.#what
    let start = offset
    try {
      for (const part of parts) {
        const there = await server.read('immutable', index, share, start, start + part.length)
        if (!there.equals(part)) return false
        start += part.length
      }
      return true
    } catch (err) {
      if (codeOf(err) === 'EIO' || codeOf(err) === 'ENOENT') return false
      throw err
    }
  }

  /** What comes before `good` is as it should be. */
  async #anew(good: number): Promise<ShareWriter> {
    const { server, index, share, replace } = this.#what
    await server.adviseCorrupt('immutable', index, share, 'it is not what is stored again').catch(() => {})
    const writer = await replace()
    if (!writer) throw new FsError('EIO', `share ${share} of ${index} is damaged, and stays`)
    try {
      for (let at = 0; at < good; at += STEP) {
        const end = Math.min(at + STEP, good)
        await writer.write(at, [await server.read('immutable', index, share, at, end)])
      }
      return writer
    } catch (err) {
      await writer.abort()
      throw err
    }
  }
}
