// RFC 3548 base32 as Tahoe writes it: lower case, no padding, and only one
// spelling for each value: the bits after the last byte must be zero.

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'

const values = new Int8Array(128).fill(-1)
for (let i = 0; i < alphabet.length; i++) values[alphabet.charCodeAt(i)] = i

export function encode(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let held = 0
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff // at most 4 bits wait, so 12 are enough
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += alphabet[(held >> bits) & 31]
    }
  }
  if (bits > 0) text += alphabet[(held << (5 - bits)) & 31]
  return text
}

/** The bytes, or null when the text is not the one spelling of any. */
export function decode(text: string): Buffer | null {
  const rest = (text.length * 5) % 8
  if (rest >= 5) return null // a whole character that carries no byte
  const bytes = Buffer.allocUnsafe((text.length * 5 - rest) / 8)
  let bits = 0
  let held = 0
  let at = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const value = code < 128 ? values[code]! : -1
    if (value < 0) return null
    held = ((held << 5) | value) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = (held >> bits) & 0xff
    }
  }
  return (held & ((1 << bits) - 1)) === 0 ? bytes : null
}
