// The bytes of one in-memory file: chunks that are made when they are written,
// so that a hole costs nothing and growing never copies what is there.

const chunkSize = 64 * 1024

export class Content {
  size = 0
  /** Bytes allocated. */
  used = 0
  readonly #chunks = new Map<number, Buffer>()

  /** A copy, so that a later write does not change what was read. */
  read(offset: number, count: number): Buffer[] {
    const end = Math.min(this.size, offset + count)
    const pieces: Buffer[] = []
    for (let at = offset; at < end; ) {
      const within = at % chunkSize
      const length = Math.min(chunkSize - within, end - at)
      const piece = Buffer.alloc(length)
      this.#chunks.get(Math.floor(at / chunkSize))?.copy(piece, 0, within, within + length)
      pieces.push(piece)
      at += length
    }
    return pieces
  }

  write(offset: number, data: Uint8Array): void {
    for (let done = 0; done < data.length; ) {
      const at = offset + done
      const within = at % chunkSize
      const piece = data.subarray(done, done + chunkSize - within)
      this.#chunk(Math.floor(at / chunkSize), within + piece.length).set(piece, within)
      done += piece.length
    }
    if (data.length > 0) this.size = Math.max(this.size, offset + data.length)
  }

  /** What is cut off reads as zeros when the file grows again. */
  resize(size: number): void {
    for (const [index, chunk] of this.#chunks) {
      const start = index * chunkSize
      if (start + chunk.length <= size) continue
      if (start < size) chunk.fill(0, size - start)
      else if (this.#chunks.delete(index)) this.used -= chunk.length
    }
    this.size = size
  }

  #chunk(index: number, need: number): Buffer {
    const old = this.#chunks.get(index)
    if (old && old.length >= need) return old
    const chunk = Buffer.alloc(2 ** Math.ceil(Math.log2(need))) // small files stay small
    old?.copy(chunk)
    this.used += chunk.length - (old?.length ?? 0)
    this.#chunks.set(index, chunk)
    return chunk
  }
}
