// The bytes of immutable files, a segment at a time and the next one ahead.

import { LRUCache } from 'lru-cache'
import type { Log } from '../../../log.ts'
import type { Cap } from '../../cap.ts'
import { MAX_SEGMENT } from '../../format/chk/shape.ts'
import { HASH_SIZE } from '../../format/merkle.ts'
import type { Range } from '../../grid.ts'
import type { StorageServer } from '../../storage/server.ts'
import { ImmutableFile } from './file.ts'

/** Bytes of shares and hashes that are remembered, about. */
const MEMORY = 32 << 20

/** Bytes that one file may take of that: a small share whole, or the hashes of a large one. */
function memoryOf({ contentSize, needed, total }: Cap): number {
  const segments = Math.ceil(contentSize! / MAX_SEGMENT)
  const share =
    Math.min(64 * 1024, contentSize! / needed! + 8 * 1024) + Math.min(1 << 20, 4 * segments * HASH_SIZE)
  return Math.ceil(4096 + total! * 512 + needed! * share)
}

export class Downloads {
  readonly #serversFor: (index: string) => readonly StorageServer[]
  readonly #log: Log
  readonly #files = new LRUCache<string, ImmutableFile>({ maxSize: MEMORY })

  /** `serversFor`: in the order in which to ask them for a storage index. */
  constructor(serversFor: (index: string) => readonly StorageServer[], log: Log) {
    this.#serversFor = serversFor
    this.#log = log
  }

  /** The bytes of a range of the content, in pieces. EAGAIN when too few good shares are within reach. */
  async *read(cap: Cap, range: Range, signal?: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    const end = Math.min(range.end, cap.contentSize!)
    if (range.start >= end) return
    const file = this.#file(cap)
    try {
      yield* segments(file, range.start, end, signal)
    } catch (err) {
      // What was damaged may have been made good by the time that it is asked for again.
      if (this.#files.peek(cap.uri()) === file) this.#files.delete(cap.uri())
      throw err
    }
  }

  /** Forgets what is known of the shares under an index: they have changed. */
  forget(index: string): void {
    for (const [key, file] of this.#files) if (file.index === index) this.#files.delete(key)
  }

  #file(cap: Cap): ImmutableFile {
    const key = cap.uri()
    let file = this.#files.get(key)
    if (!file) {
      file = new ImmutableFile(cap, this.#serversFor(cap.storageIndex!), this.#log)
      this.#files.set(key, file, { size: memoryOf(cap) })
    }
    return file
  }
}

async function* segments(
  file: ImmutableFile,
  start: number,
  end: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  const { segmentSize } = await file.shape(signal)
  const last = Math.floor((end - 1) / segmentSize)
  let segment = Math.floor(start / segmentSize)
  let next: Promise<Buffer> | null = file.segment(segment, signal)
  while (next) {
    const bytes = await next
    const at = segment * segmentSize
    next = segment < last ? file.segment(++segment, signal) : null
    next?.catch(() => {}) // whoever goes on reading hears of it
    yield bytes.subarray(Math.max(0, start - at), end - at)
  }
}
