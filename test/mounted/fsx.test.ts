// The judge itself: what it must find, it finds, and it says where.

import { copyFile, mkdtemp, open, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type Files, type FsxOptions, fsxIn } from './fsx.ts'

const bounds = { most: 32 * 1024, longest: 8 * 1024 }

type Between = (dir: string, step: number, files: Files) => Promise<void>

/** The error of 400 steps, or null; `between` is told the directory. */
async function judged(
  t: ExecutionContext,
  between?: Between,
  more: Partial<FsxOptions> = {},
): Promise<string | null> {
  const dir = await mkdtemp(join(tmpdir(), 'fsx-'))
  t.teardown(() => rm(dir, { recursive: true }))
  const hook = between ? { between: (step: number, files: Files) => between(dir, step, files) } : {}
  return await fsxIn(dir, { seed: 5, steps: 400, bounds, ...hook, ...more }).then(
    () => null,
    (error: Error) => error.message,
  )
}

/** The path of one of the files. */
const one = async (dir: string): Promise<string> => join(dir, (await readdir(dir)).sort()[0]!)

/** Between two steps, once. */
const at =
  (when: number, deed: (dir: string, files: Files) => Promise<void>): Between =>
  async (dir, step, files) => {
    if (step === when) await deed(dir, files)
  }

test('a plain directory passes', async t => {
  t.is(await judged(t), null)
})

test('a byte that changed by itself is told with its place, and with what had touched it', async t => {
  const found = await judged(
    t,
    at(200, async dir => {
      const file = await open(await one(dir), 'r+')
      const { size } = await file.stat()
      const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size >> 1)
      await file.write(Buffer.from([buffer[0]! ^ 0x55]), 0, 1, size >> 1)
      await file.close()
    }),
  )
  t.regex(found ?? '', /^fsx, seed 5, step 2\d\d: .*: wrong at offset \d+, 1 bytes, of \d+ where/)
  t.regex(found ?? '', /\nis {2}[0-9a-f]+\nshould be {2}[0-9a-f]+\n/)
  t.regex(found ?? '', /the last operations that touched it:\n {2}step \d+: /)
})

test('a file that was cut by itself is told', async t => {
  const found = await judged(
    t,
    at(200, async dir => truncate(await one(dir), 7)),
  )
  t.regex(found ?? '', /^fsx, seed 5, step 2\d\d: .*wrong at offset/)
})

test('a name too many is told', async t => {
  const found = await judged(
    t,
    at(400, dir => writeFile(join(dir, 'stranger'), '')),
  )
  t.regex(found ?? '', /there are .*stranger/)
})

test('files are closed and opened again in between, and may move in another way meanwhile', async t => {
  const found = await judged(t, async (dir, step, files) => {
    if (step % 50 !== 0) return
    await files.close()
    for (const name of await readdir(dir)) {
      await copyFile(join(dir, name), join(dir, `${name}.copy`))
      await rm(join(dir, name))
      await copyFile(join(dir, `${name}.copy`), join(dir, name))
      await rm(join(dir, `${name}.copy`))
    }
  })
  t.is(found, null)
})

test('where all that was acknowledged must be kept, what was lost is told', async t => {
  t.is(
    await judged(
      t,
      async (_, step, files) => void (step % 20 === 0 && (await files.lose('acknowledged', async () => {}))),
    ),
    null,
  )
  const found = await judged(
    t,
    at(200, (dir, files) => files.lose('acknowledged', async () => truncate(await one(dir), 7))),
  )
  t.regex(found ?? '', /after the server was lost.*its size may be/)
})

test('where only what was synced must be kept, what came after may be lost, and nothing else', async t => {
  /** The directory as it was, some steps ago. */
  const back = (then: number, now: number): Between => {
    const kept = new Map<string, Buffer>()
    return async (dir, step, files) => {
      const names = await readdir(dir)
      if (step === then)
        for (const name of names) {
          await using file = await open(join(dir, name))
          kept.set(name, await file.readFile())
        }
      if (step !== now) return
      await files.lose('synced', async () => {
        for (const name of names)
          await writeFile(join(dir, name), kept.get(name) ?? Buffer.from('never seen'))
      })
    }
  }
  t.is(await judged(t, back(200, 200), { remembers: true }), null)
  t.regex((await judged(t, back(20, 200), { remembers: true })) ?? '', /after the server was lost/)
})

test('the same seed does the same, and another seed something else', async t => {
  const sizes = async (seed: number): Promise<string> => {
    const seen: string[] = []
    await judged(t, async (dir, step) => void (step % 10 === 0 && seen.push(`${await readdir(dir)}`)), {
      seed,
    })
    return seen.join(' ')
  }
  t.is(await sizes(1), await sizes(1))
  t.not(await sizes(1), await sizes(2))
})
