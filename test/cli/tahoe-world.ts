// A user of the command line over a real Tahoe node, and the node's own word on what is there.

import { writeFile } from 'node:fs/promises'
import type { ExecutionContext } from 'ava'
import type { Status } from '../../src/cli/places.ts'
import { type Cap, parseCap } from '../../src/tahoe/cap.ts'
import { makeTree, type Tree } from '../support/tahoe.ts'
import { type User, user } from './world.ts'

export type TahoeWorld = {
  readonly user: User
  readonly root: Cap
  /** The options that name the node and the root. */
  readonly grid: string[]
}

export async function tahoeWorld(
  t: ExecutionContext,
  node: { url: string },
  tree: Tree,
): Promise<TahoeWorld> {
  const someone = await user(t)
  const root = await makeTree(node, tree)
  await writeFile(someone.path('root'), root.uri(), { mode: 0o600 })
  return { user: someone, root, grid: ['--grid', `gateway:${node.url}`, '--root-file', someone.path('root')] }
}

/** The bytes of a file as the node has them; null while it has no such name. */
export async function bytesAt(node: { url: string }, root: Cap, path: string): Promise<Buffer | null> {
  const answer = await fetch(`${node.url}uri/${encodeURIComponent(root.uri())}${encodeURI(path)}`)
  if (answer.status === 404) return null
  if (!answer.ok) throw new Error(`the node answered ${answer.status}`)
  return Buffer.from(await answer.arrayBuffer())
}

/** The cap that the node has under a name of the root. */
export async function capAt(node: { url: string }, root: Cap, name: string): Promise<Cap> {
  const answer = await fetch(`${node.url}uri/${encodeURIComponent(root.uri())}/${encodeURI(name)}?t=json`)
  const [, facts] = (await answer.json()) as [string, { rw_uri?: string; ro_uri: string }]
  return parseCap(facts.rw_uri ?? facts.ro_uri)
}

export async function statusOf(user: User): Promise<Status> {
  const { code, out, err } = await user.run(['status', '--json'])
  if (code !== 0) throw new Error(err)
  return JSON.parse(out) as Status
}

/** What of these caps is a secret, and would tell of it anywhere. */
export const secretsOf = (...caps: readonly Cap[]): string[] =>
  caps.flatMap(cap =>
    [cap, cap.readonly()].flatMap(each =>
      each
        .uri()
        .split(':')
        .filter(field => field.length >= 16),
    ),
  )
