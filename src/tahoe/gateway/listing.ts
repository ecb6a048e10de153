// A directory as the node prints it, believed only when it is whole, well formed and
// about the directory that was asked for.
//
// It is listed with the cap we were given: a listing by the read cap would not queue
// behind writes in the node, but its children could not write. Who only wants to look
// passes `dir.readonly()`.

import { type Cap, carryCap, parseCap, unknownCap } from '../cap.ts'
import { mustBeDirectory, mustBeLinkable } from '../edits.ts'
import { parseExact } from '../format/json.ts'
import type { Child, Listing, Metadata, Waiting } from '../grid.ts'
import type { Node } from './node.ts'
import { garbage } from './trouble.ts'
import { capPath } from './url.ts'

/** About half a million children. */
const LISTING_MAX = 256 << 20

type Json = { readonly [key: string]: unknown }

export async function list(node: Node, dir: Cap, { signal }: Waiting = {}): Promise<Listing> {
  const what = `list ${dir}`
  mustBeDirectory(dir, what)
  const path = capPath(dir, 't=json')
  const body = await node.want({ method: 'GET', path, what, limit: LISTING_MAX, signal })
  return readListing(body.toString(), dir, what)
}

export function readListing(text: string, dir: Cap, what: string): Listing {
  const [type, about] = pair(parseJson(text, what), what)
  // A node that cannot make sense of the cap says so in this way, and with status 200.
  if (type !== 'dirnode') throw garbage(what, 'the node does not call it a directory')
  if (about.ro_uri !== dir.readonly().uri()) throw garbage(what, 'the node listed another directory')
  const given = about.children
  if (!isObject(given)) throw garbage(what, 'a listing without children')
  const children = new Map<string, Child>()
  for (const name of Object.keys(given)) children.set(name, readChild(given[name], what))
  return { children, writable: dir.authority === 'write' && dir.mutable && typeof about.rw_uri === 'string' }
}

function readChild(value: unknown, what: string): Child {
  const [type, about] = pair(value, what)
  const { rw_uri: rw = null, ro_uri: ro = null, metadata = {} } = about
  if (!isTextOrNull(rw) || !isTextOrNull(ro) || !isObject(metadata))
    throw garbage(what, 'a child out of shape')
  return { cap: childCap(type, rw, ro), metadata: metadata as Metadata }
}

/** The strongest cap of the two slots. What we cannot read is carried, and does not spoil the listing. */
function childCap(type: string, rw: string | null, ro: string | null): Cap {
  if (type === 'unknown') return unknownCap(rw, ro)
  if (rw === null) return carryCap(ro ?? '')
  const cap = carryCap(rw)
  return cap.kind === 'unknown' ? unknownCap(rw, ro) : cap
}

/** The child as the node takes it in set_children and mkdir-with-children. */
export function writeChild({ cap, metadata }: Child, what: string): [string, Json] {
  mustBeLinkable({ cap, metadata }, what)
  const [rw, ro] = [cap.uri(), cap.readonly().uri()]
  const type = { file: 'filenode', directory: 'dirnode', unknown: 'unknown' }[cap.type]
  return [type, cap.authority === 'write' ? { rw_uri: rw, ro_uri: ro, metadata } : { ro_uri: ro, metadata }]
}

/** A cap as the whole of an answer. */
export function readCap(body: Buffer, what: string): Cap {
  try {
    return parseCap(body.toString('latin1').trim())
  } catch {
    throw garbage(what, 'the node answered something that is no cap')
  }
}

export function parseJson(text: string, what: string): unknown {
  try {
    return parseExact(text)
  } catch {
    // The node is written in Python, which takes and prints numbers that are none.
    const mended = text.replace(notNumbers, (all, none) => (none === undefined ? all : 'null'))
    try {
      return parseExact(mended)
    } catch {
      throw garbage(what, 'the answer is not JSON, or not all of it')
    }
  }
}

/** Strings, so that they are passed over, or what JSON does not know. */
const notNumbers = /"(?:[^"\\]|\\.)*"|(-?Infinity|NaN)/g

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isTextOrNull = (value: unknown): value is string | null => value === null || typeof value === 'string'

function pair(value: unknown, what: string): [string, Json] {
  if (!Array.isArray(value) || value.length !== 2) throw garbage(what, 'a listing out of shape')
  const [type, about] = value as unknown[]
  if (typeof type !== 'string' || !isObject(about)) throw garbage(what, 'a listing out of shape')
  return [type, about]
}
