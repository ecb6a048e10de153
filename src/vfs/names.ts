// The names a grid allows and a file system cannot, shown so that they can be read and
// found again: '/' as ␛2F, NUL as ␛00, a name '.' or '..' with ␛2E, the empty name as ␛~,
// ␛ itself as ␛␛. Everything else is shown as it is.

import { createHash } from 'node:crypto'

const ESC = '␛'
/** The longest name in bytes that Linux and macOS carry. */
export const NAME_MAX = 255

const escapes: Record<string, string> = { '/': `${ESC}2F`, '\0': `${ESC}00`, [ESC]: ESC + ESC }

/**
 * How a grid's name is shown. One too long for a file system is cut and marked with a
 * hash of the whole: such a name is found in its listing, not by `real`.
 */
export function shown(real: string): string {
  if (real === '.' || real === '..') return real.replaceAll('.', `${ESC}2E`)
  if (real === '') return `${ESC}~`
  const name = /[/\0␛]/.test(real) ? real.replace(/[/\0␛]/g, c => escapes[c]!) : real
  return Buffer.byteLength(name) <= NAME_MAX ? name : marked(name, real)
}

/** `name` cut to fit, with a mark that tells it from every other name. */
export function marked(name: string, real: string): string {
  const mark = `${ESC}~${createHash('sha256').update(real).digest('hex').slice(0, 16)}`
  const room = NAME_MAX - Buffer.byteLength(mark)
  let cut = ''
  let bytes = 0
  for (const char of name) {
    bytes += Buffer.byteLength(char)
    if (bytes > room) break
    cut += char
  }
  return cut + mark
}

/** The grid's name for one that was shown, or that a client makes up: the inverse of `shown`. */
export const real = (name: string): string =>
  name.includes(ESC) ? name.replace(/␛(2F|00|2E|␛)/g, (_, code: string) => unescapes[code]!) : name

const unescapes: Record<string, string> = { '2F': '/', '00': '\0', '2E': '.', [ESC]: ESC }

/** What makes two names the same: their NFC form. */
export const nameKey = (name: string): string => name.normalize('NFC')
