// Who watches the file system in memory, and what they are told at the end of each change.

import type { FileId, News } from '../../src/vfs/vfs.ts'

type Named = { readonly dir: FileId; readonly name: string }

export class Watch {
  readonly #listeners = new Set<{ readonly listener: (news: News) => void }>()
  /** What the change under way has changed so far. */
  readonly #inodes = new Map<FileId, 'attributes' | 'content'>()
  readonly #names = new Map<string, Named>()

  listen(listener: (news: News) => void): () => void {
    const each = { listener }
    this.#listeners.add(each)
    return () => void this.#listeners.delete(each)
  }

  changed(id: FileId, what: 'attributes' | 'content'): void {
    if (what === 'content' || !this.#inodes.has(id)) this.#inodes.set(id, what)
  }

  named(dir: FileId, name: string): void {
    this.#names.set(`${dir} ${name}`, { dir, name })
  }

  /** The change is made. */
  tell(by: object | undefined): void {
    const names = [...this.#names.values()]
    for (const { dir } of names) this.#inodes.delete(dir) // it goes with its names
    const inodes = [...this.#inodes]
    this.#names.clear()
    this.#inodes.clear()
    for (const { listener } of this.#listeners) {
      for (const named of names) listener({ what: 'name', ...named, by })
      for (const [id, what] of inodes) listener({ what, id, by })
    }
  }
}
