// One figure of several folders, each printed beside those it is compared with.

import { median } from './figures.ts'

/** What has a figure. */
export type Compared = {
  readonly name: string
  readonly peers: readonly Compared[]
}

export class Comparison {
  readonly #title: string
  readonly #unit: string
  readonly #digits: number
  readonly #values = new Map<Compared, number[]>()

  constructor(title: string, unit: string, digits = 0) {
    this.#title = title
    this.#unit = unit
    this.#digits = digits
  }

  /** One more value of it. */
  add(of: Compared, value: number): void {
    const values = this.#values.get(of)
    if (values) values.push(value)
    else this.#values.set(of, [value])
  }

  /** The median of each, every value, and its ratio to its peers that have one. */
  print(): void {
    console.log(`${this.#title} (${this.#unit})`)
    const width = Math.max(...[...this.#values.keys()].map(({ name }) => name.length))
    for (const [of, values] of this.#values) {
      const ratios = of.peers.flatMap(peer => {
        const theirs = this.#values.get(peer)
        return theirs && median(theirs) > 0
          ? [`, ${(median(values) / median(theirs)).toFixed(2)} times ${peer.name}`]
          : []
      })
      const shown = values.map(value => value.toFixed(this.#digits))
      const all = values.length > 1 ? ` (${shown.join(' ')})` : ''
      console.log(
        `  ${of.name.padEnd(width)} ${median(values).toFixed(this.#digits)}${all}${ratios.join('')}`,
      )
    }
  }
}
