// One at a time for each slot: who changes its shares waits for whoever does so already.

import { Turns } from '../turns.ts'
import type { StorageIndex } from './server.ts'

export class SlotLocks {
  readonly #slots = new Map<StorageIndex, { turns: Turns; users: number }>()

  /** Resolves with the function that lets the next one in; calling it twice is harmless. EAGAIN when `signal` aborts first. */
  async take(index: StorageIndex, signal?: AbortSignal): Promise<() => void> {
    let slot = this.#slots.get(index)
    if (!slot) this.#slots.set(index, (slot = { turns: new Turns(1), users: 0 }))
    slot.users += 1
    const leave = () => {
      slot.users -= 1
      if (slot.users === 0) this.#slots.delete(index)
    }
    let end: () => void
    try {
      end = await slot.turns.take('change the shares of a slot', signal)
    } catch (err) {
      leave()
      throw err
    }
    let held = true
    return () => {
      if (!held) return
      held = false
      end()
      leave()
    }
  }
}
