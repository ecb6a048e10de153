// Which bytes of something are there: half-open ranges, in order, that neither meet nor overlap.

export class Ranges {
  #ranges: { start: number; end: number }[] = []

  add(start: number, end: number): void {
    if (end <= start) return
    const last = this.#ranges.at(-1)
    if (last && last.end === start) {
      last.end = end // one after the other, as nearly always
      return
    }
    const apart = this.#ranges.filter(each => each.end < start || each.start > end)
    const met = this.#ranges.filter(each => each.end >= start && each.start <= end)
    const whole = {
      start: Math.min(start, ...met.map(each => each.start)),
      end: Math.max(end, ...met.map(each => each.end)),
    }
    this.#ranges = [...apart, whole].sort((a, b) => a.start - b.start)
  }

  /** Whether all of `start` to `end` is there. */
  has(start: number, end: number): boolean {
    return end <= start || this.#ranges.some(each => each.start <= start && each.end >= end)
  }

  /** How many bytes are there. */
  get bytes(): number {
    return this.#ranges.reduce((sum, { start, end }) => sum + end - start, 0)
  }
}
