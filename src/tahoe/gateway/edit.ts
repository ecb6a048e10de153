// Changes to a directory through an API that has no compare-and-set: list, compare,
// send, and list again, until the listing shows everything done or refused. An answer
// is never taken as proof, only the listing is: it may have been lost on the way, and
// two nodes that write at once can lose what one of them has acknowledged.
//
// New names are sent so that the node refuses a taken one, and files so that it spares
// a directory. What can still come between the last listing and the change is one
// writer replacing one file by another; nothing here can see that.

import { setTimeout as sleep } from 'node:timers/promises'
import { FsError } from '../../errors.ts'
import type { Cap } from '../cap.ts'
import { judgeAll, mustBeDirectory, type Outcomes, possible } from '../edits.ts'
import type { Edit, Listing, Outcome, Waiting } from '../grid.ts'
import { gaveUp, Turns } from '../turns.ts'
import { list, writeChild } from './listing.ts'
import type { Node } from './node.ts'
import { refusal } from './trouble.ts'
import { capPath } from './url.ts'

/** So often the same edits are sent again without any effect. */
const TRIES = 4
/** A listing older than this is read again before the next unlink relies on it. */
const FRESH_MS = 1000

type SetEdit = Extract<Edit, { op: 'set' }>

export class Editor {
  readonly #node: Node
  /** One change at a time for each directory: the node would only queue them, and lists behind them. */
  readonly #turns = new Map<string, { turns: Turns; users: number }>()

  constructor(node: Node) {
    this.#node = node
  }

  async edit(
    dir: Cap,
    edits: readonly Edit[],
    { signal }: Waiting = {},
  ): Promise<{ outcomes: readonly Outcome[]; listing: Listing }> {
    const what = `edit ${dir}`
    mustBeDirectory(dir, what)
    if (dir.authority !== 'write') throw new FsError('EROFS', what)
    const wanted = possible(edits, what)
    const key = dir.storageIndex!
    const line = this.#turns.get(key) ?? { turns: new Turns(1), users: 0 }
    this.#turns.set(key, line)
    line.users += 1
    try {
      const end = await line.turns.take(what, signal)
      try {
        return await this.#settle(dir, wanted, what, signal)
      } finally {
        end()
      }
    } finally {
      line.users -= 1
      if (line.users === 0) this.#turns.delete(key)
    }
  }

  async #settle(dir: Cap, edits: readonly Edit[], what: string, signal?: AbortSignal) {
    const outcomes: Outcomes = new Map()
    let tries = 0
    for (;;) {
      const listed = Date.now()
      const listing = await list(this.#node, dir, { signal })
      const open = edits.length - outcomes.size
      const todo = judgeAll(edits, listing.children, outcomes)
      if (todo.length === 0) return { outcomes: edits.map(({ name }) => outcomes.get(name)!), listing }
      tries = todo.length < open ? 0 : tries + 1
      if (tries > TRIES) throw new FsError('EAGAIN', `${what}: the node does not do it`)
      if (tries > 1) await sleep(100 * 2 ** tries, undefined, { signal }).catch(() => gaveUp(what, signal))
      await this.#send(dir, todo, listing, listed, what, signal)
    }
  }

  /** One step: the sets that are left, or else unlinks. What fails in passing is seen at the next listing. */
  async #send(
    dir: Cap,
    todo: readonly Edit[],
    listing: Listing,
    listed: number,
    what: string,
    signal?: AbortSignal,
  ) {
    const sets = todo.filter(edit => edit.op === 'set')
    const overDirectory = (edit: SetEdit) => listing.children.get(edit.name)?.cap.type !== 'file'
    const groups = {
      false: sets.filter(edit => !listing.children.has(edit.name)),
      'only-files': sets.filter(edit => listing.children.has(edit.name) && !overDirectory(edit)),
      true: sets.filter(edit => listing.children.has(edit.name) && overDirectory(edit)),
    }
    for (const [replace, group] of Object.entries(groups)) {
      if (group.length > 0) await this.#set(dir, group, replace, what, signal)
    }
    if (sets.length > 0) return
    for (const { name } of todo) {
      await this.#unlink(dir, name, what, signal)
      if (Date.now() - listed > FRESH_MS) return
    }
  }

  async #set(dir: Cap, sets: readonly SetEdit[], replace: string, what: string, signal?: AbortSignal) {
    const children = Object.fromEntries(sets.map(({ name, child }) => [name, writeChild(child, what)]))
    const path = capPath(dir, `t=set_children&replace=${replace}`)
    const body = JSON.stringify(children)
    await this.#change({ method: 'POST', path, body, what, signal }, 409) // one taken name, and nothing is linked
  }

  /** Not by DELETE, which the node refuses for a child that it does not know itself. */
  async #unlink(dir: Cap, name: string, what: string, signal?: AbortSignal) {
    const path = capPath(dir, `t=unlink&name=${encodeURIComponent(name)}`)
    await this.#change({ method: 'POST', path, what, signal }, 404) // gone already
  }

  /** Asks for a change. Only what will be refused again is thrown. */
  async #change(question: Parameters<Node['ask']>[0], harmless: number): Promise<void> {
    const { what } = question
    try {
      const { status, body } = await this.#node.ask(question)
      if (status === 200 || status === 201 || status === harmless) return
      throw refusal(what, status, body.toString())
    } catch (err) {
      if (!(err instanceof FsError) || err.code !== 'EAGAIN') throw err
      gaveUp(what, question.signal)
    }
  }
}
