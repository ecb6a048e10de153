// The kernel's table of mounts, as text: a mount whose server is gone must not be touched,
// or whoever touches it hangs or fails.

import { readFile } from 'node:fs/promises'

/** One line of /proc/self/mountinfo, proc(5). */
export type MountLine = {
  readonly mountpoint: string
  /** MAJOR:MINOR; no other file system has it while this one lives. */
  readonly number: string
  readonly type: string
  readonly source: string
  readonly flags: readonly string[]
  /** The file system's own, `name` or `name=value`. */
  readonly options: readonly string[]
}

export const mountLines = async (): Promise<MountLine[]> =>
  parseMountLines(await readFile('/proc/self/mountinfo', 'utf8'))

/** ID parent major:minor root mountpoint flags [tags] - type source options */
export const parseMountLines = (text: string): MountLine[] =>
  text.split('\n').flatMap(line => {
    const [before, after] = line.split(' - ', 2)
    const [, , number = '', , mountpoint, flags = ''] = before?.split(' ') ?? []
    const [type, source = '', options = ''] = after?.split(' ') ?? []
    if (!mountpoint || !type) return []
    return [
      {
        mountpoint: plain(mountpoint),
        number,
        type,
        source: plain(source),
        flags: flags.split(','),
        options: options.split(','),
      },
    ]
  })

/** Blanks and backslashes stand as three octal digits there. */
const plain = (path: string): string =>
  path.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
