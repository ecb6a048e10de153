// Mutable shares and who may change them. A slot is changed by one call at a time; its shares are
// looked at, tested and read, and only then is the new written beside the old (replacement.ts).
//
// What a change costs: a single share, one sync of its file and one of the slot's directory.
// Several shares of a slot at once go by way of prepared.ts, all or none of them: a sync for each
// file, and four of directories.

import { codeOf, FsError } from '../../errors.ts'
import { errno, refused, type ShareDisk } from './disk.ts'
import type { Folder } from './folder.ts'
import type { Incoming } from './incoming.ts'
import { leaseEnd, sameSecret } from './lease.ts'
import { type Held, type MutableContainer, type OpenShares, readData, shareName } from './open-shares.ts'
import type { Prepared, Replacements } from './prepared.ts'
import { type Replacement, replacement, writeReplacement } from './replacement.ts'
import type { Room } from './room.ts'
import type {
  LeaseSecrets,
  LeftWrite,
  PreparedWrite,
  ReadVector,
  StorageIndex,
  TestWrite,
  TestWritten,
  WriteSecrets,
} from './server.ts'
import type { SlotLocks } from './slot-locks.ts'

export type SlotWorld = {
  readonly id: Buffer
  readonly folder: Folder
  readonly disk: ShareDisk
  readonly room: Room
  readonly shares: OpenShares
  readonly incoming: Incoming
  readonly prepared: Prepared
  readonly locks: SlotLocks
  /** Milliseconds since 1970. */
  now(): number
}

/** Changes of so many bytes may take of the room that is kept back: what frees room begins with one in a directory. */
const SMALL = 16 << 20

type Found = ReadonlyMap<number, Held & { readonly container: MutableContainer }>

export class MutableSlots {
  readonly #world: SlotWorld
  /** Slots with a write that was not ended: by an earlier process, or because the disk failed. */
  readonly #left: Set<StorageIndex>
  /** Those of them whose write was aborted, which the disk did not do. */
  readonly #aborted = new Set<StorageIndex>()

  constructor(world: SlotWorld, left: readonly StorageIndex[]) {
    this.#world = world
    this.#left = new Set(left)
  }

