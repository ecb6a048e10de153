// READDIR and READDIRPLUS: whole, in any page size, while others change the directory.

import { READDIR, READDIRPLUS } from '../../../src/nfs/proc/listing.ts'
import { LOOKUP, REMOVE, RENAME, RMDIR } from '../../../src/nfs/proc/names.ts'
import { at, checksOf, encode, type NfsClient, type Subject, type World } from './world.ts'

const cookieverf = Buffer.alloc(8)
type Line = { name: string; fileid: bigint; cookie: bigint }

const lineOf = (e: { name: Uint8Array; fileid: bigint; cookie: bigint }): Line => ({
  name: Buffer.from(e.name).toString(),
  fileid: e.fileid,
  cookie: e.cookie,
})

async function page(nfs: NfsClient, dir: Uint8Array, cookie: bigint, count = 512) {
  const { entries, eof } = await nfs.ok(READDIR, { dir, cookie, cookieverf, count })
  return { lines: entries.map(lineOf), eof }
}

async function all(nfs: NfsClient, dir: Uint8Array, from = 0n, count = 512): Promise<Line[]> {
  const lines: Line[] = []
  for (let cookie = from; ; ) {
    const { lines: more, eof } = await page(nfs, dir, cookie, count)
    lines.push(...more)
    if (eof) return lines
    cookie = more.at(-1)!.cookie
  }
}

async function filled({ nfs, root }: World, count: number): Promise<Uint8Array> {
  const dir = await nfs.mkdir(root, 'dir')
  await Promise.all(Array.from({ length: count }, (_, i) => nfs.create(dir, `file-${i}`)))
  return dir
}

const names = (lines: Line[]): string[] => lines.map(line => line.name)

