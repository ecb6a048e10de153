// A Grid over storage servers: Tahoe's own formats, no gateway between. Over folders of this machine
// it can also look at every share, mend, and remove what nothing leads to.

import { FsError } from '../../errors.ts'
import { type Log, silent } from '../../log.ts'
import type { Cap } from '../cap.ts'
import type { Edit, Grid, Range, Waiting } from '../grid.ts'
import type { StorageServer } from '../storage/server.ts'
import { gaveUp } from '../turns.ts'
import { Checker, type Checking, type Finding, type Totals } from './check/check.ts'
import { type Collected, type Collecting, collect } from './check/gc.ts'
import { Directories } from './directories.ts'
import { Downloads } from './immutable/download.ts'
import type { ShareNumbers } from './immutable/push.ts'
import { Uploads } from './immutable/upload.ts'
import { KeyPool } from './keys.ts'
import { MutableFiles } from './mutable/mutable.ts'
import { permuted } from './order.ts'
import type { Secrets } from './secrets.ts'
import { Uses } from './uses.ts'

export type NativeOptions = {
  readonly servers: readonly StorageServer[]
  readonly secrets: Secrets
  /** How new files are made; those that are there keep their numbers. */
  readonly shares: ShareNumbers
  readonly log?: Log
}

export type NativeGrid = Grid & {
  /** What below a root is not as it should be, as it is found; the totals at the end. */
  check(root: Cap, options?: Checking): AsyncGenerator<Finding, Totals, undefined>
  /** Removes shares that nothing leads to and that are older than a day. */
  collect(options: Collecting): Promise<Collected>
}

/** The bytes of an immutable file, or of a mutable one at a version. */
async function* read(
  downloads: Downloads,
  mutable: MutableFiles,
  cap: Cap,
  range: Range,
  options: Waiting & { version?: string } = {},
): AsyncGenerator<Buffer, void, undefined> {
  const what = `read ${cap}`
  if (cap.type !== 'file' || cap.authority === 'verify') throw new FsError('EINVAL', what)
  if (!Number.isSafeInteger(range.start) || range.start < 0)
    throw new FsError('EINVAL', `${what}: not a range`)
  gaveUp(what, options.signal)
  if (cap.mutable) return yield* mutable.read(cap, range, options)
  if (cap.kind === 'LIT') {
    const bytes = cap.data().subarray(range.start, range.end)
    if (bytes.length > 0) yield bytes
  } else yield* downloads.read(cap, range, options.signal)
}

/** The servers are closed with the grid. */
export function native(options: NativeOptions): NativeGrid {
  const { servers, secrets, shares, log = silent } = options
  const keys = new KeyPool()
  const serversFor = (index: string) => permuted(servers, index)
  const uses = new Uses()
  const uploads = new Uploads({ serversFor, secrets, shares, log, uses })
  const downloads = new Downloads(serversFor, log)
  const mutable = new MutableFiles({ servers, secrets, keys, shares })
  const directories = new Directories(mutable, downloads)
  const list: Grid['list'] = (dir, waiting) => directories.list(dir, waiting)
  const checker = new Checker({ serversFor, secrets, downloads, mutable, uses, list })

  /** What the servers say of themselves; null for those that say nothing. */
  const versions = (signal: AbortSignal | undefined) =>
    Promise.all(servers.map(server => server.version({ signal }).catch(() => null)))

  return {
    read: (cap, range, waiting) => read(downloads, mutable, cap, range, waiting),
    upload: (source, waiting) => uploads.upload(source, waiting),
    list,
    edit: (dir, edits, waiting) =>
      uses.linking(dir, capsIn(edits), () => directories.edit(dir, edits, waiting)),
    mkdir: (children = new Map()) =>
      uses.linking(
        null,
        [...children.values()].map(({ cap }) => cap),
        () => directories.mkdir(children),
      ),
    async stat(cap, waiting) {
      mustBeMutableFile(cap, `stat ${cap}`)
      return await mutable.stat(cap, waiting)
    },
    async overwrite(cap, source, waiting) {
      mustBeMutableFile(cap, `overwrite ${cap}`)
      return await uses.linking(cap, [], () => mutable.overwrite(cap, source, waiting))
    },
    async health({ signal } = {}) {
      const missing: string[] = []
      for (const server of servers)
        await server
          .version({ signal })
          .catch((err: Error) => missing.push(err.message.replace(/^\w+: /, '')))
      const found = servers.length - missing.length
      return { reachable: found > 0, detail: `${found} of ${servers.length} storage servers`, missing }
    },
    async usage({ signal } = {}) {
      const known = (await versions(signal)).filter(version => version !== null)
      const growth = shares.total / shares.needed
      const sum = (of: (version: (typeof known)[number]) => number | null) =>
        Math.floor(known.reduce((all, version) => all + (of(version) ?? 0), 0) / growth)
      const usage = { total: sum(({ total }) => total), free: sum(({ free }) => free) }
      return usage.total > 0 ? usage : null
    },
    check: (root, checking) => checker.check(root, checking),
    collect: collecting => collect({ servers, secrets, uses, list, log }, collecting),
    async close() {
      keys.close()
      await uploads.close()
      await Promise.all(servers.map(server => server.close()))
    },
  }
}

/** The caps that edits link. */
const capsIn = (edits: readonly Edit[]): Cap[] =>
  edits.flatMap(edit => (edit.op === 'set' ? [edit.child.cap] : []))

function mustBeMutableFile(cap: Cap, what: string): void {
  if (cap.type !== 'file' || !cap.mutable) throw new FsError('EINVAL', `${what}: not a mutable file`)
}