  async readTestWrite(
    index: StorageIndex,
    secrets: WriteSecrets,
    changes: ReadonlyMap<number, TestWrite>,
    reads: ReadVector,
    signal?: AbortSignal,
  ): Promise<TestWritten> {
    return await this.#locked(index, signal, async () => {
      const { written, replacements } = await this.#test(index, secrets, changes, reads)
      if (replacements) await this.#write(index, replacements)
      return written
    })
  }

  async prepare(
    index: StorageIndex,
    secrets: WriteSecrets,
    changes: ReadonlyMap<number, TestWrite>,
    reads: ReadVector,
    signal?: AbortSignal,
  ): Promise<TestWritten & { prepared: PreparedWrite | null }> {
    const unlock = await this.#take(index, signal)
    try {
      const { written, replacements } = await this.#test(index, secrets, changes, reads)
      if (!replacements) {
        unlock()
        return { ...written, prepared: null }
      }
      if (replacements.size > 0)
        await this.#withRoom(replacements, () => this.#world.prepared.write(index, replacements, false))
      return { ...written, prepared: this.#choice(index, replacements.size > 0, unlock) }
    } catch (err) {
      unlock()
      throw err
    }
  }

  /** What waits for a decision. The shares of a slot have one write in common. */
  async left(): Promise<LeftWrite[]> {
    const { prepared } = this.#world
    const found: LeftWrite[] = []
    for (const index of this.#left) {
      const write = this.#choice(index, true, null)
      for (const share of await prepared.list(index))
        found.push({ index, share, read: (start, end) => prepared.read(index, share, start, end), write })
    }
    return found
  }

  /** Whether there was such a share, of whatever kind. Two syncs of directories at most. */
  async remove(index: StorageIndex, share: number): Promise<boolean> {
    return await this.#locked(index, undefined, () => this.#remove(index, share))
  }

  /** Puts a share as it is under these secrets, whatever its write enabler was. ENOENT, EIO. */
  async adopt(index: StorageIndex, share: number, secrets: WriteSecrets): Promise<void> {
    await this.#locked(index, undefined, async () => {
      const { container, release } = await this.#world.shares.hold(index, share)
      try {
        if (container.kind !== 'mutable')
          throw new FsError('EIO', `${shareName(index, share)} is not mutable`)
        await this.replaceLeases(index, share, container, secrets)
      } finally {
        release()
      }
    })
  }

  /** A lease more for a share, or a longer one; and another write enabler where one is given. The caller has the slot's lock. */
  async replaceLeases(
    index: StorageIndex,
    share: number,
    container: MutableContainer,
    leases: LeaseSecrets & Partial<WriteSecrets>,
  ): Promise<void> {
    const { id: node, folder, now } = this.#world
    const old = { container, path: folder.share(index, share) }
    const owner = leases.writeEnabler ? { node, writeEnabler: leases.writeEnabler } : container.header
    const secrets = { ...leases, writeEnabler: owner.writeEnabler }
    const change = { writes: [], newLength: null }
    const lease = { secrets, node, expires: leaseEnd(now()) }
    const made = await replacement(old, change, lease, shareName(index, share))
    const header = { ...made.header, node: owner.node, writeEnabler: owner.writeEnabler }
    await this.#write(index, new Map([[share, { ...made, header }]]))
  }

  async #locked<T>(index: StorageIndex, signal: AbortSignal | undefined, act: () => Promise<T>): Promise<T> {
    const unlock = await this.#take(index, signal)
    try {
      return await act()
    } finally {
      unlock()
    }
  }

  /** The slot's lock, once nothing of an earlier write stands in the way. */
  async #take(index: StorageIndex, signal: AbortSignal | undefined): Promise<() => void> {
    const unlock = await this.#world.locks.take(index, signal)
    try {
      await this.#settle(index)
      return unlock
    } catch (err) {
      unlock()
      throw err
    }
  }

  /** EAGAIN while an earlier write to the slot waits for a decision; what was decided is done first. */
  async #settle(index: StorageIndex): Promise<void> {
    if (!this.#left.has(index)) return
    const { prepared } = this.#world
    if (this.#aborted.has(index)) await prepared.abort(index)
    this.#aborted.delete(index)
    if ((await prepared.list(index)).length > 0)
      throw new FsError('EAGAIN', `the slot ${index} has an interrupted write that nobody decided on yet`)
    await prepared.finish(index)
    this.#left.delete(index)
  }

  async #test(
    index: StorageIndex,
    secrets: WriteSecrets,
    changes: ReadonlyMap<number, TestWrite>,
    reads: ReadVector,
  ): Promise<{ written: TestWritten; replacements: Replacements | null }> {
    const found = await this.#hold(index, secrets)
    try {
      const data = new Map<number, Buffer[]>()
      for (const [share, { container }] of found)
        data.set(
          share,
          await Promise.all(
            reads.map(({ offset, size }) =>
              readData(container, offset, offset + size, shareName(index, share)),
            ),
          ),
        )
      for (const [share, change] of changes)
        if (!(await holds(found.get(share)?.container, change, shareName(index, share))))
          return { written: { done: false, data }, replacements: null }
      return {
        written: { done: true, data },
        replacements: await this.#replacements(index, secrets, changes, found),
      }
    } finally {
      for (const held of found.values()) held.release()
    }
  }

  /** Every good share of the slot, each under the caller's write enabler. EIO where there are only damaged ones: nobody can say whose they are. */
  async #hold(index: StorageIndex, { writeEnabler }: WriteSecrets): Promise<Found> {
    const { folder, shares } = this.#world
    const found = new Map<number, Held & { container: MutableContainer }>()
    let damage: unknown = null
    try {
      for (const share of await folder.list(index)) {
        const held = await shares.hold(index, share).catch((err: unknown) => {
          if (codeOf(err) !== 'EIO') throw err
          damage = err
          return null
        })
        if (!held) continue
        const { container, release } = held
        if (container.kind !== 'mutable') {
          release()
          throw new FsError('EIO', `${shareName(index, share)} is not mutable`)
        }
        found.set(share, { container, release })
        if (!sameSecret(container.header.writeEnabler, writeEnabler))
          throw new FsError('EACCES', `${shareName(index, share)} has another write enabler`)
      }
      if (damage !== null && found.size === 0) throw damage
      return found
    } catch (err) {
      for (const held of found.values()) held.release()
      throw err
    }
  }

  async #replacements(
    index: StorageIndex,
    secrets: WriteSecrets,
    changes: ReadonlyMap<number, TestWrite>,
    found: Found,
  ): Promise<Replacements> {
    const { id: node, folder, now } = this.#world
    const lease = { secrets, node, expires: leaseEnd(now()) }
    const made = new Map<number, Replacement | null>()
    for (const [share, change] of changes) {
      const container = found.get(share)?.container
      const old = container ? { container, path: folder.share(index, share) } : null
      if (change.newLength !== 0)
        made.set(share, await replacement(old, change, lease, shareName(index, share)))
      else if (old) made.set(share, null)
    }
    return made
  }

  async #write(index: StorageIndex, replacements: Replacements): Promise<void> {
    const [first] = replacements
    if (!first) return
    const [share, made] = first
    await this.#withRoom(replacements, async () => {
      if (replacements.size > 1) await this.#writeTogether(index, replacements)
      else if (made) await this.#writeOne(index, share, made)
      else await this.#remove(index, share)
    })
  }

  async #writeTogether(index: StorageIndex, replacements: Replacements): Promise<void> {
    const { prepared } = this.#world
    this.#left.add(index) // until it is through: who comes after a failure ends it first
    await prepared.write(index, replacements, true)
    await prepared.finish(index)
    this.#left.delete(index)
  }

  async #writeOne(index: StorageIndex, share: number, made: Replacement): Promise<void> {
    const { folder, disk, incoming } = this.#world
    const berth = await incoming.enter(index, share)
    try {
      await Promise.all([
        writeReplacement(disk, berth.path, made, shareName(index, share)),
        folder.make(folder.slot(index)),
      ])
      await incoming.land(berth)
    } finally {
      await incoming.leave(berth)
    }
  }

  async #remove(index: StorageIndex, share: number): Promise<boolean> {
    const { folder, disk, shares, room } = this.#world
    try {
      await disk.unlink(folder.share(index, share))
    } catch (err) {
      if (errno(err) === 'ENOENT') return false
      throw err
    }
    shares.forget(index, share)
    room.forget()
    await disk.syncDir(folder.slot(index))
    await folder.drop(folder.slot(index))
    return true
  }

  /** ENOSPC before anything is written, where there is no room for it all. */
  async #withRoom(replacements: Replacements, act: () => Promise<void>): Promise<void> {
    const { room } = this.#world
    const made = [...replacements.values()].filter(each => each !== null)
    const bytes = made.reduce((sum, each) => sum + each.size, 0)
    if (bytes > 0 && !(await room.promise(bytes, bytes <= SMALL)))
      throw new FsError('ENOSPC', `there is no room for ${bytes} bytes of mutable shares`)
    let done = false
    try {
      await act()
      done = true
    } finally {
      if (done) room.took(bytes)
      else room.release(bytes)
    }
  }

  /** What remains to be said about what is prepared for a slot; the first word holds. `unlock` is of the slot's lock, where the caller has it. */
  #choice(index: StorageIndex, something: boolean, unlock: (() => void) | null): PreparedWrite {
    const { prepared, locks } = this.#world
    let held = unlock
    let made: 'commit' | 'abort' | null = null
    let work: Promise<void> | null = null
    const act = async (which: 'commit' | 'abort'): Promise<void> => {
      const end = held ?? (await locks.take(index))
      held = null
      try {
        if (something) await prepared[which](index)
        this.#left.delete(index)
        this.#aborted.delete(index)
      } catch (err) {
        work = null // it may be said again
        this.#left.add(index)
        if (which === 'abort') this.#aborted.add(index)
        throw refused(`${which} what is prepared for the slot ${index}`, err)
      } finally {
        end()
      }
    }
    return {
      commit: () => {
        if (made === 'abort')
          return Promise.reject(new FsError('EINVAL', `commit of what was aborted for ${index}`))
        made = 'commit'
        return (work ??= act('commit'))
      },
      abort: () => {
        if (made === 'commit')
          return work ?? Promise.reject(new FsError('EINVAL', `abort of what was committed for ${index}`))
        made = 'abort'
        return (work ??= act('abort'))
      },
    }
  }
}

/** Whether every test of a change holds. */
async function holds(
  container: MutableContainer | undefined,
  { tests }: TestWrite,
  what: string,
): Promise<boolean> {
  for (const { offset, size, specimen } of tests) {
    const found = container ? await readData(container, offset, offset + size, what) : Buffer.alloc(0)
    if (!found.equals(specimen)) return false
  }
  return true
}
