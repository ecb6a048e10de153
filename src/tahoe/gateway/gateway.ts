// A Grid over the web API of a Tahoe-LAFS node.

import { FsError } from '../../errors.ts'
import { type Log, silent } from '../../log.ts'
import type { Cap } from '../cap.ts'
import type { Child, Grid, Range, Waiting } from '../grid.ts'
import { gaveUp } from '../turns.ts'
import { Editor } from './edit.ts'
import { list, readCap, writeChild } from './listing.ts'
import { overwrite, readMutable, stat } from './mutable.ts'
import { Node, type NodeOptions } from './node.ts'
import { content } from './read.ts'
import { health, usage } from './status.ts'
import { garbage } from './trouble.ts'
import { Uploads } from './upload.ts'

export type GatewayOptions = NodeOptions & { readonly log?: Log }

/** A new directory with its children in one publish. What a lost answer leaves behind hangs nowhere. */
async function mkdir(node: Node, children: ReadonlyMap<string, Child>, { signal }: Waiting): Promise<Cap> {
  const what = 'mkdir'
  const given = Object.fromEntries([...children].map(([name, child]) => [name, writeChild(child, what)]))
  const question =
    children.size === 0
      ? { path: '/uri?t=mkdir' }
      : { path: '/uri?t=mkdir-with-children', body: JSON.stringify(given) }
  const cap = readCap(await node.want({ method: 'POST', ...question, what, signal }), what)
  if (cap.type !== 'directory' || cap.authority !== 'write')
    throw garbage(what, 'the node answered no new directory')
  return cap
}

/** The bytes of an immutable file, or of a mutable one at a version. */
async function* read(
  node: Node,
  cap: Cap,
  range: Range,
  options: Waiting & { version?: string } = {},
): AsyncGenerator<Buffer, void, undefined> {
  const what = `read ${cap}`
  const { start } = range
  if (cap.type !== 'file' || cap.authority === 'verify') throw new FsError('EINVAL', what)
  if (!Number.isSafeInteger(start) || start < 0) throw new FsError('EINVAL', `${what}: not a range`)
  gaveUp(what, options.signal)
  if (cap.mutable) return yield* readMutable(node, cap, range, options)
  const size = cap.size!
  const end = Math.min(range.end, size)
  if (!(start < end)) return
  if (cap.kind === 'LIT') yield cap.data().subarray(start, end)
  else yield* content(node, cap, { start, end, size }, what, options.signal)
}

/** EINVAL for a URL that cannot be a node's, at once; a node that does not answer shows when it is asked. */
export function gateway(url: string, options: GatewayOptions = {}): Grid {
  const log = options.log ?? silent
  const node = new Node(url, options)
  const uploads = new Uploads(node)
  const editor = new Editor(node)
  // How content grows is the node's configuration, and shows in the caps it makes.
  let growth = 10 / 3
  return {
    read: (cap, range, waiting) => read(node, cap, range, waiting),
    list: (dir, waiting) => list(node, dir, waiting),
    edit: (dir, edits, waiting) => editor.edit(dir, edits, waiting),
    mkdir: (children = new Map(), waiting = {}) => mkdir(node, children, waiting),
    stat: (cap, waiting) => stat(node, cap, waiting),
    overwrite: (cap, source, waiting) => overwrite(node, cap, source, waiting),
    async upload(source, waiting) {
      const cap = await uploads.upload(source, waiting)
      if (cap.total !== null) growth = cap.total / cap.needed!
      return cap
    },
    async health(waiting) {
      const found = await health(node, waiting)
      log.debug({ reachable: found.reachable }, found.detail)
      return found
    },
    usage: waiting => usage(node, growth, waiting),
    close: () => node.close(),
  }
}
