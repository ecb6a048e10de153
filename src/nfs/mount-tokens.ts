// A secret first component of the export path, for systems that do not tell whose
// connection it is (macOS): good for one MNT within thirty seconds, and spent by it.
// Afterwards the random bits of the handles are what admits.

import { randomBytes, timingSafeEqual } from 'node:crypto'

const lifetimeMs = 30_000
const prefix = 'tahoe-'

/** A token that matched: out of circulation until it is spent or given back. */
export type TakenToken = { spend(): void; giveBack(): void }

export class MountTokens {
  readonly #good: { readonly component: Buffer; readonly until: number }[] = []
  readonly #now: () => number

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** A fresh export path: `/tahoe-…`. */
  issue(): string {
    this.#expire()
    const component = prefix + randomBytes(16).toString('hex')
    this.#good.push({ component: Buffer.from(component), until: this.#now() + lifetimeMs })
    return `/${component}`
  }

  /** Takes the token that this path component is, or null. */
  take(component: Uint8Array | undefined): TakenToken | null {
    this.#expire()
    if (component === undefined) return null
    const at = this.#good.findIndex(
      good => good.component.length === component.length && timingSafeEqual(good.component, component),
    )
    if (at < 0) return null
    const [token] = this.#good.splice(at, 1)
    return { spend: () => {}, giveBack: () => void this.#good.push(token!) }
  }

  #expire(): void {
    const now = this.#now()
    for (let i = this.#good.length - 1; i >= 0; i--) if (this.#good[i]!.until <= now) this.#good.splice(i, 1)
  }
}
