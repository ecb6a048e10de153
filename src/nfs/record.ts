// Record marking (RFC 5531 §11): a TCP stream is records, a record is fragments,
// a fragment is four bytes of length and a last-bit, and its bytes. What a header
// claims is compared with the limit at once, and costs memory only as its bytes
// arrive. A record that lies whole in one chunk is a view of it.

import { Garbage } from './xdr.ts'

const lastFragment = 0x8000_0000
/** RFC 5531 allows an empty fragment; nobody needs many. */
const emptyFragmentsAllowed = 16
/** So much is set aside on a header's word alone; the rest once this much has arrived. */
const onCredit = 65_536

export class RecordReader {
  readonly #limit: number
  readonly #chunks: Buffer[] = []
  #off = 0 // into chunks[0]
  #waiting = 0 // bytes in chunks from off on

  #record: Buffer | null = null
  #filled = 0
  #left = 0 // of the present fragment
  #last = false
  #inFragment = false
  #empties = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Bytes held: what arrived and was not taken as a record yet. */
  get held(): number {
    return this.#waiting + this.#filled
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#chunks.push(chunk)
    this.#waiting += chunk.length
  }

  /** The next complete record, or null until more is pushed. Throws Garbage for what can be no record. */
  next(): Buffer | null {
    for (;;) {
      if (!this.#inFragment && !this.#header()) return null
      if (this.#last && this.#record === null && this.#left <= this.#inFirst()) return this.#view()
      this.#gather()
      if (this.#left > 0) return null
      this.#inFragment = false
      if (this.#last) return this.#whole()
    }
  }

  #header(): boolean {
    if (this.#waiting < 4) return false
    const mark = this.#takeHeader()
    this.#last = mark >= lastFragment
    this.#left = this.#last ? mark - lastFragment : mark
    if (this.#left > this.#limit - this.#filled) throw new Garbage('a record above the limit')
    if (this.#left === 0 && ++this.#empties > emptyFragmentsAllowed) throw new Garbage('empty fragments')
    this.#inFragment = true
    return true
  }

  #takeHeader(): number {
    if (this.#inFirst() >= 4) {
      const mark = this.#chunks[0]!.readUInt32BE(this.#off)
      this.#skip(4)
      return mark
    }
    let mark = 0
    for (let i = 0; i < 4; i++) {
      mark = mark * 256 + this.#chunks[0]![this.#off]!
      this.#skip(1)
    }
    return mark
  }

  #inFirst(): number {
    const first = this.#chunks[0]
    return first === undefined ? 0 : first.length - this.#off
  }

  #skip(n: number): void {
    this.#off += n
    this.#waiting -= n
    if (this.#off === this.#chunks[0]!.length) {
      this.#chunks.shift()
      this.#off = 0
    }
  }

  #view(): Buffer {
    if (this.#left === 0) return this.#whole() // an empty record; the caller calls it garbage
    const record = this.#chunks[0]!.subarray(this.#off, this.#off + this.#left)
    this.#skip(this.#left)
    this.#reset()
    return record
  }

  /** Moves what is there of the present fragment into the record. */
  #gather(): void {
    while (this.#left > 0 && this.#waiting > 0) {
      const n = Math.min(this.#left, this.#inFirst())
      this.#makeRoom(n)
      this.#chunks[0]!.copy(this.#record!, this.#filled, this.#off, this.#off + n)
      this.#skip(n)
      this.#filled += n
      this.#left -= n
    }
  }

  #makeRoom(n: number): void {
    const had = this.#record?.length ?? 0
    const need = this.#filled + n
    if (need <= had) return
    const claimed = this.#filled + this.#left
    const size =
      need <= onCredit
        ? Math.max(need, Math.min(claimed, onCredit), Math.min(had * 2, onCredit))
        : Math.min(Math.max(claimed, had * 2), this.#limit)
    const grown = Buffer.allocUnsafe(size)
    this.#record?.copy(grown, 0, 0, this.#filled)
    this.#record = grown
  }

  #whole(): Buffer {
    const record = this.#record?.subarray(0, this.#filled) ?? Buffer.alloc(0)
    this.#reset()
    return record
  }

  #reset(): void {
    this.#record = null
    this.#filled = 0
    this.#left = 0
    this.#last = false
    this.#inFragment = false
    this.#empties = 0
  }
}
