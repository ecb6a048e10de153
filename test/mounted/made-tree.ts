// A tree such as people have: many sizes, modes and times that are not all alike, links, names with blanks.

import { randomBytes } from 'node:crypto'
import { chmod, link, mkdir, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Makes `dir`, and below it `count` small files and twenty others. */
export async function makeTree(dir: string, count: number): Promise<void> {
  for (const sub of ['deep/er/est', 'empty', 'naïve ünïcode', 'many'])
    await mkdir(join(dir, sub), { recursive: true })
  for (const size of [0, 1, 511, 512, 4095, 4096, 4097, 65_535, 65_536, 262_145, 1_048_577])
    await writeFile(join(dir, `size-${size}`), randomBytes(size))
  for (let i = 0; i < count; i++) await writeFile(join(dir, 'many', `file ${i}`), randomBytes(i * 37))
  await writeFile(join(dir, 'deep/er/est/inner.txt'), 'inner\n')
  await writeFile(join(dir, 'naïve ünïcode/日本語 file'), 'with spaces\n')
  await symlink('deep/er', join(dir, 'link to a directory'))
  await symlink('../size-512', join(dir, 'deep/link to a file'))
  await symlink('nowhere/at all', join(dir, 'dangling'))
  await link(join(dir, 'size-4097'), join(dir, 'deep/second name'))
  await chmod(join(dir, 'size-1'), 0o600)
  await chmod(join(dir, 'size-511'), 0o755)
  await chmod(join(dir, 'size-512'), 0o444)
  await utimes(join(dir, 'size-0'), 981_173_106, 981_173_106.25)
  await utimes(join(dir, 'many/file 1'), 1, 1)
  await chmod(join(dir, 'empty'), 0o700)
  await utimes(join(dir, 'empty'), 1_286_705_410, 1_286_705_410)
}