export function listingChecks(subject: Subject): void {
  const { reading, writing } = checksOf(subject)

  writing('every cookie is non-zero, unique, and resumes with exactly what follows it', async w => {
    const { t, nfs } = w
    const dir = await filled(w, 40)
    const whole = await all(nfs, dir)
    t.is(whole.length, 42)
    t.is(new Set(whole.map(line => line.cookie)).size, 42)
    for (const [i, line] of whole.entries()) {
      t.not(line.cookie, 0n)
      t.deepEqual(await all(nfs, dir, line.cookie), whole.slice(i + 1))
    }
  })

  writing("'.' and '..' come first and lead where they say", async ({ t, nfs, root }) => {
    const dir = await nfs.mkdir(root, 'dir')
    const [dot, dotdot] = await all(nfs, dir)
    t.deepEqual([dot!.name, dot!.fileid], ['.', (await nfs.getattr(dir)).fileid])
    t.deepEqual([dotdot!.name, dotdot!.fileid], ['..', (await nfs.getattr(root)).fileid])
  })

  writing('an empty directory is two dots and eof, and nothing after them', async ({ t, nfs, root }) => {
    const dir = await nfs.mkdir(root, 'dir')
    const { lines, eof } = await page(nfs, dir, 0n)
    t.deepEqual([names(lines), eof], [['.', '..'], true])
    t.deepEqual(await page(nfs, dir, lines[1]!.cookie), { lines: [], eof: true })
  })

  writing('a READDIR reply fits its count to the byte, and is as full as it can be', async w => {
    const { t, nfs } = w
    const dir = await filled(w, 30)
    const whole = await all(nfs, dir)
    for (let count = 132; count < 700; count += 4) {
      const ok = await nfs.ok(READDIR, { dir, cookie: 0n, cookieverf, count })
      t.true(encode(READDIR.spec.resok, ok).length <= count, `${count}`)
      const next = whole[ok.entries.length]
      const bigger = next && { ...ok, entries: [...ok.entries, { ...next, name: Buffer.from(next.name) }] }
      if (bigger) t.true(encode(READDIR.spec.resok, bigger).length > count, `${count}`)
    }
  })

  writing('a READDIRPLUS reply fits maxcount, and its names fit dircount', async w => {
    const { t, nfs } = w
    const dir = await filled(w, 30)
    for (let maxcount = 256; maxcount < 2000; maxcount += 52)
      for (const dircount of [64, 200, 4096]) {
        const ok = await nfs.ok(READDIRPLUS, { dir, cookie: 0n, cookieverf, dircount, maxcount })
        t.true(encode(READDIRPLUS.spec.resok, ok).length <= maxcount)
        const bytes = ok.entries.reduce((sum, e) => sum + 8 + 4 + Math.ceil(e.name.length / 4) * 4 + 8, 0)
        t.true(bytes <= dircount)
        t.true(ok.entries.length > 0)
      }
  })

  reading('a count that fits no entry is TOOSMALL', async ({ t, nfs, root: dir }) => {
    for (const count of [0, 1, 50, 104, 131])
      t.is(await nfs.status(READDIR, { dir, cookie: 0n, cookieverf, count }), 'NFS3ERR_TOOSMALL')
    const plus = { dir, cookie: 0n, cookieverf }
    t.is(await nfs.status(READDIRPLUS, { ...plus, dircount: 0, maxcount: 4096 }), 'NFS3ERR_TOOSMALL')
    t.is(await nfs.status(READDIRPLUS, { ...plus, dircount: 4096, maxcount: 200 }), 'NFS3ERR_TOOSMALL')
  })

  writing('entries that stay appear once each while others come, go and move', async w => {
    const { t, nfs } = w
    const dir = await filled(w, 60)
    const stays = new Set(Array.from({ length: 60 }, (_, i) => `file-${i}`))
    const seen: string[] = []
    for (let cookie = 0n, i = 0; ; i++) {
      const { lines, eof } = await page(nfs, dir, cookie, 400)
      seen.push(...names(lines))
      if (eof) break
      cookie = lines.at(-1)!.cookie
      await nfs.create(dir, `new-${i}`)
      const listed = lines.find(line => line.name.startsWith('file-'))
      if (listed) await nfs.ok(REMOVE, { object: at(dir, listed.name) })
      const moving = `file-${59 - i}`
      if (!seen.includes(moving)) {
        await nfs.ok(RENAME, { from: at(dir, moving), to: at(dir, `moved-${i}`) })
        stays.delete(moving)
      }
    }
    for (const name of stays) t.is(seen.filter(each => each === name).length, 1, name)
  })

  writing('the cookie of a removed entry resumes after it, and one beyond the end is empty', async w => {
    const { t, nfs } = w
    const dir = await filled(w, 10)
    const whole = await all(nfs, dir)
    await nfs.ok(REMOVE, { object: at(dir, whole[5]!.name) })
    t.deepEqual(await all(nfs, dir, whole[5]!.cookie), whole.slice(6))
    for (const cookie of [whole.at(-1)!.cookie, 2n ** 62n, 2n ** 64n - 1n])
      t.deepEqual(await page(nfs, dir, cookie), { lines: [], eof: true })
  })

  reading('any cookie verifier is accepted', async ({ t, nfs, root: dir }) => {
    const args = { dir, cookie: 0n, cookieverf: Buffer.alloc(8, 0xee), count: 4096 }
    t.is(await nfs.status(READDIR, args), 'NFS3_OK')
  })

  writing('what READDIRPLUS tells is what GETATTR and LOOKUP tell', async w => {
    const { t, nfs } = w
    const dir = await filled(w, 10)
    const { entries } = await nfs.ok(READDIRPLUS, {
      dir,
      cookie: 0n,
      cookieverf,
      dircount: 8192,
      maxcount: 32_768,
    })
    for (const { name, fileid, name_attributes, name_handle } of entries) {
      const { object, obj_attributes } = await nfs.ok(LOOKUP, { what: at(dir, name) })
      t.is(fileid, obj_attributes!.fileid)
      if (name_attributes) t.deepEqual(name_attributes, obj_attributes)
      if (name_handle) t.deepEqual(Buffer.from(name_handle), Buffer.from(object))
    }
  })

  writing('listing a file is NOTDIR, a removed directory STALE', async ({ t, nfs, root }) => {
    const file = await nfs.create(root, 'f')
    const dir = await nfs.mkdir(root, 'd')
    await nfs.ok(RMDIR, { object: at(root, 'd') })
    for (const [handle, status] of [
      [file, 'NFS3ERR_NOTDIR'],
      [dir, 'NFS3ERR_STALE'],
    ] as const) {
      t.is(await nfs.status(READDIR, { dir: handle, cookie: 0n, cookieverf, count: 512 }), status)
      const plus = { dir: handle, cookie: 0n, cookieverf, dircount: 512, maxcount: 4096 }
      t.is(await nfs.status(READDIRPLUS, plus), status)
    }
  })

  writing('five thousand names are listed whole, each once', async w => {
    const { t, nfs } = w
    const dir = await filled(w, 5000)
    const whole = await all(nfs, dir, 0n, 8192)
    t.is(whole.length, 5002)
    t.is(new Set(names(whole)).size, 5002)
  })
}
