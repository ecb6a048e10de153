// A StorageServer over a folder of share files, laid out as a Tahoe storage node's own
// (folder.ts). One process has it open at a time; a Tahoe node must not run on it meanwhile.
//
// What is acknowledged is durable. Reads sync nothing; what the others cost stands with them.

import { basename, join, resolve } from 'node:path'
import { FsError } from '../../errors.ts'
import { gaveUp } from '../turns.ts'
import { writeAdvisory } from './advisories.ts'
import { disk as nodeDisk, refused, type ShareDisk } from './disk.ts'
import { checkIndex, checkShare, Folder } from './folder.ts'
import { heldByOthers } from './holders.ts'
import { immutableSize, packImmutableHeader, packImmutableLeases } from './immutable-container.ts'
import { ImmutableWriter } from './immutable-writer.ts'
import { Incoming } from './incoming.ts'
import { checkSecrets, leaseEnd, makeLease } from './lease.ts'
import { MUTABLE_MAX } from './mutable-container.ts'
import { MutableSlots, type SlotWorld } from './mutable-slots.ts'
import { OpenShares, readData, shareName } from './open-shares.ts'
import { Prepared } from './prepared.ts'
import { IMMUTABLE_OWNER, renew } from './renewal.ts'
import { CONTAINER_VERSION, checkRange } from './replacement.ts'
import { checkWrite } from './requests.ts'
import { type Reserve, Room } from './room.ts'
import type {
  Allocated,
  LeaseSecrets,
  LeftWrite,
  PreparedWrite,
  PreparingServer,
  ReadVector,
  ServerVersion,
  ShareKind,
  ShareWriter,
  StorageIndex,
  TestWrite,
  TestWritten,
  Wait,
  WriteSecrets,
} from './server.ts'
import { SlotLocks } from './slot-locks.ts'
import { type SlotFound, walk } from './walk.ts'

