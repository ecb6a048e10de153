// The peers of writing: what a person would do with the node's web API, or with the disk.

import { open, readFile } from 'node:fs/promises'
import { Pool } from 'undici'
import { type Cap, parseCap } from '../src/tahoe/cap.ts'
import { seconds } from './figures.ts'
import { KiB, MiB, newSeed, noiseAt } from './noise.ts'
import { discarded } from './world.ts'

/** Uploads at a time. */
const LANES = 4

/** Milliseconds between two looks: each costs the node some of what it needs for uploads. */
const POLL_MS = 250

/** Milliseconds after which what is not on the grid is not waited for. */
const LISTED_MS = 300_000

const pathOf = (cap: Cap, query: string): string => `/uri/${encodeURIComponent(cap.uri())}${query}`

export type ByHand = { readonly uploads: number; readonly mkdir: number; readonly whole: number }

/** Files of a new directory `name` in `parent`: uploaded side by side, linked by one request. */
export async function directoryByHand(
  url: string,
  parent: Cap,
  name: string,
  files: readonly (readonly [string, Buffer])[],
): Promise<ByHand> {
  const node = new Pool(new URL(url).origin, { connections: LANES })
  const ask = async (method: 'PUT' | 'POST', path: string, body: Buffer | string) => {
    const headers = { 'content-type': 'text/plain' } // or the node would read it as a form
    const answer = await node.request({ method, path, body, headers })
    const text = await answer.body.text()
    if (answer.statusCode >= 300) throw new Error(`${method}: ${answer.statusCode} ${text}`)
    return text
  }
  const children: Record<string, unknown> = {}
  const waiting = [...files]
  const lane = async () => {
    for (let next = waiting.pop(); next; next = waiting.pop())
      children[next[0]] = ['filenode', { ro_uri: await ask('PUT', '/uri', next[1]), metadata: {} }]
  }
  const uploads = await seconds(() => Promise.all(Array.from({ length: LANES }, lane)))
  const query = `?t=mkdir-with-children&name=${encodeURIComponent(name)}`
  const mkdir = await seconds(() => ask('POST', pathOf(parent, query), JSON.stringify(children)))
  await node.close()
  return { uploads, mkdir, whole: uploads + mkdir }
}

/** Seconds until the node's own web API lists so many names in a directory below `parent`. */
export function untilListed(url: string, parent: Cap, name: string, count: number): Promise<number> {
  const path = pathOf(parent, `/${encodeURIComponent(name)}?t=json`)
  const end = performance.now() + LISTED_MS
  return seconds(async () => {
    for (;;) {
      if (performance.now() > end) throw new Error(`${name} was not published`)
      const answer = await fetch(new URL(path, url))
      const [, about] = answer.ok ? ((await answer.json()) as [string, { children: object }]) : [null, null]
      if (about && Object.keys(about.children).length === count) return
      await new Promise(resolve => setTimeout(resolve, POLL_MS))
    }
  })
}

/** Removes a name by one request. */
export async function unlinkByHand(url: string, parent: Cap, name: string): Promise<void> {
  const path = pathOf(parent, `?t=unlink&name=${encodeURIComponent(name)}`)
  const answer = await fetch(new URL(path, url), { method: 'POST' })
  if (!answer.ok) throw new Error(`unlink: ${answer.status}`)
}

/** `curl -T` of a file that the node at `url` has never seen. */
export async function curlUpload(url: string, file: string): Promise<{ took: number; cap: Cap }> {
  const answer = `${file}.cap`
  // Without waiting for the node's leave.
  const options = ['-s', '-f', '-H', 'Expect:', '-o', answer]
  const took = await seconds(() => discarded('curl', ...options, '-T', file, `${url}uri`))
  return { took, cap: parseCap((await readFile(answer, 'utf8')).trim()) }
}

export const curlDownload = (url: string, cap: Cap): Promise<void> =>
  discarded('curl', '-s', '-f', '-o', '/dev/null', new URL(pathOf(cap, ''), url).href)

/** Seconds for writing an ordinary file, until its bytes are durable. */
export async function plainFile(path: string, size: number): Promise<number> {
  const seed = newSeed()
  const file = await open(path, 'w')
  try {
    return await seconds(async () => {
      for (let at = 0; at < size; at += MiB) await file.write(noiseAt(seed, at, Math.min(MiB, size - at)))
      await file.datasync()
    })
  } finally {
    await file.close()
  }
}

/** An ordinary file that only grows, by 4 KiB at a time that are durable. */
export async function journal(path: string) {
  const file = await open(path, 'a')
  const block = Buffer.alloc(4 * KiB, 1)
  return {
    async append(): Promise<void> {
      await file.write(block)
      await file.datasync()
    },
    close: () => file.close(),
  }
}
