// Numbers as people say them, and texts of others as a terminal may show them.

export function inWords(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let at = 0
  let value = bytes
  for (; value >= 1024 && at < units.length - 1; at++) value /= 1024
  return `${at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[at]}`
}

/** A while in its largest whole unit. */
export function whileInWords(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} days`
}

/** What an FsError says, without its code. */
export const withoutCode = (message: string): string => message.replace(/^E[A-Z0-9]+: /, '')

/** In one line, and without what would command a terminal or turn its text around. */
export const printable = (text: string): string =>
  text.replace(
    /[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu,
    char => `\\x${char.codePointAt(0)!.toString(16).padStart(2, '0')}`,
  )
