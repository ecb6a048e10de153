// One share of a mutable file on one server: its first bytes, which were read with the map, and
// any others when they are asked for.

import { type Header, Malformed, type Span } from '../../format/ssk.ts'
import type { StorageIndex, StorageServer, Wait } from '../../storage/server.ts'

/** Bytes of each share that are read with the map. Small shares are whole with that. */
export const HEAD_SIZE = 4000
/** Bytes compared of a share that has no header of its own; the longer of the two checkstrings. */
const CHECKED = 57

export class FoundShare {
  readonly server: StorageServer
  readonly number: number
  readonly head: Buffer
  /** Null of a share that is damaged so far that it has none. */
  readonly header: Header | null
  readonly #index: StorageIndex

  constructor(
    index: StorageIndex,
    server: StorageServer,
    number: number,
    head: Buffer,
    header: Header | null,
  ) {
    this.#index = index
    this.server = server
    this.number = number
    this.head = head
    this.header = header
  }

  /** What must still be there when it is replaced. */
  get checkstring(): Buffer {
    return this.header?.checkstring ?? this.head.subarray(0, CHECKED)
  }

  /** Bytes of a span; Malformed when the share ends before. */
  async bytes({ start, end }: Span, wait?: Wait): Promise<Buffer> {
    if (end <= this.head.length) return this.head.subarray(start, end)
    const whole = this.head.length < HEAD_SIZE
    const bytes = whole
      ? Buffer.alloc(0)
      : await this.server.read('mutable', this.#index, this.number, start, end, wait)
    if (bytes.length !== end - start) throw new Malformed('it ends too early')
    return bytes
  }

  /** Whether it is another version by now. */
  async moved(wait?: Wait): Promise<boolean> {
    const { signed } = this.header!
    const now = await this.server.read('mutable', this.#index, this.number, 0, signed.length, wait)
    return now.compare(signed) !== 0
  }
}
