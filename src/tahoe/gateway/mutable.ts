// Mutable files. The web API has no way to read or write "version so-and-so", but a
// check tells the sequence number and the beginning of the root hash. So a read is a
// check, the bytes, and a check again; and between the check before a write and the
// write itself another writer may still come in: that window cannot be closed here.

import { createHash } from 'node:crypto'
import { FsError } from '../../errors.ts'
import type { Cap } from '../cap.ts'
import type { Range, Source, Version, Waiting } from '../grid.ts'
import { digestOf } from '../source.ts'
import { isObject, parseJson } from './listing.ts'
import type { Node } from './node.ts'
import { content } from './read.ts'
import { garbage, refusal } from './trouble.ts'
import { sendWhole } from './upload.ts'
import { capPath } from './url.ts'

const RANGE_MAX = 1 << 20
const TRIES = 4

/** The newest version that enough shares hold, as `seq12-cpox`. */
async function checkedVersion(node: Node, cap: Cap, what: string, signal?: AbortSignal): Promise<string> {
  const path = capPath(cap, 't=check&output=JSON')
  const body = await node.want({ method: 'POST', path, what, limit: 16 << 20, signal })
  const answer = parseJson(body.toString(), what)
  const results = isObject(answer) ? answer.results : null
  if (!isObject(results) || !isObject(results.sharemap)) throw garbage(what, 'a check out of shape')
  const needed = Number(results['count-shares-needed'])
  const shares = new Map<string, number>()
  for (const key of Object.keys(results.sharemap)) {
    const version = /^(seq\d+-[a-z2-7]+)-sh\d+$/.exec(key)?.[1]
    if (version === undefined) throw garbage(what, 'a check out of shape')
    shares.set(version, (shares.get(version) ?? 0) + 1)
  }
  const whole = [...shares].filter(([, count]) => count >= needed).map(([version]) => version)
  whole.sort((a, b) => Number(b.slice(3).split('-')[0]) - Number(a.slice(3).split('-')[0]))
  const best = whole[0]
  if (best === undefined) throw garbage(what, 'its shares are out of reach')
  return best
}

async function sizeOf(node: Node, cap: Cap, what: string, signal?: AbortSignal): Promise<number> {
  const body = await node.want({ method: 'GET', path: capPath(cap, 't=json'), what, signal })
  const answer = parseJson(body.toString(), what)
  const about: unknown = Array.isArray(answer) ? answer[1] : null
  const size = isObject(about) ? about.size : null
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw garbage(what, 'the node does not know its size now')
  }
  return size
}

/** Size and version of one moment: the version is the same before and after the size. */
export async function stat(node: Node, cap: Cap, { signal }: Waiting = {}): Promise<Version> {
  const what = `stat ${cap}`
  mustBeMutableFile(cap, what)
  let before = await checkedVersion(node, cap, what, signal)
  for (let i = 0; i < TRIES; i++) {
    const size = await sizeOf(node, cap, what, signal)
    const after = await checkedVersion(node, cap, what, signal)
    if (after === before) return { size, version: `${after}-${size}` }
    before = after
  }
  throw garbage(what, 'it changes faster than it can be looked at')
}

const sizeIn = (version: string): number | null => {
  const match = /^(seq\d+-[a-z2-7]+)-(\d+)$/.exec(version)
  return match === null ? null : Number(match[2])
}

/** The bytes of a range at a version, checked before the first is handed over. */
export async function* readMutable(
  node: Node,
  cap: Cap,
  { start, end }: Range,
  options: Waiting & { version?: string } = {},
): AsyncGenerator<Buffer, void, undefined> {
  const { signal } = options
  const what = `read ${cap}`
  const version = options.version ?? (await stat(node, cap, options)).version
  const size = sizeIn(version)
  if (size === null) throw new FsError('EINVAL', `${what}: not a version`)
  const extent = { start, end: Math.min(end, size), size }
  if (extent.start >= extent.end) return
  if (extent.end - extent.start > RANGE_MAX) throw new FsError('EINVAL', `${what}: more than 1 MiB at a time`)
  const check = async () => {
    const now = await checkedVersion(node, cap, what, signal)
    if (`${now}-${size}` !== version) throw new FsError('ESTALE', `${what}: it is at another version`)
  }
  await check()
  const chunks: Buffer[] = []
  try {
    for await (const chunk of content(node, cap, extent, what, signal)) chunks.push(chunk)
  } catch (err) {
    await check() // another size shows as another Content-Range
    throw err
  }
  await check()
  yield* chunks
}

export async function overwrite(
  node: Node,
  cap: Cap,
  source: Source,
  { expected, signal }: Waiting & { expected: string },
): Promise<Version> {
  const what = `overwrite ${cap}`
  if (cap.authority !== 'write') throw new FsError('EROFS', what)
  mustBeMutableFile(cap, what)
  const before = await stat(node, cap, { signal })
  if (before.version !== expected) throw new FsError('ESTALE', `${what}: it is at another version`)
  const digest = await digestOf(source, what, signal)
  const sent = await sendWhole(node, capPath(cap), source, { digest, what, signal }).then(
    ({ status, body }) => (status === 200 || status === 201 ? null : refusal(what, status, body.toString())),
    (err: unknown) => err,
  )
  if (sent !== null && !(sent instanceof FsError && sent.code === 'EAGAIN')) throw sent
  const after = await stat(node, cap, { signal })
  if (sent === null && after.size === source.size) return after
  // The answer was lost, or the node met another writer: what is there tells whose it is.
  if (after.version === expected) throw sent ?? garbage(what, 'the node wrote nothing')
  if (after.size === source.size && (await digestAt(node, cap, after, signal)) === digest) return after
  throw new FsError('ESTALE', `${what}: another writer came first`)
}

async function digestAt(
  node: Node,
  cap: Cap,
  { size, version }: Version,
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash('sha256')
  for (let start = 0; start < size; start += RANGE_MAX) {
    const range = { start, end: start + RANGE_MAX }
    for await (const chunk of readMutable(node, cap, range, { signal, version })) hash.update(chunk)
  }
  return hash.digest('hex')
}

function mustBeMutableFile(cap: Cap, what: string): void {
  if (cap.type !== 'file' || !cap.mutable || cap.authority === 'verify') {
    throw new FsError('EINVAL', `${what}: not a mutable file that can be read`)
  }
}
