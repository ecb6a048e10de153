// What a publish that was cut off left prepared on some servers (publish.ts): it is ended one way
// or the other, so that enough shares of the new version, or of the old one, are there.

import { codeOf, FsError } from '../../../errors.ts'
import { type Header, Malformed, type Span } from '../../format/ssk.ts'
import { HEADER_SIZE, parseHeader } from '../../format/ssk-header.ts'
import { signed } from '../../format/ssk-keys.ts'
import type { LeftWrite, PreparedWrite, PreparingServer, StorageIndex } from '../../storage/server.ts'

export type Recovered = { readonly committed: number; readonly aborted: number }

/** To be called before the first write. Slots of which one server or another fails stay as they are, and are counted in neither. */
export async function recover(servers: readonly PreparingServer[]): Promise<Recovered> {
  const left = (await Promise.all(servers.map(server => server.left()))).flat()
  const result = { committed: 0, aborted: 0 }
  for (const [index, writes] of Map.groupBy(left, each => each.index)) {
    try {
      const forward = await decideOn(index, writes, servers)
      // The shares of one server and slot have one write in common.
      const all = new Set(writes.map(({ write }) => write))
      await Promise.all([...all].map(write => (forward.has(write) ? write.commit() : write.abort())))
      result[forward.size > 0 ? 'committed' : 'aborted']++
    } catch (err) {
      if (!(err instanceof FsError)) throw err
    }
  }
  return result
}

type Version = { header: Header; writes: Set<PreparedWrite>; numbers: Set<number> }

/** The writes to commit. */
async function decideOn(
  index: StorageIndex,
  left: readonly LeftWrite[],
  servers: readonly PreparingServer[],
): Promise<Set<PreparedWrite>> {
  const version = await newest(left)
  if (version === null) return new Set()
  const { header, numbers } = version
  const current = (await Promise.all(servers.map(server => headersOn(index, server)))).flat()
  const began = current.filter(([, each]) => each.signed.equals(header.signed))
  for (const [number] of began) numbers.add(number)
  // Without a share of it in place and with the old version whole, it was cut off while it was
  // being prepared, unless all of it is there.
  const halfPrepared = numbers.size < header.total && began.length === 0 && whole(current)
  return numbers.size >= header.needed && !halfPrepared ? version.writes : new Set()
}

/** The latest of what was prepared; of one slot and one process it is all one version. */
async function newest(left: readonly LeftWrite[]): Promise<Version | null> {
  const versions = new Map<string, Version>()
  for (const share of left) {
    const header = await checkedHeader(share)
    if (header === null) continue
    const name = header.signed.toString('latin1')
    const version = versions.get(name) ?? { header, writes: new Set(), numbers: new Set() }
    version.writes.add(share.write)
    version.numbers.add(share.share)
    versions.set(name, version)
  }
  const bySeqnum = [...versions.values()].sort((a, b) => b.header.seqnum - a.header.seqnum)
  return bySeqnum[0] ?? null
}

/** Null for a share that would go, and for one that is not signed by the key within it. */
async function checkedHeader(share: LeftWrite): Promise<Header | null> {
  const prefix = await share.read(0, HEADER_SIZE)
  const header = prefix && headerOf(prefix)
  if (!header) return null
  const bytes = async ({ start, end }: Span) => (await share.read(start, end)) ?? Buffer.alloc(0)
  const [publicDer, signature] = [await bytes(header.spans.publicKey), await bytes(header.spans.signature)]
  return (await signed(publicDer, header.signed, signature)) ? header : null
}

/** The shares that are in place and not damaged, by number. */
async function headersOn(index: StorageIndex, server: PreparingServer): Promise<[number, Header][]> {
  const found: [number, Header][] = []
  for (const number of await server.list('mutable', index)) {
    const prefix = await server.read('mutable', index, number, 0, HEADER_SIZE).catch((err: unknown) => {
      if (codeOf(err) !== 'EIO') throw err
      return Buffer.alloc(0)
    })
    const header = headerOf(prefix)
    if (header !== null) found.push([number, header])
  }
  return found
}

function headerOf(prefix: Buffer): Header | null {
  try {
    return parseHeader(prefix)
  } catch (err) {
    if (err instanceof Malformed) return null
    throw err
  }
}

/** Whether some version can be read from these. */
const whole = (shares: readonly (readonly [number, Header])[]): boolean =>
  [...Map.groupBy(shares, ([, { signed }]) => signed.toString('latin1')).values()].some(
    same => new Set(same.map(([number]) => number)).size >= same[0]![1].needed,
  )
