// The file system over a real Tahoe-LAFS node keeps the rules, and the node has in the end
// what it showed.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { type Cap, parseCap } from '../../src/tahoe/cap.ts'
import { gateway } from '../../src/tahoe/gateway/gateway.ts'
import type { Metadata } from '../../src/tahoe/grid.ts'
import { Turns } from '../../src/tahoe/turns.ts'
import { capMark } from '../../src/vfs/tree/edge.ts'
import { openAt } from '../support/places.ts'
import { put, sharedTahoe, web, whyNoTahoe } from '../support/tahoe.ts'
import { conforms } from './conformance.ts'
import { sameElsewhere } from './elsewhere.ts'
import { type Planted, tree } from './tree.ts'

/** Rules that are tried at a time: other tests use this node too. */
const turns = new Turns(6)

type Children = { readonly [name: string]: readonly [Cap, Metadata] }

async function mkdir(node: { url: string }, children: Children): Promise<Cap> {
  const given: Record<string, unknown> = {}
  for (const [name, [cap, metadata]] of Object.entries(children)) {
    const slots =
      cap.authority === 'write' ? { rw_uri: cap.uri(), ro_uri: cap.readonly().uri() } : { ro_uri: cap.uri() }
    given[name] = [cap.type === 'directory' ? 'dirnode' : 'filenode', { ...slots, metadata }]
  }
  return parseCap((await web(node, 'POST', '/uri?t=mkdir-with-children', JSON.stringify(given))).trim())
}

const stored = new Map<string, Promise<Cap>>()

/** Immutable content on the grid, sent once for all rules. */
function store(node: { url: string }, bytes: Buffer): Promise<Cap> {
  const key = bytes.toString('latin1')
  let cap = stored.get(key)
  if (!cap) stored.set(key, (cap = put(node, bytes)))
  return cap
}

/** The suite's tree on the grid, made past our own gateway; symlinks as doc/METADATA.md has them. */
async function plantOnGrid(node: { url: string }, what: { readonly [name: string]: Planted }): Promise<Cap> {
  const children: Record<string, readonly [Cap, Metadata]> = {}
  for (const [name, planted] of Object.entries(what)) {
    if ('directory' in planted) children[name] = [await plantOnGrid(node, planted.directory), {}]
    else if ('file' in planted) children[name] = [await store(node, planted.file), { mtime: 1.7e9 }]
    else {
      const cap = await store(node, Buffer.from(planted.symlink))
      children[name] = [cap, { 'tahoe-nfs': { v: 1, of: capMark(cap), type: 'symlink' } }]
    }
  }
  return mkdir(node, children)
}

if (whyNoTahoe() === null || process.env.CI === 'true') {
  conforms(
    'tahoefs over a real node',
    async () => {
      const end = await turns.take('a rule')
      const node = await sharedTahoe()
      const root = await plantOnGrid(node, tree)
      const dir = await mkdtemp(join(tmpdir(), 'tahoe-nfs-test-'))
      const grid = gateway(node.url)
      let vfs = await openAt(dir, grid, root)
      return {
        vfs,
        judge: t => sameElsewhere(t, vfs, grid, root),
        async close() {
          await vfs.close()
          await grid.close()
          await rm(dir, { recursive: true, force: true })
          end()
        },
        async restart() {
          await vfs.close()
          vfs = await openAt(dir, grid, root)
          return vfs
        },
      }
    },
    { write: true, restart: true },
  )
} else {
  test.skip(`tahoefs over a real node: every rule (${whyNoTahoe()})`, t => t.fail())
}
