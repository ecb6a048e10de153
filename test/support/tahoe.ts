// Tests over a real Tahoe node: one node for all test files of an ava run.

import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { ExecutionContext, TestFn } from 'ava'
import { type Cap, parseCap } from '../../src/tahoe/cap.ts'
import { shareFiles, whyNoTahoe } from './tahoe-node.ts'

export { startTahoe, type TahoeNode, whyNoTahoe } from './tahoe-node.ts'

export type SharedNode = {
  readonly url: string
  readonly dir: string
  readonly storage: string
  readonly pid: number
}

let asked: Promise<SharedNode> | null = null

/** When a process began, so that its number alone is not taken for it. */
async function began(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => null)
  if (stat !== null) return stat.slice(stat.lastIndexOf(')')).split(' ')[20]!
  const { stdout } = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)])
  return stdout.replace(/\W+/g, '_')
}

/** The test files of one run are children of one process, and find the node by its name. */
async function ask(): Promise<SharedNode> {
  const build = join(import.meta.dirname, '../../build')
  const dir = join(build, `tahoe-run-${process.ppid}-${await began(process.ppid)}`)
  await mkdir(build, { recursive: true })
  const first = await mkdir(dir).then(
    () => true,
    () => false,
  )
  if (first) {
    const keeper = join(import.meta.dirname, 'tahoe-keeper.ts')
    const args = [keeper, dir, String(process.ppid)]
    spawn(process.execPath, args, { detached: true, stdio: 'ignore' }).unref()
  }
  for (let i = 0; i < 900; i++) {
    const text = await readFile(join(dir, 'url.json'), 'utf8').catch(() => null)
    if (text !== null) return JSON.parse(text) as SharedNode
    const failed = await readFile(join(dir, 'failed.txt'), 'utf8').catch(() => null)
    if (failed !== null) throw new Error(failed)
    await sleep(100)
  }
  throw new Error('the Tahoe node of this run did not come up')
}

/** The node that all test files of this run share. */
export const sharedTahoe = (): Promise<SharedNode> => (asked ??= ask())

/** What declares a test: ava's `test`, or its `test.serial`. */
type Declares = Pick<TestFn, 'skip'> & ((title: string, body: (t: ExecutionContext) => Promise<void>) => void)

/**
 * Declares a test over a node. Where Tahoe is not installed it is skipped, and
 * its title says why; with CI=true it runs, and fails.
 */
export function onNode<Node>(
  test: Declares,
  title: string,
  start: () => Promise<Node>,
  body: (t: ExecutionContext, node: Node) => Promise<void>,
): void {
  const why = whyNoTahoe()
  if (why !== null && process.env.CI !== 'true') {
    test.skip(`real node: ${title} (${why})`, t => t.fail())
    return
  }
  test(`real node: ${title}`, async t => {
    t.timeout(120_000) // the first to ask waits for the node to start
    if (why !== null) throw new Error(why)
    await body(t, await start())
  })
}

/** Declares a test over the node that all test files share. */
export const onTahoe = (
  test: TestFn,
  title: string,
  body: (t: ExecutionContext, node: SharedNode) => Promise<void>,
): void => onNode(test, title, sharedTahoe, body)

/** Bytes that no test has stored before. */
export const fresh = (size: number): Buffer => randomBytes(size)

/** A request to the node's web API as it stands; the answer's text, or an error with its status. */
export async function web(
  node: { url: string },
  method: string,
  path: string,
  body?: string | Uint8Array,
): Promise<string> {
  const init = body === undefined ? { method } : { method, body: body as string }
  const answer = await fetch(node.url.replace(/\/$/, '') + path, init)
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} answered ${answer.status}`)
  return text
}

/** Content stored past our own gateway. */
export const put = async (node: { url: string }, body: Uint8Array, query = ''): Promise<Cap> =>
  parseCap((await web(node, 'PUT', `/uri${query}`, body)).trim())

export type Tree = { readonly [name: string]: Uint8Array | string | Tree | Cap }

/** A directory with files, directories and given caps below it, made past our own gateway. */
export async function makeTree(node: { url: string }, tree: Tree): Promise<Cap> {
  const children: Record<string, unknown> = {}
  for (const [name, what] of Object.entries(tree)) {
    if (typeof what === 'string' || what instanceof Uint8Array) {
      children[name] = ['filenode', { ro_uri: (await put(node, Buffer.from(what))).uri(), metadata: {} }]
    } else {
      const cap = isCap(what) ? what : await makeTree(node, what)
      const kind = cap.type === 'directory' ? 'dirnode' : 'filenode'
      children[name] = [kind, { [cap.authority === 'write' ? 'rw_uri' : 'ro_uri']: cap.uri(), metadata: {} }]
    }
  }
  const text = await web(node, 'POST', '/uri?t=mkdir-with-children', JSON.stringify(children))
  return parseCap(text.trim())
}

const isCap = (what: Tree | Cap): what is Cap => typeof what.uri === 'function'

/** Takes every share of it from the grid. */
export async function loseShares(node: SharedNode, cap: Cap): Promise<void> {
  for (const file of await shareFiles(node.storage, cap.storageIndex!)) await rm(file)
}

/** Flips one byte of every share at `offset` of its data (share file headers not counted). */
export async function corruptShares(node: SharedNode, cap: Cap, offset: number): Promise<void> {
  const SHARE_FILE_HEADER = 12
  for (const file of await shareFiles(node.storage, cap.storageIndex!)) {
    const bytes = await readFile(file)
    const at = SHARE_FILE_HEADER + offset
    bytes[at] = bytes[at]! ^ 0xff
    await writeFile(file, bytes)
  }
}
