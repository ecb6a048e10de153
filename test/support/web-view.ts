// What a Tahoe node's web API says of caps, and what our own listings say, in one form to be compared.

import type { ExecutionContext } from 'ava'
import { type Cap, parseCap } from '../../src/tahoe/cap.ts'
import type { Child, Listing } from '../../src/tahoe/grid.ts'
import { web } from './tahoe.ts'

type Url = { readonly url: string }

/** A child; what is undefined is left out of both sides. */
export type Shown = { readonly type: string; readonly metadata: unknown; readonly [field: string]: unknown }
export type View = { readonly [name: string]: Shown }

export const at = (cap: Cap): string => `/uri/${encodeURIComponent(cap.uri())}`

const FIELDS = ['rw_uri', 'ro_uri', 'verify_uri', 'size', 'format', 'metadata']

/** The children of a directory, by `?t=json`. */
export async function theirView(node: Url, dir: Cap): Promise<View> {
  const [type, about] = JSON.parse(await web(node, 'GET', `${at(dir)}?t=json`))
  if (type !== 'dirnode') throw new Error(`it is a ${type}`)
  const view: Record<string, Shown> = {}
  for (const [name, [type, child]] of Object.entries<[string, Record<string, unknown>]>(about.children))
    view[name] = {
      type,
      metadata: null,
      ...Object.fromEntries(FIELDS.flatMap(key => (child[key] === undefined ? [] : [[key, child[key]]]))),
    }
  return view
}

const formats: Record<string, string> = { LIT: 'CHK', CHK: 'CHK', SSK: 'SDMF', MDMF: 'MDMF' }

/** The same of a listing of ours. */
export function ourView({ children }: Listing): View {
  const view: Record<string, Shown> = {}
  for (const [name, child] of children) view[name] = shown(child)
  return view
}

/** A child as it should be shown to whoever may use its cap. */
export function shown({ cap, metadata }: Child): Shown {
  const [reader, verifier] = [cap.readonly().uri(), cap.verify()?.uri()]
  return {
    type: { file: 'filenode', directory: 'dirnode', unknown: 'unknown' }[cap.type],
    metadata,
    ...(cap.authority === 'write' ? { rw_uri: cap.uri() } : {}),
    ...(reader === '' ? {} : { ro_uri: reader }),
    ...(verifier === undefined ? {} : { verify_uri: verifier }),
    ...(cap.type === 'file' ? { format: formats[cap.kind] } : {}),
    ...(cap.size === null ? {} : { size: cap.size }),
  }
}

/** A view without the times that the side that links a child notes. */
export const timeless = (view: View): View =>
  Object.fromEntries(
    Object.entries(view).map(([name, { metadata, ...rest }]) => {
      const { tahoe: _, ...own } = metadata as Record<string, unknown>
      return [name, { ...rest, metadata: own }]
    }),
  )

/** Bytes of a cap's content, or of a range of it. */
export async function get(node: Url, cap: Cap, range?: string): Promise<Buffer> {
  const answer = await fetch(node.url.replace(/\/$/, '') + at(cap), range ? { headers: { range } } : {})
  const bytes = Buffer.from(await answer.arrayBuffer())
  if (answer.status !== (range ? 206 : 200)) throw new Error(`GET answered ${answer.status}`)
  return bytes
}

/** Replaces the content of a mutable file, or a part of it from `offset` on. */
export const overwrite = (node: Url, cap: Cap, bytes: Uint8Array, offset?: number): Promise<string> =>
  web(node, 'PUT', at(cap) + (offset === undefined ? '' : `?offset=${offset}`), bytes)

/** Has the node fetch every share whole and check it, and renew or add its lease. */
export async function healthy(t: ExecutionContext, node: Url, cap: Cap, shares: number): Promise<void> {
  const query = '?t=check&verify=true&add-lease=true&output=JSON'
  const { results } = JSON.parse(await web(node, 'POST', at(cap) + query))
  t.true(results.healthy)
  if (cap.storageIndex === null) return // a LIT has no shares
  t.like(results, {
    'count-shares-good': shares,
    'count-shares-expected': shares,
    'count-corrupt-shares': 0,
    'count-wrong-shares': 0,
    'count-recoverable-versions': 1,
    'count-unrecoverable-versions': 0,
  })
}

/** What `POST /uri?t=…` makes, and `PUT /uri` with a format. */
export const made = async (node: Url, query: string, body?: string | Uint8Array): Promise<Cap> =>
  parseCap((await web(node, query.startsWith('t=') ? 'POST' : 'PUT', `/uri?${query}`, body)).trim())

/** Children as the web API takes them. */
export function forWeb(children: Iterable<readonly [string, Child]>): string {
  const given: Record<string, unknown> = {}
  for (const [name, child] of children) {
    const { type, rw_uri, ro_uri, metadata } = shown(child)
    given[name] = [type, { ...(rw_uri ? { rw_uri } : {}), ...(ro_uri ? { ro_uri } : {}), metadata }]
  }
  return JSON.stringify(given)
}
