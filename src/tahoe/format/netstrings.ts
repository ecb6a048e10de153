// Reading netstrings: a length in decimal, a colon, so many bytes, a comma.

/** Digits of a length that is believed. */
const MAX_DIGITS = 9

/** Something that should be netstrings is not. */
export class NotNetstrings extends Error {}

/** The netstrings in these bytes, one after another, as views. Throws NotNetstrings where they end being any. */
export function* netstringsIn(bytes: Buffer): Generator<Buffer, void, undefined> {
  for (let at = 0; at < bytes.length; ) {
    let length = 0
    let digits = 0
    for (; digits <= MAX_DIGITS; digits++) {
      const digit = bytes[at + digits]! - 0x30
      if (!(digit >= 0 && digit <= 9)) break
      length = length * 10 + digit
    }
    const start = at + digits + 1
    const end = start + length
    if (digits === 0 || digits > MAX_DIGITS || bytes[start - 1] !== 0x3a || bytes[end] !== 0x2c)
      throw new NotNetstrings('no netstring, or not all of it')
    yield bytes.subarray(start, end)
    at = end + 1
  }
}