export type LocalServerOptions = {
  /** The folder that has `storage/shares`, or will have. */
  readonly dir: string
  /** Of a new folder; one that has an id keeps it, and another one here is EINVAL. */
  readonly id?: Buffer
  readonly name?: string
  /** What is left alone of the disk. */
  readonly reserve?: Reserve
  readonly disk?: ShareDisk
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

export class LocalServer implements PreparingServer {
  readonly id: Buffer
  readonly name: string
  readonly #world: SlotWorld
  readonly #slots: MutableSlots
  readonly #unlock: () => void
  readonly #writers = new Set<ShareWriter>()
  readonly #running = new Set<Promise<unknown>>()
  #closed: Promise<void> | null = null

  private constructor(world: SlotWorld, name: string, left: readonly StorageIndex[], unlock: () => void) {
    this.id = world.id
    this.name = name
    this.#world = world
    this.#slots = new MutableSlots(world, left)
    this.#unlock = unlock
  }

  /**
   * Opens a folder, making it when it is new. EACCES while another process has it open. Shares that
   * an earlier process had not closed are removed, changes that it had decided on are ended.
   */
  static async open(options: LocalServerOptions): Promise<LocalServer> {
    const { disk = nodeDisk, now = Date.now } = options
    const dir = resolve(options.dir)
    const folder = new Folder(dir, disk)
    let unlock = () => {}
    try {
      await folder.make(folder.storage)
      unlock = folder.lock()
      const id = await folder.id(options.id)
      await folder.make(folder.incoming)
      for (const name of await folder.names(folder.incoming)) await folder.clear(join(folder.incoming, name))
      await folder.make(folder.prepared)
      const shares = new OpenShares(folder, disk)
      const prepared = new Prepared(folder, disk, shares)
      const incoming = new Incoming(folder, disk, shares)
      const room = new Room(disk, folder.storage, options.reserve)
      const world = { id, folder, disk, room, shares, incoming, prepared, locks: new SlotLocks(), now }
      return new LocalServer(world, options.name ?? basename(dir), await prepared.recover(), unlock)
    } catch (err) {
      unlock()
      throw refused(`open the shares in ${dir}`, err)
    }
  }

  async version(wait?: Wait): Promise<ServerVersion> {
    return await this.#run('version', wait, async () => {
      const { free, total } = await this.#world.room.left()
      return { maxImmutable: free, maxMutable: MUTABLE_MAX, free, total }
    })
  }

  /** By their names only: that an index has shares of the other kind does not happen. */
  async list(_kind: ShareKind, index: StorageIndex, wait?: Wait): Promise<ReadonlySet<number>> {
    checkIndex(index)
    return await this.#run(`list ${index}`, wait, async () => new Set(await this.#world.folder.list(index)))
  }

  /** EINVAL for more than 256 MiB at once. */
  async read(
    kind: ShareKind,
    index: StorageIndex,
    share: number,
    start: number,
    end: number,
    wait?: Wait,
  ): Promise<Buffer> {
    checkIndex(index)
    checkShare(share)
    const what = shareName(index, share)
    checkRange(what, start, end - start)
    return await this.#run(`read ${what}`, wait, async () => {
      const { container, release } = await this.#world.shares.hold(index, share)
      try {
        if (container.kind !== kind) throw new FsError('EIO', `${what} is not ${kind}`)
        return await readData(container, start, end, what)
      } finally {
        release()
      }
    })
  }

  /**
   * Of several at once each gets its own writer; the first to close wins, the others find it there.
   * A damaged container does not count as had: what is stored instead replaces it.
   */
  async allocate(
    index: StorageIndex,
    shares: readonly number[],
    size: number,
    leases: LeaseSecrets,
    wait?: Wait,
  ): Promise<Allocated> {
    checkIndex(index)
    shares.forEach(checkShare)
    const what = `allocate ${index}`
    checkRange(what, size, 0)
    checkSecrets(what, leases.renew, leases.cancel)
    return await this.#run(what, wait, async () => {
      const there = new Set(await this.#world.folder.list(index))
      const asked = shares.filter(share => there.has(share))
      const { renewed: have } = await this.#renew(index, asked, leases, wait?.signal)
      if (have.size > 0) await this.#settle(index)
      const writers = new Map<number, ShareWriter>()
      for (const share of new Set(shares).difference(have)) {
        if (!(await this.#world.room.promise(immutableSize(size, 1)))) break
        writers.set(share, this.#writer(index, share, size, leases))
      }
      if (shares.length > 0 && have.size + writers.size === 0)
        throw new FsError('ENOSPC', `${what}: there is no room for ${size} bytes`)
      return { have, writers }
    })
  }

  /**
   * A writer of an immutable share that takes the place of whatever is there under its number, in
   * one step, when it is closed. ENOSPC when there is no room for both.
   */
  async replace(
    index: StorageIndex,
    share: number,
    size: number,
    leases: LeaseSecrets,
  ): Promise<ShareWriter> {
    checkIndex(index)
    checkShare(share)
    const what = `replace ${shareName(index, share)}`
    checkRange(what, size, 0)
    checkSecrets(what, leases.renew, leases.cancel)
    return await this.#run(what, undefined, async () => {
      if (!(await this.#world.room.promise(immutableSize(size, 1))))
        throw new FsError('ENOSPC', `${what}: there is no room for ${size} bytes`)
      return this.#writer(index, share, size, leases, true)
    })
  }

  async readTestWrite(
    index: StorageIndex,
    secrets: WriteSecrets,
    changes: ReadonlyMap<number, TestWrite>,
    reads: ReadVector,
    wait?: Wait,
  ): Promise<TestWritten> {
    const what = checkWrite(index, secrets, changes, reads)
    return await this.#run(what, wait, () =>
      this.#slots.readTestWrite(index, secrets, changes, reads, wait?.signal),
    )
  }

  async prepare(
    index: StorageIndex,
    secrets: WriteSecrets,
    changes: ReadonlyMap<number, TestWrite>,
    reads: ReadVector,
    wait?: Wait,
  ): Promise<TestWritten & { readonly prepared: PreparedWrite | null }> {
    const what = checkWrite(index, secrets, changes, reads)
    return await this.#run(what, wait, async () => {
      const { prepared, ...written } = await this.#slots.prepare(index, secrets, changes, reads, wait?.signal)
      return { ...written, prepared: prepared && this.#guarded(prepared) }
    })
  }

  async left(): Promise<readonly LeftWrite[]> {
    return await this.#run('list what was left', undefined, async () => {
      const guarded = new Map<PreparedWrite, PreparedWrite>()
      const guard = (write: PreparedWrite): PreparedWrite => {
        const found = guarded.get(write) ?? this.#guarded(write)
        guarded.set(write, found)
        return found
      }
      return (await this.#slots.left()).map(({ index, share, read, write }) => ({
        index,
        share,
        read: (start: number, end: number) =>
          this.#run(`read what was left of ${shareName(index, share)}`, undefined, () => read(start, end)),
        write: guard(write),
      }))
    })
  }

  /** A damaged share does not keep the others from their lease; then it is EIO. */
  async addLease(index: StorageIndex, leases: LeaseSecrets, wait?: Wait): Promise<boolean> {
    checkIndex(index)
    checkSecrets(`lease of ${index}`, leases.renew, leases.cancel)
    return await this.#run(`lease of ${index}`, wait, async () => {
      const shares = await this.#world.folder.list(index)
      const { damaged } = await this.#renew(index, shares, leases, wait?.signal)
      if (damaged) throw new FsError('EIO', `lease of ${index}: a share is damaged`)
      return shares.length > 0
    })
  }

  async adviseCorrupt(
    kind: ShareKind,
    index: StorageIndex,
    share: number,
    reason: string,
    wait?: Wait,
  ): Promise<void> {
    checkIndex(index)
    checkShare(share)
    await this.#run(`report ${shareName(index, share)}`, wait, async () => {
      if (!(await this.#world.folder.list(index)).includes(share))
        throw new FsError('ENOENT', shareName(index, share))
      await writeAdvisory(this.#world, kind, index, share, reason)
    })
  }

  /** Every slot with all its shares; what comes or goes meanwhile may be in it or not. */
  slots(): AsyncGenerator<SlotFound> {
    return walk(this.#world.folder, this.#world.disk)
  }

  /** Whether a share has a lease that is not of these secrets. False for one that is damaged or gone. */
  async heldByOthers(index: StorageIndex, share: number, leases: LeaseSecrets): Promise<boolean> {
    checkIndex(index)
    return await this.#run(`leases of ${shareName(index, share)}`, undefined, () =>
      heldByOthers(this.#world.shares, index, share, leases),
    )
  }

  /** Puts a mutable share as it is under another write enabler: of an id that the folder had before. ENOENT, EIO. */
  async adopt(index: StorageIndex, share: number, secrets: WriteSecrets): Promise<void> {
    checkShare(share)
    await this.#run(checkWrite(index, secrets, new Map(), []), undefined, () =>
      this.#slots.adopt(index, share, secrets),
    )
  }

  /** Whether there was such a share; it is gone for good when this returns. */
  async remove(index: StorageIndex, share: number): Promise<boolean> {
    checkIndex(index)
    checkShare(share)
    return await this.#run(`remove ${shareName(index, share)}`, undefined, () =>
      this.#slots.remove(index, share),
    )
  }

  /** Waits for what was begun; what was allocated and not closed is removed, what was prepared stays for `left`. */
  close(): Promise<void> {
    return (this.#closed ??= this.#end())
  }

  async #end(): Promise<void> {
    await Promise.allSettled(this.#running)
    await Promise.allSettled([...this.#writers].map(writer => writer.abort()))
    this.#world.shares.close()
    this.#unlock()
  }

  /** Does something that `close` waits for, and gives what the disk refuses its FsError. */
  async #run<T>(what: string, wait: Wait | undefined, act: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new FsError('EIO', `${what}: the folder of shares is closed`)
    gaveUp(what, wait?.signal)
    const work = act()
    this.#running.add(work)
    try {
      return await work
    } catch (err) {
      throw refused(what, err)
    } finally {
      this.#running.delete(work)
    }
  }

  #guarded(write: PreparedWrite): PreparedWrite {
    return {
      commit: () => this.#run('commit what was prepared', undefined, () => write.commit()),
      abort: () => this.#run('abort what was prepared', undefined, () => write.abort()),
    }
  }

  /** Whoever put shares there may not have come so far as to make their names durable. */
  async #settle(index: StorageIndex): Promise<void> {
    const { folder, disk } = this.#world
    await Promise.all([disk.syncDir(folder.slot(index)), folder.make(folder.slot(index))])
  }

  #writer(index: StorageIndex, share: number, size: number, leases: LeaseSecrets, over = false): ShareWriter {
    const lease = makeLease(CONTAINER_VERSION, leases, IMMUTABLE_OWNER, leaseEnd(this.#world.now()))
    const head = packImmutableHeader({ version: CONTAINER_VERSION, length: size, leases: 1 })
    const container = { size, head, lease: packImmutableLeases([lease]), over }
    const writer = new ImmutableWriter(this.#world, { index, share }, container, () =>
      this.#writers.delete(writer),
    )
    this.#writers.add(writer)
    return writer
  }

  /** Renews the leases of shares, or adds them; gives those where it did, and whether another is damaged. */
  async #renew(
    index: StorageIndex,
    shares: readonly number[],
    leases: LeaseSecrets,
    signal: AbortSignal | undefined,
  ): Promise<{ renewed: ReadonlySet<number>; damaged: boolean }> {
    const renewed = new Set<number>()
    let damaged = false
    if (shares.length === 0) return { renewed, damaged }
    const unlock = await this.#world.locks.take(index, signal)
    try {
      const { folder, disk, shares: open, now } = this.#world
      const world = { folder, disk, shares: open, replaceLeases: this.#slots.replaceLeases.bind(this.#slots) }
      for (const share of shares) {
        try {
          await renew(world, index, share, leases, leaseEnd(now()))
          renewed.add(share)
        } catch (err) {
          if (!(err instanceof FsError) || !['EIO', 'ENOENT'].includes(err.code)) throw err
          damaged ||= err.code === 'EIO' // else it went meanwhile
        }
      }
      return { renewed, damaged }
    } finally {
      unlock()
    }
  }
}
